"""Attacks on passkeys: what was signed for elsewhere, before, by nobody, or by another key."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from plugins.factors import SECURITY, told
from plugins.passkeys import ADD, LOGIN, MFA, begin, finish, give_passkey, log_in, prove
from plugins.people import Browser
from soft_authenticator import PRESENT, UP, UV, Authenticator, new_key
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver.crypto import b64u, b64u_decode
from authserver.db import table_of
from authserver.models.session import Session
from authserver.models.webauthn import WebauthnCredential

from ..runner import Run
from ._pages import browser, check_page, copy_of, keep_cookies_secret, person, reasons_of

COUNT = 10


def _device(run: Run, name: str = "alice") -> Authenticator:
    """The device of somebody whose passkey P1 was used up to count 10."""
    return give_passkey(run.world.app, person(run, name), "P1", COUNT)


def _credentials(run: Run) -> list[Any]:
    table = table_of(WebauthnCredential)
    with run.world.services.database.reading() as connection:
        return list(connection.execute(select(table).order_by(table.c.created_at)).all())


def _sessions(run: Run) -> list[Any]:
    """Every session by its cookie's digest, what it proves, and when that was."""
    table = table_of(Session)
    columns = (table.c.digest, table.c.acr, table.c.auth_time, table.c.ended_at)
    with run.world.services.database.reading() as connection:
        return list(connection.execute(select(*columns).order_by(table.c.digest)).all())


def _refused(run: Run, attack: Callable[[], TestResponse], *reasons: str, changes: bool = False) -> None:
    """``attack`` opens nothing, changes no credential unless it ``changes`` one, and is on record."""
    before = (_sessions(run), _credentials(run))
    answer = attack()
    check_page(answer)
    assert answer.status_code in (400, 401, 403), (answer.status_code, answer.location)
    assert reasons_of(run, answer) == [f"webauthn.rejected/{reason}" for reason in reasons]
    assert _sessions(run) == before[0]
    assert changes or _credentials(run) == before[1]


def _everywhere(run: Run, device: Authenticator, reason: str, **changes: Any) -> None:
    """An assertion with ``changes`` at login and as the second factor."""
    half = browser(run, "alice")
    for attack in (lambda: log_in(browser(run), device, **changes), lambda: prove(half, device, **changes)):
        _refused(run, attack, reason)


def _control(run: Run, device: Authenticator) -> None:
    """What is as it should be still opens the account."""
    entered = browser(run)
    assert log_in(entered, device).status_code == 303
    assert entered.get("/account").status_code == 200
    keep_cookies_secret(run, entered)


def foreign_origins(run: Run) -> None:
    """Origins that look like ours, and pages of ours in a frame of another."""
    device = _device(run)
    ours = run.world.services.settings.issuer
    host = ours.partition("://")[2]
    for origin in (
        f"http://evil.{host}", f"http://{host.replace('localhost', 'sibling')}", "http://localhost:8001",
        "http://localhost", f"https://{host}", "null", "", f"{ours}/", ours.upper(), f"{ours}.evil.example",
        f"{ours}@evil.example", None,
    ):  # fmt: skip
        _everywhere(run, device, "origin", origin=origin)
    _everywhere(run, device, "cross_origin", crossOrigin=True)
    _everywhere(run, device, "cross_origin", topOrigin="https://evil.example")
    _control(run, device)


def foreign_parties(run: Run) -> None:
    """Signed for another relying party, for a parent and for a child of ours."""
    device = _device(run)
    for rp_id in ("evil.example", "example", "evil.localhost", "localhost.", "LOCALHOST", ""):
        _everywhere(run, device, "rp_id", rp_id=rp_id)
    _control(run, device)


def challenge_twice(run: Run, at_once: int) -> None:
    """The same assertion ``at_once`` times together, again after that, and after one that failed."""
    device, fresh = _device(run), browser(run)
    page = fresh.get("/login")
    answer = device.sign(begin(fresh, page, LOGIN))
    held = [copy_of(fresh) for _ in range(at_once)]

    def send(one: Browser) -> TestResponse:
        return finish(one, page, LOGIN, answer)

    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(send, held))
    assert sorted(one.status_code for one in answers) == [303] + [401] * (at_once - 1)
    rejected = [reasons_of(run, one) for one in answers if one.status_code != 303]
    assert rejected == [["webauthn.rejected/challenge_reuse"]] * (at_once - 1)
    _refused(run, lambda: send(copy_of(fresh)), "challenge_reuse")
    half = browser(run, "alice")
    for one, way, where in ((fresh, LOGIN, "/login"), (half, MFA, "/mfa")):
        page = one.get(where)
        options = begin(one, page, way)
        good, spoilt = device.sign(options), device.sign(options, key=new_key())
        for said, reason in ((spoilt, "signature"), (good, "challenge_reuse")):
            _refused(run, partial(finish, one, page, way, said), reason)
    # one that was made for a second factor, or for another browser, is none here
    other = browser(run, "alice")
    stolen = device.sign(begin(other, other.get("/mfa"), MFA))
    _refused(run, partial(finish, fresh, fresh.get("/login"), LOGIN, stolen), "challenge")
    _control(run, device)


def wrong_types(run: Run) -> None:
    """Creation for assertion and the reverse, and types of other specifications."""
    device = _device(run)
    for type_ in ("webauthn.create", "payment.get", "", None, "WEBAUTHN.GET"):
        _everywhere(run, device, "type", type_=type_)
    entered = browser(run)
    log_in(entered, device)
    keep_cookies_secret(run, entered)
    page = entered.get(SECURITY)
    for type_ in ("webauthn.get", "payment.get", "", None):
        made = Authenticator().register(begin(entered, page, ADD), type_=type_)
        _refused(run, partial(finish, entered, page, ADD, made), "type")
    _control(run, device)


def count_goes_back(run: Run) -> None:
    """10 again, then 9, then 0: refused, flagged and told; counters that are always zero are none."""
    device = _device(run)
    user = run.world.services.users.find("alice")
    assert user is not None
    for count in (COUNT, 9, 0):
        _refused(run, partial(log_in, browser(run), device, count=count), "sign_count", changes=True)
        assert _credentials(run)[0].flagged_at is not None
        assert _credentials(run)[0].sign_count == COUNT
    assert told(run.world.app, user.user_id).count("passkey_cloned") == 1
    # the one of the two that is ahead is no better
    _refused(run, lambda: log_in(browser(run), device, count=4000), "possibly_cloned")
    synced = give_passkey(run.world.app, person(run, "bob"))
    synced.count = None
    for _ in range(2):
        _control(run, synced)


def nobody_verified(run: Run) -> None:
    """Without user verification, without presence, and with backup flags that cannot be."""
    device = _device(run)
    for flags in (UP, UV, 0):
        _everywhere(run, device, "user_verification", flags=flags)
    for flags in (0x10, 0x08, 0x18):
        _everywhere(run, device, "backup_flags", flags=PRESENT | flags)
    _control(run, device)


def credential_gone(run: Run) -> None:
    """A deleted passkey, also in a ceremony that began before; another's, and one that never was."""
    device, second = _device(run), Authenticator()
    entered, begun, half = browser(run), browser(run), browser(run, "alice")
    log_in(entered, device)
    keep_cookies_secret(run, entered)
    page = entered.get(SECURITY)
    finish(entered, page, ADD, second.register(begin(entered, page, ADD)), name="P2")
    page, challenged = begun.get("/login"), half.get("/mfa")
    options, second_options = begin(begun, page, LOGIN), begin(half, challenged, MFA)
    log_in(entered, device)
    first = b64u(device.credentials[0].id)
    gone = entered.submit(entered.get(SECURITY), f"{ADD}/remove", id=first)
    assert gone.status_code == 303 and len(_credentials(run)) == 1
    unknown = "credential_unknown"
    _refused(run, partial(finish, begun, page, LOGIN, device.sign(options)), unknown)
    old = device.sign(second_options, credential=device.credentials[0])
    _refused(run, partial(finish, half, challenged, MFA, old), unknown)
    _refused(run, partial(log_in, browser(run), device), unknown)
    # bob's, as alice's second factor and under her handle
    bobs = _device(run, "bob")
    credential, handle = bobs.credentials[0], second.credentials[0].user_handle
    for said in (credential.user_handle, handle, None):
        _refused(run, partial(prove, half, bobs, credential=credential, handle=said), unknown)
    _refused(run, partial(log_in, browser(run), bobs, handle=handle), unknown)
    _refused(run, partial(log_in, browser(run), bobs, handle=None), "user_handle")
    _control(run, second)


def disabled_person(run: Run) -> None:
    """A passkey of somebody who was disabled before, and while the ceremony was under way."""
    device, begun = _device(run), browser(run)
    page = begun.get("/login")
    options = begin(begun, page, LOGIN)
    user = run.world.services.users.find("alice")
    assert user is not None
    run.world.services.users.disable(user.user_id)
    _refused(run, partial(finish, begun, page, LOGIN, device.sign(options)), "user_disabled")
    _refused(run, partial(log_in, browser(run), device), "user_disabled")


def wrong_signatures(run: Run) -> None:
    """By another key, with a bit flipped, empty, cut, and DER with more behind it."""
    device = _device(run)
    _everywhere(run, device, "signature", key=new_key())

    def twisted(change: Callable[[bytes], bytes]) -> TestResponse:
        held = browser(run)
        page = held.get("/login")
        answer = device.sign(begin(held, page, LOGIN))
        response = answer["response"]
        response["signature"] = b64u(change(b64u_decode(response["signature"])))
        return finish(held, page, LOGIN, answer)

    changes: list[Callable[[bytes], bytes]] = [
        lambda signature: b"",
        lambda signature: signature + b"\x00",
        lambda signature: signature + signature,
        lambda signature: signature[:-1],
        lambda signature: signature[:-1] + bytes([signature[-1] ^ 1]),
        lambda signature: bytes([signature[0] ^ 0x20]) + signature[1:],
        lambda signature: b"\x30\x81" + signature[1:],
    ]
    for change in changes:
        _refused(run, lambda one=change: twisted(one), "signature")
    _control(run, device)
