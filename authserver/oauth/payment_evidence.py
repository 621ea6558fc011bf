"""Evidence of approved payments: what a payer was told, what they signed for it, and where it rests.

A payment is approved for exactly what was shown: the challenge that a passkey signs is a digest over the
statement, so that another amount, payee, account or word needs another signature (PSD2 RTS art. 5(1)).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self

from sqlalchemy import Connection, insert, select

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..db import Database, table_of
from ..models.payment_evidence import PaymentEvidence
from ..purge import PAYMENT_KEPT
from . import canonical_json

# what the page looks like is told by its version: raised whenever templates/approve_payment.html says more.
# The second one asks besides what is to be done the next time
TEMPLATE, TEMPLATE_WITH_CHOICE = "approve_payment/1", "approve_payment/2"
NONCE_BYTES = 32
# the exemption of which amounts are counted
LOW_VALUE = "low_value"
# what may not be changed beside the content, which cannot have all of it: the token names its digest
BOUND = ("evidence_id", "gid", "user_id", "kind", "exempt_cents", "created_at", "expires_at")
table = table_of(PaymentEvidence)

Kind = Literal["webauthn", "totp", "exemption"]
# of payments like this one: whether a factor is asked for, for this payee, or for this amount to them
NextTime = Literal["ask", "payee", "amount"]


class LoggedIn(Protocol):
    """The session in which a payment was approved."""

    @property
    def sid(self) -> str: ...
    @property
    def user_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Statement:
    """What a payer approves: ``payment`` with their account, for which client and request, in which words.

    ``nonce`` is 256 random bits in base64url; ``lines`` are the text that they read, in ``language``.
    ``next_time`` is their choice for later payments, None where they had none.
    """

    payment: Mapping[str, Any]
    client_id: str
    request_id: str
    nonce: str
    language: str
    lines: tuple[str, ...]
    next_time: NextTime | None = None

    @property
    def template(self) -> str:
        """The version of the page that they read."""
        return TEMPLATE if self.next_time is None else TEMPLATE_WITH_CHOICE

    @property
    def canonical(self) -> bytes:
        """The one spelling of it (RFC 8785)."""
        # whatever else the token will carry of it is approved too
        optional = ("remittanceInformationUnstructured", "actions", "locations")
        given = {name: self.payment[name] for name in optional if name in self.payment}
        given |= {} if self.next_time is None else {"nextTime": self.next_time}
        return canonical_json.encode(
            {
                "amount": self.payment["instructedAmount"]["amount"],
                "currency": self.payment["instructedAmount"]["currency"],
                "creditorName": self.payment["creditorName"],
                "creditorAccount": self.payment["creditorAccount"],
                "debtorAccount": self.payment["debtorAccount"],
                "clientId": self.client_id,
                "requestId": self.request_id,
                "nonce": self.nonce,
                "template": self.template,
                "language": self.language,
                "lines": list(self.lines),
                **given,
            }
        )

    @property
    def challenge(self) -> bytes:
        """What a passkey signs: SHA-256 over the canonical form."""
        return crypto.sha256(self.canonical)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A statement and the proof that it was approved; ``content`` is what is sealed, in canonical form."""

    evidence_id: str
    kind: Kind
    content: bytes

    @classmethod
    def of(cls, statement: Statement, kind: Kind, proof: Mapping[str, str]) -> Self:
        """New evidence; ``proof`` has the members of its kind (docs/payments.md), bytes in base64url."""
        content = {
            "canonicalForm": statement.canonical.decode(),
            "kind": kind,
            "template": statement.template,
            "language": statement.language,
            "lines": list(statement.lines),
            "approvedAt": str(clock.now()),
            **proof,
        }
        return cls(crypto.random_token(128), kind, canonical_json.encode(content))

    @property
    def digest(self) -> bytes:
        """SHA-256 of the content."""
        return crypto.sha256(self.content)

    @property
    def reference(self) -> dict[str, str]:
        """How tokens name it."""
        return {"id": self.evidence_id, "digest": crypto.b64u(self.digest)}

    @property
    def exempt_cents(self) -> int | None:
        """The amount that counts for the bounds of low value (PSD2 RTS art. 16); None where none does."""
        members = self.members
        return int(members["cents"]) if members.get("exemption") == LOW_VALUE else None

    @property
    def members(self) -> dict[str, Any]:
        """The content as JSON."""
        return dict(json.loads(self.content))


@dataclass(frozen=True, slots=True)
class Kept:
    """Evidence as it rests, and the digest that the table has of it."""

    evidence: Evidence
    gid: str
    user_id: str
    digest: bytes
    created_at: int


class PaymentEvidences:
    """Keeps evidence and finds it."""

    def __init__(self, database: Database, master: crypto.MasterKeys, audit: Audit) -> None:
        self._database = database
        self._master = master
        self._audit = audit

    def keep_in(
        self, connection: Connection, evidence: Evidence, session: LoggedIn, gid: str, client_id: str
    ) -> None:
        """The evidence rests as long as the payment may be disputed; the log has its id and digest alone."""
        now = clock.now()
        values: dict[str, Any] = {
            "evidence_id": evidence.evidence_id,
            "gid": gid,
            "user_id": session.user_id,
            "kind": evidence.kind,
            "digest": evidence.digest,
            "exempt_cents": evidence.exempt_cents,
            "created_at": now,
            "expires_at": now + PAYMENT_KEPT,
        }
        values["sealed"] = self._master.seal(evidence.content, _place(values))
        connection.execute(insert(table).values(values))
        reference = evidence.reference
        detail: dict[str, Any] = {"evidence": reference["id"], "digest": reference["digest"], "gid": gid}
        entry = Entry(
            Event.PAYMENT_APPROVED,
            reason=evidence.kind,
            client_id=client_id,
            user_id=session.user_id,
            session_id=session.sid,
            detail=detail,
        )
        self._audit.record_in(connection, entry)
        if evidence.kind == "exemption":
            members = evidence.members
            rests_on = {"cents": int(members["cents"])} if "cents" in members else {}
            rests_on |= {"list_evidence": members["listEvidence"]} if "listEvidence" in members else {}
            reason, detail = members["exemption"], detail | rests_on
            entry = replace(entry, event=Event.PAYMENT_EXEMPTED, reason=reason, detail=detail)
            self._audit.record_in(connection, entry)

    def find(self, evidence_id: str) -> Kept | None:
        """The evidence of an id; None if there is none, SealBroken if it was changed where it rests."""
        with self._database.reading() as connection:
            query = select(table).where(table.c.evidence_id == evidence_id)
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        evidence = Evidence(evidence_id, row["kind"], self._master.open(row["sealed"], _place(dict(row))))
        return Kept(evidence, row["gid"], row["user_id"], row["digest"], row["created_at"])


def new_nonce() -> str:
    """256 random bits in base64url."""
    return crypto.b64u(crypto.random_bytes(NONCE_BYTES))


def _place(row: dict[str, Any]) -> str:
    """What the seal is bound to: whatever else the row says, apart from the digest of what is sealed."""
    said = [f"{name}={row[name]}" for name in BOUND]
    return "/".join(["payment_evidence/sealed", *said])
