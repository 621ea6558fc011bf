"""Passkeys for tests: browsers that answer by a device made by hand."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask
from soft_authenticator import Authenticator
from werkzeug.test import TestResponse

from authserver import acr
from authserver.app import services_of

from .people import Browser, hidden_fields

PAGE = "/account/passkeys"


def give_passkey(app: Flask, user_id: str, name: str = "Telephone", **device: Any) -> Authenticator:
    """A device with a new passkey of the person."""
    services, authenticator = services_of(app), Authenticator(**device)
    session = services.sessions.read(
        services.sessions.start(user_id, acr=acr.PHISHING_RESISTANT, amr=("pop",))
    )
    assert session is not None
    changes = services.passkeys.changes
    options = changes.begin(session, services.users.must(user_id), passkey=True)
    assert options is not None
    codes = changes.finish(session, json.dumps(authenticator.register(options)), name)
    assert codes is not None
    services.sessions.end(session.sid, "logout")
    return authenticator


def asked(browser: Browser, page: TestResponse, action: str, path: str) -> dict[str, Any]:
    """The options that the script of a page would get for its form."""
    given = browser.post(path, {"csrf": hidden_fields(page.text, action)["csrf"]})
    assert given.status_code == 200, given.text
    return dict(given.json)


def log_in(
    browser: Browser, device: Authenticator, query: str = "", change: Any = None, **changes: Any
) -> TestResponse:
    """The answer to a passkey on the login page; ``change`` is made to what the device gives."""
    page = browser.get("/login" + query)
    options = asked(browser, page, "/login/passkey", "/login/options")
    answer = device.sign(options, **changes)
    text = json.dumps(answer if change is None else change(answer))
    return browser.submit(page, "/login/passkey", credential=text)


def prove(browser: Browser, device: Authenticator, **changes: Any) -> TestResponse:
    """The answer to a passkey on the page that asks for a second factor."""
    page = browser.get("/mfa")
    options = asked(browser, page, "/mfa", "/webauthn/assert/options")
    answer = json.dumps(device.sign(options, **changes))
    return browser.submit(page, "/mfa", factor="webauthn", credential=answer)


def register(
    browser: Browser,
    device: Authenticator,
    page: TestResponse,
    type_: Any = "webauthn.create",
    **values: str,
) -> TestResponse:
    """The answer to a new credential by the first form of ``page`` that registers one."""
    options = asked(browser, page, "/webauthn/register", "/webauthn/register/options")
    credential = json.dumps(device.register(options, type_=type_))
    return browser.submit(page, "/webauthn/register", credential=credential, **values)
