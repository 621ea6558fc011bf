"""Approvals of payments that somebody would rather have for another payment, account, session or person."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from asking import follow
from plugins.factors import fresh_code, give_app, prove
from plugins.passkeys import give_passkey
from plugins.people import Browser, hidden_fields
from soft_authenticator import Authenticator
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver.oauth.payment import DemoAccounts
from authserver.oauth.payment_evidence import table

from ..runner import Run
from ._pages import browser, check_page, person, reasons_of
from ._walk import asked, payment, register

CHALLENGE = "/consent/payment-challenge"


def _page(held: Browser, **changes: Any) -> TestResponse:
    page = follow(held, held.get(f"/authorize?{urlencode(asked('shop', **payment(**changes)))}"))
    assert page.request.path == "/consent", page.request.path
    return page


def _accounts(user_id: str) -> list[str]:
    return [account.iban for account in DemoAccounts().of(user_id)]


def _signed(held: Browser, page: TestResponse, device: Authenticator, account: str) -> dict[str, str]:
    """The form as the page's script sends it."""
    fields = hidden_fields(page.text, "/consent") | {"account": account}
    options = held.post(CHALLENGE, fields).json
    answer = json.dumps(device.sign(options["publicKey"]))
    return fields | {"nonce": options["nonce"], "assertion": answer, "decision": "approve"}


def _refused(run: Run, held: Browser, form: dict[str, str], *reasons: str) -> None:
    """The form pays nothing, keeps the person on the page, and is on record."""
    answer = held.post("/consent", form)
    check_page(answer)
    assert answer.status_code in (401, 409), (answer.status_code, answer.location)
    assert reasons_of(run, answer) == list(reasons), reasons_of(run, answer)
    with run.world.services.database.reading() as connection:
        assert connection.execute(select(table)).first() is None
    assert not run.world.events("payment.approved")


def signature_for_something_else(run: Run) -> None:
    """What a passkey signed for one payment, account, session or person approves no other."""
    people = {name: person(run, name) for name in ("alice", "mallory")}
    register(run, "shop")
    devices = {name: give_passkey(run.world.app, user_id) for name, user_id in people.items()}
    held, theirs, elsewhere = (browser(run, name) for name in ("alice", "mallory", "alice"))
    first, second = _accounts(people["alice"])
    page = _page(held)
    wrong = "webauthn.rejected/challenge"
    _refused(run, held, _signed(held, page, devices["alice"], first) | {"account": second}, wrong)
    for changes in (
        {"instructedAmount": {"amount": "999.00", "currency": "EUR"}},
        {"creditorAccount": {"iban": "DE75512108001245126199"}},
    ):
        dear = hidden_fields(_page(held, **changes).text, "/consent")
        form = _signed(held, page, devices["alice"], first)
        _refused(run, held, form | {"txn": dear["txn"], "shown": dear["shown"]}, wrong)
    # the same person in another browser, and another person
    there = _signed(elsewhere, _page(elsewhere), devices["alice"], first)
    shown = hidden_fields(page.text, "/consent")
    mine = {name: shown[name] for name in ("txn", "shown", "csrf")}
    _refused(run, held, there | mine, wrong)
    of_mallory = _signed(theirs, _page(theirs), devices["mallory"], _accounts(people["mallory"])[0])
    _refused(run, held, of_mallory | mine | {"account": first}, wrong)
    # what was refused once is spent
    form = _signed(held, page, devices["alice"], first)
    _refused(run, held, form | {"account": second}, wrong)
    good = _signed(held, page, devices["alice"], first)
    assert held.post("/consent", good).status_code == 303
    assert [row["reason"] for row in run.world.events("payment.approved")] == ["webauthn"]


def code_of_something_else(run: Run) -> None:
    """A code that opened a session approves no payment, and one that approved opens nothing."""
    services = run.world.services
    alice = person(run)
    register(run, "shop")
    give_app(services, alice)
    held, waiting, other = (browser(run, "alice") for _ in range(3))
    page, account = _page(waiting), _accounts(alice)[0]
    form = hidden_fields(page.text, "/consent") | {"account": account, "decision": "approve"}
    code = fresh_code(services, alice)
    assert prove(held, code).status_code == 303
    _refused(run, waiting, form | {"code": code}, "mfa.replay/totp")
    run.clock.walk(60)
    code = fresh_code(services, alice)
    assert waiting.post("/consent", form | {"code": code}).status_code == 303
    answer = prove(other, code)
    assert (answer.status_code, reasons_of(run, answer)) == (401, ["mfa.replay/totp"])
    assert [row["reason"] for row in run.world.events("payment.approved")] == ["totp"]


def guessed_on_the_page(run: Run) -> None:
    """Codes guessed where a payment waits count with all others: after five a right one opens nothing."""
    services = run.world.services
    alice = person(run)
    register(run, "shop")
    give_app(services, alice)
    held = browser(run, "alice")
    form = hidden_fields(_page(held).text, "/consent") | {
        "account": _accounts(alice)[0],
        "decision": "approve",
    }
    for _ in range(4):
        _refused(run, held, form | {"code": "00000x"}, "mfa.failed/totp")
    _refused(run, held, form | {"code": "00000x"}, "mfa.failed/totp", "account.blocked/five_failures")
    _refused(run, held, form | {"code": fresh_code(services, alice)}, "mfa.failed/totp")
