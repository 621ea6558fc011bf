"""An operator proves, long after and without anybody's passkey, what was approved and what the payer read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from approving import make_payer
from asking import Asking, answer, decide, payment, start
from click.testing import CliRunner, Result
from flask import Flask
from plugins.app import MASTER, Moving
from sqlalchemy import delete, select, update

from authserver.audit.chain import rows
from authserver.cli import main
from authserver.db import table_of
from authserver.models.webauthn import WebauthnCredential
from authserver.oauth.payment_evidence import table

Run = Callable[..., Result]
PAYS = {"scope": "openid payments:initiate", "authorization_details": payment()}


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on this test's database, in this process."""
    for name, value in {
        "DATABASE_URL": database_url,
        "INSTANCE_DIR": str(tmp_path),
        "MASTER_KEYS": MASTER,
        "PAYMENT_SCA": "totp",
    }.items():
        monkeypatch.setenv(f"AUTHSERVER_{name}", value)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


def evidence_id(asking: Asking) -> str:
    """The id of the newest evidence, which its payer's bank statement and the token name too."""
    events = asking.events("payment.approved")
    return str(events[-1]["detail"]["evidence"])


def test_what_a_passkey_signed_is_proved_offline_and_told_in_the_payers_words(
    run: Run, asking: Asking
) -> None:
    alice = make_payer(asking)
    page = alice.receipt(ui_locales="de")
    answer(alice.approve(page, alice.signed(page, 1)))
    id_ = evidence_id(asking)
    # where somebody who has only the payer's name finds it
    assert f"  evidence={id_}  gid=" in run("audit", "tail", "--user", "alice", "--event", "payment").stdout
    # neither the passkey nor its owner's session is needed
    with asking.world.services.database.writing() as connection:
        connection.execute(delete(table_of(WebauthnCredential)))
    result = run("audit", "payment-evidence", id_)
    assert result.exit_code == 0, result.output
    for part in ("The evidence holds.", "by alice", "Merchant A", "123,50", "Sparkonto", "RTS art. 5(1)"):
        assert part in result.output, part
    told = json.loads(run("audit", "payment-evidence", "--json", id_).stdout)
    assert (told["faults"], told["kind"], told["language"]) == ([], "webauthn", "de")
    read = asking.events("payment.evidence.read")
    assert [row["detail"]["evidence"] for row in read] == [id_] * 2
    assert read[0]["actor"].startswith("operator:")


def test_of_a_code_it_says_that_it_is_bound_to_no_payment(run: Run, asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    answer(decide(browser, start(browser, "pay1", **PAYS)))
    result = run("audit", "payment-evidence", evidence_id(asking))
    assert result.exit_code == 0, result.output
    assert "RTS art. 5(1) is not met" in result.output
    assert "PSD2 RTS art. 5(1) is not met" in run("status").output


def test_of_an_exemption_it_names_the_article_and_proves_the_choice_that_it_rests_on(
    run: Run, make_app: Callable[..., Flask], moving_clock: Moving
) -> None:
    settings = ("low_value", "trusted_payee", "recurring")
    asking = Asking(make_app(payment_sca="webauthn", **{f"sca_exempt_{name}": True for name in settings}))
    alice = make_payer(asking)
    database = asking.world.services.database

    def pays(amount: str, name: str, next_time: str = "") -> str:
        moving_clock.walk(1)
        details = payment(instructedAmount={"amount": amount, "currency": "EUR"}, creditorName=name)
        page = alice.receipt(authorization_details=details)
        fields = {"account": alice.accounts[0]}
        if next_time:
            asked = alice.challenge(page, next_time=next_time).json
            assertion = json.dumps(alice.device.sign(asked["publicKey"]))
            fields |= {"nonce": asked["nonce"], "assertion": assertion, "next_time": next_time}
        answer(alice.approve(page, fields))
        return evidence_id(asking)

    chosen = [pays("50.00", "Grocer", "payee"), pays("900.00", "Landlord", "amount")]
    paid = [pays("5.00", "Grocer"), pays("75.00", "Grocer"), pays("900.00", "Landlord")]
    for id_, article, rests_on in zip(paid, ("16", "13", "14"), ("", *chosen), strict=True):
        result = run("audit", "payment-evidence", id_)
        assert result.exit_code == 0, result.output
        assert f"PSD2 RTS art. {article}." in result.output and "The evidence holds." in result.output
        assert (f"They chose so in the evidence {rests_on}." in result.output) == bool(rests_on)
        told = json.loads(run("audit", "payment-evidence", "--json", id_).stdout)
        assert told.get("list_evidence", "") == rests_on
    result = run("audit", "payment-evidence", chosen[0])
    assert "Your passkey or code the next time: Do not ask again for this payee" in result.output
    # an exemption that rests on a choice which is not proved any more is not either
    with database.writing() as connection:
        connection.execute(update(table).where(table.c.evidence_id == chosen[0]).values(user_id="x"))
        connection.execute(delete(table).where(table.c.evidence_id == chosen[1]))
    unopened, gone = (run("audit", "payment-evidence", id_) for id_ in paid[1:])
    assert "The evidence of the payer's choice cannot be opened." in unopened.output
    assert "There is no evidence of the payer's choice." in gone.output
    assert (unopened.exit_code, gone.exit_code) == (1, 1)


def test_evidence_that_was_changed_or_is_missing_from_the_log_fails(
    run: Run, asking: Asking, make_app: Callable[..., Flask]
) -> None:
    database = asking.world.services.database
    alice = make_payer(asking)
    ids = []
    for _ in range(2):
        page = alice.receipt()
        answer(alice.approve(page, alice.signed(page)))
        ids.append(evidence_id(asking))
    first, second = ids
    with database.writing() as connection:
        # somebody with the database puts the evidence of one payment in the place of another's
        (sealed,) = connection.execute(select(table.c.sealed).where(table.c.evidence_id == second)).scalars()
        connection.execute(update(table).where(table.c.evidence_id == first).values(sealed=sealed))
        mine = rows.c.event == "payment.approved"
        last = connection.execute(select(rows.c.id).where(mine).order_by(rows.c.id.desc()).limit(1)).scalar()
        connection.execute(delete(rows).where(rows.c.id == last))
    replaced, unlogged = (run("audit", "payment-evidence", id_) for id_ in ids)
    assert (replaced.exit_code, unlogged.exit_code) == (1, 1)
    assert "cannot be opened" in replaced.output
    assert "The audit log has no row of it." in unlogged.output
    assert run("audit", "payment-evidence", "nothing-of-this-name").exit_code == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"gid": "of-another-payment"},
        {"kind": "exemption"},
        {"exempt_cents": 1},
        {"created_at": table.c.created_at + 1},
        {"expires_at": table.c.expires_at + 1},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_no_column_beside_what_is_sealed_can_be_changed(
    run: Run, asking: Asking, changed: dict[str, Any]
) -> None:
    browser = asking.browser(logged_in=True)
    answer(decide(browser, start(browser, "pay1", **PAYS)))
    with asking.world.services.database.writing() as connection:
        connection.execute(update(table).values(changed))
    result = run("audit", "payment-evidence", evidence_id(asking))
    assert result.exit_code == 1, result.output
    assert "cannot be opened" in result.output
