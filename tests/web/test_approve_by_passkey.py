"""A passkey approves exactly the payment that was shown; its signature fits nothing else, nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from approving import Payer, make_payer
from asking import IBAN, Asking, answer, payment, start
from flask import Flask
from plugins.app import Moving
from plugins.factors import code_for, give_apps
from plugins.people import Browser, hidden_fields
from soft_authenticator import ORIGIN
from sqlalchemy import delete, select

from authserver import crypto
from authserver.db import table_of
from authserver.login import webauthn
from authserver.login.webauthn import public_key
from authserver.models.webauthn import WebauthnCredential
from authserver.oauth.payment_evidence import Evidence, Kept, table
from authserver.oauth.payment_evidence_check import faults

credentials = table_of(WebauthnCredential)


@pytest.fixture
def strict(make_app: Callable[..., Flask]) -> Asking:
    """As production has it: passkeys alone approve payments."""
    return Asking(make_app(payment_sca="webauthn"))


@pytest.fixture
def alice(strict: Asking) -> Payer:
    return make_payer(strict)


def kept_by(asking: Asking) -> Kept:
    """The only evidence."""
    services = asking.world.services
    with services.database.reading() as connection:
        evidence_id = connection.execute(select(table.c.evidence_id)).scalar_one()
    kept = services.payment_evidences.find(evidence_id)
    assert kept is not None
    return kept


def nothing_was_approved(asking: Asking) -> bool:
    with asking.world.services.database.reading() as connection:
        none = connection.execute(select(table)).first() is None
    return none and asking.rows()["codes"] == 0


@pytest.mark.spec("PSD2 RTS", "5(1)")
def test_a_passkey_approves_what_it_signed_for_and_the_proof_outlives_it(
    strict: Asking, alice: Payer
) -> None:
    page = alice.receipt()
    assert 'name="code"' not in page.text
    asked = alice.challenge(page, 1)
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.json["publicKey"]["userVerification"] == "required"
    done = alice.approve(page, alice.signed(page, 1))
    body = strict.redeem(answer(done)["code"], "pay1").json
    claims = strict.world.services.keys.verify(body["access_token"], ["at+jwt"])
    assert (claims["acr"], claims["amr"]) == ("phr", ["pwd", "pop", "user", "mfa"])
    (approved,) = claims["authorization_details"]
    assert approved["debtorAccount"]["iban"] == alice.accounts[1]
    kept = kept_by(strict)
    assert approved["approval"] == kept.evidence.reference
    members = kept.evidence.members
    assert (members["kind"], members["rpId"], members["origin"]) == ("webauthn", "localhost", ORIGIN)
    challenge = json.loads(crypto.b64u_decode(members["clientDataJSON"]))["challenge"]
    assert challenge == crypto.b64u(crypto.sha256(members["canonicalForm"].encode()))
    # the passkey is gone, the proof is not
    with strict.world.services.database.writing() as connection:
        connection.execute(delete(credentials))
    kept = kept_by(strict)
    assert faults(kept, crypto.b64u(kept.digest), public_key.signed) == []


def test_a_signature_fits_no_other_account_payment_or_words(alice: Payer, strict: Asking) -> None:
    page = alice.receipt()
    signed = alice.signed(page)
    other = alice.approve(page, signed | {"account": alice.accounts[1]})
    assert other.status_code == 401
    assert "nothing was paid" in other.text
    dearer = payment(instructedAmount={"amount": "999.00", "currency": "EUR"})
    for changes in (
        {"authorization_details": dearer},
        {"authorization_details": payment(creditorName="Merchant B")},
        {"authorization_details": payment(creditorAccount={"iban": "DE75512108001245126199"})},
        # the same payment, asked for once more
        {},
        {"ui_locales": "de"},
    ):
        another = alice.receipt(**changes)
        refused = alice.approve(another, alice.signed(page))
        assert refused.status_code == 401, changes
    # the page of one payment, sent for another one that waits in another tab
    mixed = hidden_fields(page.text, "/consent") | {"txn": hidden_fields(another.text, "/consent")["txn"]}
    sent = alice.browser.post("/consent", mixed | alice.signed(page) | {"decision": "approve"})
    assert sent.status_code in (401, 409)
    assert nothing_was_approved(strict)
    assert set(strict.reasons("webauthn.rejected")) == {"challenge"}
    assert "code" in answer(alice.approve(page, alice.signed(page)))


def test_words_that_change_under_the_page_void_the_signature(alice: Payer, strict: Asking) -> None:
    page = alice.receipt()
    signed = alice.signed(page)
    clients = strict.world.services.clients
    with clients._changing("pay1", {"client_name": "Merchant Z"}):
        pass
    strict.world.services.versions.forget()
    assert alice.approve(page, signed).status_code == 409
    assert alice.challenge(page).status_code == 409
    again = alice.receipt()
    fields = hidden_fields(again.text, "/consent") | {"txn": hidden_fields(page.text, "/consent")["txn"]}
    assert alice.browser.post("/consent", fields | signed | {"decision": "approve"}).status_code == 401
    assert nothing_was_approved(strict)


def test_a_signature_counts_once(alice: Payer, strict: Asking) -> None:
    first = alice.receipt()
    signed = alice.signed(first)
    # refused once for another account, it is worth nothing for its own either
    assert alice.approve(first, signed | {"account": alice.accounts[1]}).status_code == 401
    signed = alice.signed(first)
    assert "code" in answer(alice.approve(first, signed))
    assert alice.approve(first, signed).status_code == 409
    assert strict.rows()["codes"] == 1


def test_a_challenge_is_good_for_five_minutes(strict: Asking, moving_clock: Moving) -> None:
    alice = make_payer(strict)
    page = alice.receipt()
    signed = alice.signed(page)
    moving_clock.walk(200)
    alice.browser.get("/account")
    moving_clock.walk(101)
    assert alice.approve(page, signed).status_code == 401
    assert strict.reasons("webauthn.rejected") == ["challenge_expired"]
    assert "code" in answer(alice.approve(page, alice.signed(page)))


def test_nothing_is_approved_by_a_nonce_of_ones_own(alice: Payer, strict: Asking) -> None:
    page = alice.receipt()
    statement_nonce = crypto.b64u(crypto.random_bytes(32))
    asked = alice.challenge(page).json
    # whoever knows how the challenge is made can make another one, which nobody asked for
    form = {"nonce": statement_nonce, "account": alice.accounts[0]}
    signature = alice.device.sign(asked["publicKey"])
    for nonce in (statement_nonce, "", "x", asked["nonce"] + "A"):
        refused = alice.approve(page, form | {"nonce": nonce, "assertion": json.dumps(signature)})
        assert refused.status_code == 401
    assert nothing_was_approved(strict)


def test_nobody_approves_by_the_challenge_or_the_passkey_of_another(alice: Payer, strict: Asking) -> None:
    mallory = make_payer(strict, "mallory")
    page, theirs = alice.receipt(), mallory.receipt()
    # mallory's own signature over her own challenge, on alice's page and the other way round
    assert alice.approve(page, mallory.signed(theirs) | {"account": alice.accounts[0]}).status_code == 401
    asked = alice.challenge(page).json
    for changes in ({}, {"handle": alice.user_id.encode()}, {"handle": None}):
        forged = mallory.device.sign(asked["publicKey"] | {"allowCredentials": []}, **changes)
        fields = {"nonce": asked["nonce"], "assertion": json.dumps(forged), "account": alice.accounts[0]}
        assert alice.approve(page, fields).status_code == 401
    # another session of the same person is another session
    elsewhere = Payer(strict, alice.user_id, Browser(strict.app), alice.device)
    give_none = elsewhere.browser.log_in()
    assert give_none.status_code == 303
    there = elsewhere.receipt()
    assert elsewhere.approve(there, alice.signed(page)).status_code == 401
    assert nothing_was_approved(strict)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type_": "webauthn.create"}, "type"),
        ({"type_": "payment.get"}, "type"),
        ({"origin": "https://evil.example"}, "origin"),
        ({"crossOrigin": True}, "cross_origin"),
        ({"rp_id": "evil.example"}, "rp_id"),
        ({"flags": 0x01}, "user_verification"),
        ({"flags": 0x04}, "user_verification"),
    ],
)
def test_a_signature_made_elsewhere_or_by_nobody_approves_nothing(
    alice: Payer, strict: Asking, changes: dict[str, Any], reason: str
) -> None:
    page = alice.receipt()
    assert alice.approve(page, alice.signed(page, **changes)).status_code == 401
    assert strict.reasons("webauthn.rejected") == [reason]
    assert nothing_was_approved(strict)


def test_a_code_does_not_do_where_the_client_wants_more(make_app: Callable[..., Flask]) -> None:
    asking = Asking(make_app(payment_sca="totp"))
    alice = make_payer(asking)
    give_apps(asking.world.services)
    both = alice.receipt()
    assert 'name="code"' in both.text and 'data-webauthn="payment"' in both.text
    claims = json.dumps({"id_token": {"acr": {"essential": True, "values": ["phr"]}}})
    page = alice.receipt(claims=claims)
    assert 'name="code"' not in page.text
    code = code_for(asking.world.services, alice.browser.cookie("sid"))
    assert alice.approve(page, {"account": alice.accounts[0], "code": code}).status_code == 401
    assert nothing_was_approved(asking)
    body = asking.redeem(answer(alice.approve(page, alice.signed(page)))["code"], "pay1").json
    assert asking.world.services.keys.verify(body["access_token"], ["at+jwt"])["acr"] == "phr"


def test_the_script_gets_no_challenge_for_what_is_not_due(alice: Payer, strict: Asking) -> None:
    page = alice.receipt()
    assert alice.challenge(page, csrf="x").status_code == 403
    assert alice.challenge(page, shown="x").status_code == 409
    fields = hidden_fields(page.text, "/consent") | {"account": IBAN}
    assert alice.browser.post("/consent/payment-challenge", fields).status_code == 400
    stranger = Browser(strict.app)
    fields = hidden_fields(page.text, "/consent") | {"account": alice.accounts[0]}
    assert stranger.post("/consent/payment-challenge", fields).status_code == 403
    plain = start(alice.browser)
    fields = hidden_fields(plain.text, "/consent") | {"account": alice.accounts[0]}
    assert alice.browser.post("/consent/payment-challenge", fields).status_code == 409


def test_a_passkey_that_was_removed_meanwhile_approves_nothing(
    alice: Payer, strict: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = alice.receipt()
    signed = alice.signed(page)
    verify = webauthn.Assertions.verify

    def removed(*arguments: Any) -> Any:
        found = verify(*arguments)
        with strict.world.services.database.writing() as connection:
            connection.execute(delete(credentials))
        return found

    monkeypatch.setattr(webauthn.Assertions, "verify", removed)
    assert alice.approve(page, signed).location.startswith("/authorize/resume")
    assert nothing_was_approved(strict)


def test_guesses_of_others_do_not_keep_out_who_is_in_and_has_a_passkey(strict: Asking, alice: Payer) -> None:
    services = strict.world.services
    half = Browser(strict.app)
    assert half.log_in().status_code == 303
    waits = Payer(strict, alice.user_id, half, alice.device)
    page, theirs = alice.receipt(), waits.receipt()
    stranger = Browser(strict.app)
    for _ in range(5):
        stranger.log_in(password="not hers")
    assert strict.reasons("account.blocked") == ["five_failures"]
    # a session that was never whole stays locked: its password may be what was stolen
    locked = waits.approve(theirs, waits.signed(theirs))
    assert locked.location.startswith("/authorize/resume")
    assert nothing_was_approved(strict)
    assert "code" in answer(alice.approve(page, alice.signed(page)))
    assert services.users.must(alice.user_id).failures == 0


@pytest.mark.parametrize(
    ("member", "value", "fault"),
    [
        ("canonicalForm", None, "signed for another payment"),
        ("lines", ["You pay 1.00 EUR"], "other lines"),
        ("language", "de", "other language"),
        ("signature", crypto.b64u(b"x" * 70), "signature is wrong"),
        ("origin", "https://evil.example", "another site"),
        ("rpId", "evil.example", "another site"),
        ("publicKey", crypto.b64u(b"\x00"), "cannot be read"),
        ("authenticatorData", crypto.b64u(bytes(37)), "Nobody was there"),
        ("kind", "totp", "another kind"),
    ],
)
def test_evidence_that_was_changed_does_not_hold(
    alice: Payer, strict: Asking, member: str, value: Any, fault: str
) -> None:
    page = alice.receipt()
    answer(alice.approve(page, alice.signed(page)))
    kept = kept_by(strict)
    members = kept.evidence.members
    if value is None:
        value = members["canonicalForm"].replace('"amount":"123.50"', '"amount":"923.50"')
        assert value != members["canonicalForm"]
    changed = Evidence(kept.evidence.evidence_id, "webauthn", json.dumps(members | {member: value}).encode())
    found = faults(
        Kept(changed, kept.gid, kept.user_id, changed.digest, kept.created_at),
        crypto.b64u(kept.digest),
        public_key.signed,
    )
    assert any(fault in one for one in found), found
    # and the log knows another one
    assert "The audit log has another digest of it." in found
