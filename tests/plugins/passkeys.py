"""Passkeys for tests: devices that sign what they are told, and the pages that their answers go to."""

from __future__ import annotations

import json
from typing import Any

import cbor2
from flask import Flask
from soft_authenticator import Authenticator, Credential, cose
from werkzeug.test import TestResponse

from authserver import clock, crypto
from authserver.app import services_of
from authserver.login import webauthn

from .people import Browser, hidden_fields

LOGIN, MFA, ADD = "/login/passkey", "/mfa", "/account/passkeys"


def give_passkey(app: Flask, user_id: str, name: str = "Key", count: int = 0) -> Authenticator:
    """A device with a passkey of the person, which has signed ``count`` times."""
    device = Authenticator(count=count)
    device.register({"challenge": "AAAA", "user": {"id": crypto.b64u(user_id.encode())}})
    add_passkey(app, user_id, device.credentials[0], name, count)
    return device


def add_passkey(app: Flask, user_id: str, key: Credential, name: str = "Key", count: int = 0) -> None:
    """The credential is one of the person's."""
    services = services_of(app)
    credential = webauthn.Credential(
        key.id, user_id, cbor2.dumps(cose(key.key)), count, False, False, True, "", (), "none", False, name,
        clock.now(),
    )  # fmt: skip
    with services.database.writing() as connection:
        assert services.passkeys.credentials.add_in(connection, credential)


def begin(browser: Browser, page: TestResponse, action: str) -> dict[str, Any]:
    """The options that the page's script gets for its form."""
    fields = hidden_fields(page.text, action) if action != MFA else _of_passkey(page)
    path = {LOGIN: f"{LOGIN}/options", MFA: "/mfa/passkey/options", ADD: f"{ADD}/options"}[action]
    answer = browser.post(path, fields)
    assert answer.status_code == 200, answer.text
    options: dict[str, Any] = answer.json
    return options


def finish(
    browser: Browser, page: TestResponse, action: str, answer: dict[str, Any] | str, **more: str
) -> TestResponse:
    """What comes of the answer of a device."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    fields = hidden_fields(page.text, action) if action != MFA else _of_passkey(page)
    return browser.post(action, fields | {"answer": text} | more)


def log_in(browser: Browser, device: Authenticator, **changes: Any) -> TestResponse:
    """Signing in with the device's passkey, by an answer with these ``changes``."""
    page = browser.get("/login?then=security")
    return finish(browser, page, LOGIN, device.sign(begin(browser, page, LOGIN), **changes))


def prove(browser: Browser, device: Authenticator, **changes: Any) -> TestResponse:
    """The device's passkey as the second factor of who has given their password."""
    page = browser.get("/mfa")
    return finish(browser, page, MFA, device.sign(begin(browser, page, MFA), **changes))


def _of_passkey(page: TestResponse) -> dict[str, str]:
    """The fields of the passkey's form on the page of second factors, which has more forms."""
    _, _, rest = page.text.partition("data-options=")
    return hidden_fields('<form action="x" ' + rest, "x")
