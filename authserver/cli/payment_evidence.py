"""authserver audit payment-evidence: prove again, from what was sealed, that a payment was approved."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import select

from ..audit import Entry, Event
from ..audit.chain import rows
from ..audit.record import Outcome
from ..crypto import SealBroken
from ..errors import NotDone
from ..login.webauthn import public_key
from ..oauth.payment_evidence import Kept
from ..oauth.payment_evidence_check import faults, list_faults
from ..services import Services
from .rooms import CommandOfIds, json_option, open_rooms, show

# of clocks, between the row of the evidence and that of the log
SPREAD_MS = 60_000
NOT_BOUND = "A code of an authenticator app is not bound to amount and payee: PSD2 RTS art. 5(1) is not met."
NOTES = {
    "webauthn": "Signed by a passkey over amount, payee and account: PSD2 RTS art. 5(1).",
    "totp": NOT_BOUND,
}
EXEMPT = "Approved without strong authentication, "
EXEMPTIONS = {
    "low_value": f"{EXEMPT}by an exemption of low value: PSD2 RTS art. 16.",
    "trusted_payee": f"{EXEMPT}to a payee whom the payer trusts: PSD2 RTS art. 13.",
    "recurring": f"{EXEMPT}of an amount that the payer chose to pay so: PSD2 RTS art. 14.",
    "low_risk": f"{EXEMPT}by transaction risk analysis: PSD2 RTS art. 18.",
}


@click.command("payment-evidence", cls=CommandOfIds)
@click.argument("evidence_id")
@json_option
def payment_evidence(evidence_id: str, as_json: bool) -> None:
    """Check the evidence of a payment again, and print what its payer read.

    The id is in the token, under authorization_details, and in the event payment.approved. Asks no
    authenticator and no network. Exits 1 if anything does not fit. Reading is an event itself.

    \b
    Example:
      authserver audit payment-evidence EVIDENCE_ID
    """
    services = open_rooms()
    try:
        kept = services.payment_evidences.find(evidence_id)
    except SealBroken:
        services.audit.record(_read(evidence_id, "failed"))
        why = "it was changed where it rests, or another key sealed it"
        raise NotDone(f"The evidence cannot be opened: {why}.") from None
    if kept is None:
        raise NotDone("There is no such evidence: it goes 400 days after the payment was approved.")
    found = _faults(services, kept)
    outcome: Outcome = "failed" if found else "succeeded"
    services.audit.record(_read(evidence_id, outcome, kept.user_id))
    told = _told(services, kept) | {"faults": found}
    show(told, as_json, _in_words(told))
    if found:
        sys.exit(1)


def _faults(services: Services, kept: Kept) -> list[str]:
    """What does not fit, in the evidence itself and in that of the choice that it rests on."""
    found = faults(kept, _logged(services, kept), public_key.signed)
    rests_on = kept.evidence.members.get("listEvidence")
    if rests_on is None:
        return found
    try:
        listed = services.payment_evidences.find(rests_on)
    except SealBroken:
        return [*found, "The evidence of the payer's choice cannot be opened."]
    found += list_faults(kept, listed)
    return found + ([] if listed is None else faults(listed, _logged(services, listed), public_key.signed))


def _read(evidence_id: str, outcome: Outcome, user_id: str = "") -> Entry:
    return Entry(Event.PAYMENT_EVIDENCE_READ, outcome, user_id=user_id, detail={"evidence": evidence_id})


def _logged(services: Services, kept: Kept) -> str | None:
    """The digest in the audit row of the approval; None if there is no such row."""
    at_ms = kept.created_at * 1000
    near = rows.c.at_ms.between(at_ms - SPREAD_MS, at_ms + SPREAD_MS)
    mine = (rows.c.event == Event.PAYMENT_APPROVED) & (rows.c.user_id == kept.user_id) & near
    with services.database.reading() as connection:
        details = connection.execute(select(rows.c.detail).where(mine)).scalars().all()
    named = (d["digest"] for d in details if d.get("evidence") == kept.evidence.evidence_id)
    return next(named, None)


def _told(services: Services, kept: Kept) -> dict[str, Any]:
    members, kind = kept.evidence.members, kept.evidence.kind
    user = services.users.get(kept.user_id)
    return {
        "id": kept.evidence.evidence_id,
        "kind": kind,
        "note": EXEMPTIONS[members["exemption"]] if kind == "exemption" else NOTES[kind],
        **({"list_evidence": members["listEvidence"]} if "listEvidence" in members else {}),
        "approved_at": datetime.fromtimestamp(int(members["approvedAt"]), UTC).isoformat(),
        "user": user.username if user else kept.user_id,
        "gid": kept.gid,
        "language": members["language"],
        "lines": members["lines"],
        "canonical_form": members["canonicalForm"],
    }


def _in_words(told: dict[str, Any]) -> str:
    head = f"Evidence {told['id']}: approved {told['approved_at']} by {told['user']}, gid {told['gid']}"
    read = [f"  {line}" for line in told["lines"]]
    judged = [f"! {fault}" for fault in told["faults"]] or ["The evidence holds."]
    chosen = [f"They chose so in the evidence {told['list_evidence']}."] if "list_evidence" in told else []
    language = f"What the payer read ({told['language']}):"
    return "\n".join([head, language, *read, told["note"], *chosen, *judged])
