"""Payments that somebody would rather have approved unseen, larger, or for somebody else."""

from __future__ import annotations

import copy
import html
import json
from typing import Any

from asking import PAYMENT
from plugins.app import PAYMENTS
from plugins.factors import give_apps

from authserver.oauth.payment import DemoAccounts

from .. import cast, flows
from ..browsers import answer, first_account
from ..runner import Run
from ..wire import Reply

SCOPE = "openid payments:initiate"
CALLBACK = "https://pay.example/cb"
# of this member a payment has none
GONE = "<absent>"
REFUSED: dict[str, Any] = {
    "status": 303,
    "location": {"startswith": f"{CALLBACK}?", "params": {"state": "S1"}, "absent": ["code"]},
}


def details_refused(
    run: Run, path: str, values: list[Any], reason: str, error: str = "invalid_authorization_details"
) -> None:
    """A payment with each of ``values`` at ``path`` is refused as it arrives, and the client is told."""
    cast.client(run.world, "pay1")
    for value in values:
        _refused(run, json.dumps([_changed(path, value)]), reason, error)


def texts_refused(
    run: Run, texts: list[str], reason: str, error: str = "invalid_authorization_details"
) -> None:
    """Each of ``texts`` in place of the details is refused alike."""
    cast.client(run.world, "pay1")
    for text in texts:
        _refused(run, text.replace("PAYMENT", json.dumps(PAYMENT)), reason, error)


def nested_refused(run: Run, depths: list[int], reason: str) -> None:
    """Arrays in arrays, of each of ``depths`` are refused in place of the details."""
    nested = ["[" * n + "]" * n for n in depths]
    texts_refused(run, nested, reason)


def _refused(run: Run, text: str, reason: str, error: str) -> None:
    params = {"state": "S1", "error": error}
    expect = REFUSED | {"location": REFUSED["location"] | {"params": params}}
    for method in ("GET", "POST"):
        run.send(expect | {"audit": [f"authz.rejected/{reason}"]}, **_ask(f"{method} /authorize", text))


def details_taken(run: Run, path: str, values: list[Any]) -> None:
    """Control: a payment with each of ``values`` at ``path`` waits for a person."""
    cast.client(run.world, "pay1")
    for value in values:
        expect = {
            "status": 303,
            "location": {"startswith": "/authorize/resume?request="},
            "rows": {"interaction": 1},
        }
        run.send(expect, **_ask("GET /authorize", json.dumps([_changed(path, value)])))


def shown_and_carried(run: Run, payments: list[dict[str, Any]]) -> None:
    """What the page shows, the token carries and the API is told is one payment, and its payer's account."""
    cast.client(run.world, "pay1")
    for changes in payments:
        asked = PAYMENT | changes
        page = _page(run, json.dumps([asked]))
        amount = asked["instructedAmount"]
        for text in (
            amount["amount"].partition(".")[2], amount["currency"], asked["creditorName"], "pay1",
            " ".join(asked["creditorAccount"]["iban"][i : i + 4] for i in range(0, 34, 4)).strip(),
            asked.get("remittanceInformationUnstructured", ""), asked["creditorAccount"].get("bic", ""),
        ):  # fmt: skip
            assert str(html.escape(text)) in page.text or text in html.unescape(page.text), text
        given = _approve(run, page)
        kept = run.world.events("payment.approved")[-1]["detail"]
        reference = {"id": kept["evidence"], "digest": kept["digest"]}
        approved = [asked | {"debtorAccount": {"iban": _payer(run)}, "approval": reference}]
        redeemed = _redeem(run, given["code"])
        assert redeemed.json["authorization_details"] == approved
        assert "refresh_token" not in redeemed.json
        told = run.send(
            {"status": 200, "body": {"active": True}},
            **{
                "send": "POST /introspect",
                "as": "rs_payments",
                "form": {"token": redeemed.json["access_token"]},
            },
        )
        assert told.json["authorization_details"] == approved
    numbers = [asked["creditorAccount"]["iban"], approved[0]["debtorAccount"]["iban"]]
    rows = json.dumps(run.world.events())
    assert not any(number in rows for number in numbers)


def changed_at_the_token(run: Run, client: str = "pay1") -> None:
    """Other details at the token endpoint than were approved get nothing, and do not spend the code."""
    cast.client(run.world, client)
    payer = _payer(run)
    code = flows.code(run, client, changes=_details(json.dumps([PAYMENT])))["code"]
    paid = PAYMENT | {"debtorAccount": {"iban": payer}}
    others: list[Any] = [
        [_changed("instructedAmount.amount", "9999.00")],
        [_changed("instructedAmount.amount", "0.01")],
        [_changed("instructedAmount.currency", "USD")],
        [_changed("creditorName", "Merchant B")],
        [_changed("creditorAccount.iban", "DE75512108001245126199")],
        [_changed("remittanceInformationUnstructured", "more")],
        [_changed("actions", ["initiate"])],
        [_changed("creditorName", GONE)],
        [_changed("type", "account_information")],
        [PAYMENT, PAYMENT],
        [PAYMENT, _changed("instructedAmount.amount", "9999.00")],
        [paid, PAYMENT],
        [paid | {"debtorAccount": {"iban": PAYMENT["creditorAccount"]["iban"]}}],
        [{"type": "payment_initiation"}],
        [{}],
        [None],
        ["payment_initiation"],
    ]
    for details in others:
        _not_given(run, code, json.dumps(details), "rar_exceeds_grant")
    for text in (
        "[]",
        "{",
        "null",
        "{}",
        json.dumps(PAYMENT),
        '"x"',
        "[NaN]",
        "[" * 2000,
        f"[{json.dumps(PAYMENT)}",
    ):
        _not_given(run, code, text, "rar_format")
    redeemed = _redeem(run, code, authorization_details=json.dumps([dict(reversed(PAYMENT.items()))]))
    (given,) = redeemed.json["authorization_details"]
    assert given == paid | {"approval": given["approval"]}
    again = flows.code(run, client, changes=_details(json.dumps([PAYMENT])))["code"]
    kept = run.world.events("payment.approved")[-1]["detail"]
    approved = paid | {"approval": {"id": kept["evidence"], "digest": kept["digest"]}}
    _not_given(run, again, json.dumps([paid]), "rar_exceeds_grant")
    _not_given(run, again, json.dumps([approved | {"approval": given["approval"]}]), "rar_exceeds_grant")
    redeemed = _redeem(run, again, authorization_details=json.dumps([approved]))
    assert redeemed.json["authorization_details"] == [approved]


def _not_given(run: Run, code: str, text: str, reason: str) -> None:
    expect = {
        "status": 400,
        "error": "invalid_authorization_details",
        "audit": [f"token.rejected/{reason}"],
    }
    run.send(expect, **_redemption(code, authorization_details=text))


def never_remembered(run: Run) -> None:
    """Approved yesterday, the same payment is asked for again, as often as it comes, and never in silence."""
    cast.client(run.world, "pay1")
    details = json.dumps([PAYMENT])
    for _ in range(3):
        page = _page(run, details)
        assert "123.50" in html.unescape(page.text) and "Merchant A" in page.text
        assert "code" in _approve(run, page)
    run.clock.walk(86_400)
    flows.log_in(run, "alice")
    # scopes that are allowed for good make no difference to a payment that asks for no other ones
    assert "code" in flows.code(run, "pay1", changes={"scope": "openid profile"})
    assert "code" in flows.code(run, "pay1", changes={"scope": "openid profile", "prompt": "none"})
    remembered = json.dumps([PAYMENT | {"locations": [PAYMENTS]}])
    refused = REFUSED | {
        "location": REFUSED["location"] | {"params": {"error": "consent_required", "state": "S1"}},
        "rows": {"interaction": 1},
        "audit": ["authz.rejected/prompt_none"],
    }
    for text, scope in ((details, SCOPE), (remembered, "openid profile")):
        asked = _details(text) | {"scope": scope}
        silent = _ask("GET /authorize", text) | {"set": asked | {"prompt": "none"}}
        run.send(refused, **silent, browser="alice", follow=True)
        for changes in ({}, {"prompt": "consent"}, {"max_age": "10000"}, {"login_hint": "alice"}):
            _page(run, text, **{"scope": scope} | changes)
    told = [row["reason"] for row in run.world.events("authz.interaction")]
    assert told.count("consent_required") >= 11


def answered_by_address(run: Run) -> None:
    """Looking at the page with every field of its form in the address approves nothing; one answer does."""
    cast.client(run.world, "pay1")
    page = _page(run, json.dumps([PAYMENT]))
    form = run.browser("alice").form("/consent") | {"decision": "approve"} | first_account(page)
    for method in ("HEAD", "GET"):
        query = "&".join(f"{name}={value}" for name, value in form.items())
        target = f"{method} /consent?request={form['txn']}&{query}"
        run.send({"status": 200}, send=target, browser="alice")
    bad = {"status": 400, "page": True}
    for account in (
        "",
        PAYMENT["creditorAccount"]["iban"],
        _payer(run).lower(),
        "0",
        DemoAccounts().of("x")[0].iban,
    ):
        run.send(bad, send="POST /consent", browser="alice", fill={"decision": "approve", "account": account})
    for decision in ("", "APPROVE", "yes", "approve "):
        run.send(
            bad, send="POST /consent", browser="alice", fill={"decision": decision} | first_account(page)
        )
    lies = {
        "amount": "9999.00", "instructedAmount": "9999.00", "creditorName": "Merchant B", "user_id": "x",
        "authorization_details": "[]", "client_id": "web1", "scope": "openid accounts:read",
        "redirect_uri": "https://evil.example",
    }  # fmt: skip
    fill = {"decision": "approve", "code": flows.app_code(run)} | first_account(page) | lies
    done = run.send(
        {"status": 303, "codes": 1, "rows": None}, send="POST /consent", browser="alice", fill=fill
    )
    told = answer(done)
    assert told is not None and told[0].startswith(f"{CALLBACK}?")
    redeemed = _redeem(run, told[1]["code"])
    (told_of,) = redeemed.json["authorization_details"]
    assert told_of == PAYMENT | {"debtorAccount": {"iban": _payer(run)}, "approval": told_of["approval"]}
    run.send({"status": 409, "page": True}, send="POST /consent", browser="alice", form=form)


def nobody_elses(run: Run) -> None:
    """A payment that waits for one person is approved by no other one, in no other browser."""
    cast.client(run.world, "pay1")
    _page(run, json.dumps([PAYMENT]))
    form = run.browser("alice").form("/consent") | {"decision": "approve", "account": _payer(run)}
    flows.log_in(run, "mallory")
    refused = {"status": 403, "page": True, "audit": ["csrf.rejected"]}
    run.send(refused, send="POST /consent", browser="mallory", form=form)
    run.send(refused, send=f"GET /consent?request={form['txn']}", browser="mallory")
    run.send(refused, send=f"GET /authorize/resume?request={form['txn']}", browser="mallory")
    run.send({"status": 403, "page": True}, send="POST /consent", browser="stranger", form=form)
    # mallory's own token for the same form opens nothing of alice's either
    page = _page(run, json.dumps([PAYMENT]), browser="mallory")
    own = run.browser("mallory").form("/consent")
    mixed = form | {"csrf": own["csrf"]} | first_account(page)
    run.send(refused, send="POST /consent", browser="mallory", form=mixed)
    # and her account is not among those that mallory may pay from
    run.send(
        {"status": 400, "page": True},
        send="POST /consent", browser="mallory", form=own | {"decision": "approve", "account": _payer(run)},
    )  # fmt: skip
    assert "code" in _approve(run, None)


def _page(run: Run, details: str, browser: str = "alice", **changes: str) -> Reply:
    """The page that asks for a payment; whoever has to logs in on the way."""
    step = _ask("GET /authorize", details)
    step["set"] |= changes
    run.person(browser)
    give_apps(run.world.services)
    page = run.send({"status": 200, "rows": None}, **step, browser=browser, follow=True)
    if "Approve this payment?" not in page.text:
        person = run.person(browser)
        fill = {"username": person.username, "password": person.password}
        page = run.send(
            {"status": 200, "rows": None}, send="POST /login", browser=browser, fill=fill, follow=True
        )
    assert "Approve this payment?" in page.text
    return page


def _approve(run: Run, page: Reply | None) -> dict[str, str]:
    """The authorization response to a click on the page that alice's browser shows."""
    shown = page or run.browser("alice").page
    assert shown is not None
    fill = {"decision": "approve", "code": flows.app_code(run)} | first_account(shown)
    done = run.send(
        {"status": 303, "codes": 1, "rows": None}, send="POST /consent", browser="alice", fill=fill
    )
    told = answer(done)
    assert told is not None
    return told[1]


def _redeem(run: Run, code: str, **form: str) -> Reply:
    expect = {"status": 200, "issued": 1, "rows": None, "audit": ["token.issued"]}
    return run.send(expect, **_redemption(code, **form))


def _redemption(code: str, **form: str) -> dict[str, Any]:
    usual = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": "{V1}",
    }
    return {"send": "POST /token", "as": "pay1", "form": usual | form}


def _ask(target: str, details: str) -> dict[str, Any]:
    return {"send": target, "base": "AZ", "client": "pay1", "set": _details(details)}


def _details(text: str) -> dict[str, str]:
    return {"scope": SCOPE, "authorization_details": text}


def _payer(run: Run) -> str:
    return DemoAccounts().of(run.person("alice").user_id)[0].iban


def _changed(path: str, value: Any) -> dict[str, Any]:
    """The payment with ``value`` at ``path``; an empty path changes nothing."""
    element = copy.deepcopy(PAYMENT)
    if not path:
        return element | value
    *above, name = path.split(".")
    place: Any = element
    for step in above:
        place = place[step]
    if value == GONE:
        place.pop(name, None)
    else:
        place[name] = value
    return element
