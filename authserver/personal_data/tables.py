"""Every table that names a person: which columns of it they get a copy of, and what is left after erasure.

A test walks over all tables and all their columns: a new one is told, or left out for a reason that is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Table

from ..db import Base

# removed: its rows are deleted; kept: they stay for as long as ``because`` says; anonymised: the row stays,
# and nothing in it tells who it was
Fate = Literal["removed", "kept", "anonymised"]


@dataclass(frozen=True, slots=True)
class Held:
    """A table's columns: ``told`` to the person, or ``untold`` for the reason ``why``."""

    told: tuple[str, ...]
    untold: tuple[str, ...]
    why: str
    erased: Fate = "removed"
    because: str = ""


GUARDS = "what guards the account: whoever reads the copy could use it"
MINUTES = "gone within minutes by itself"
# the audit log is told row by row, opened, by ``Export``
TABLES: dict[str, Held] = {
    "user_account": Held(
        (
            "user_id", "username", "email", "name", "state", "groups", "password_changed_at", "last_used_at",
            "created_at", "email_verified_at", "phone", "language",
        ),
        ("password_hash", "failures", "locked_until", "locked_told", "version"),
        GUARDS,
        "anonymised",
        "payments that are kept name the row",
    ),
    "session": Held(
        (
            "sid", "user_id", "acr", "amr", "auth_time", "created_at", "last_seen_at", "expires_at",
            "ended_at", "client_ip", "user_agent",
        ),
        ("digest", "demand", "confirm", "change_password"),
        GUARDS,
    ),
    "consent_grant": Held(
        ("grant_id", "user_id", "client_id", "scopes", "created_at", "updated_at", "ended_at"), (), ""
    ),
    "authorization": Held(
        (
            "gid", "grant_id", "user_id", "client_id", "sid", "offline", "scopes", "audience",
            "authorization_details", "pays", "claims", "acr", "amr", "auth_time", "created_at", "expires_at",
            "ended_at",
        ),
        (),
        "",
        "kept",
        "payments for 400 days, in which they may be disputed (PSD2 art. 71(1)); the others leave in an hour",
    ),
    "payment_evidence": Held(
        ("evidence_id", "gid", "user_id", "kind", "exempt_cents", "created_at", "expires_at"),
        ("sealed", "digest"),
        "the proof of a payment, which authorization tells",
        "kept",
        "as long as the payment may be disputed and its approval must be proved (PSD2 art. 72(1))",
    ),
    "trusted_payee": Held(
        (
            "user_id", "amount", "currency", "evidence_id", "created_at", "last_used_at", "ended_at",
            "expires_at",
        ),
        ("id", "mac", "sealed"),
        "name and account of the payee are told opened",
        "kept",
        "ended by then, and for as long as a payment that was spared a factor by it may be disputed",
    ),
    "past_password": Held((), ("id", "user_id", "password_hash", "number"), GUARDS),
    "webauthn_credential": Held(
        (
            "user_id", "name", "aaguid", "transports", "attestation_format", "attested", "discoverable",
            "backup_eligible", "backed_up", "created_at", "last_used_at", "flagged_at",
        ),
        ("credential_id", "public_key", "sign_count"),
        GUARDS,
    ),
    "webauthn_challenge": Held(
        (), ("digest", "purpose", "binding", "user_id", "expires_at", "used_at"), MINUTES
    ),
    "sign_in": Held(
        (
            "user_id", "at", "country", "latitude", "longitude", "device", "client_id", "amount", "currency",
            "completed_at", "expires_at",
        ),
        (
            "id", "network", "wide", "agent", "anonymising", "account_failures", "address_failures",
            "neighbours", "verdict", "points", "sid",
        ),
        "how a sign-in is judged helps whoever wants to pass for somebody",
    ),
    "trusted_device": Held(
        ("user_id", "user_agent", "created_at", "last_seen_at", "expires_at", "revoked_at"),
        ("digest", "device_id"),
        GUARDS,
    ),
    "totp_secret": Held(
        ("totp_id", "user_id", "created_at", "confirmed_at", "last_used_at"),
        ("sid", "secret", "expires_at", "last_step", "misses"),
        GUARDS,
    ),
    "recovery_code": Held(("user_id", "created_at", "used_at"), ("digest",), GUARDS),
    "one_time_code": Held(
        ("user_id", "purpose", "channel", "created_at", "expires_at", "ended_at"),
        ("id", "sid", "mac", "tries"),
        GUARDS,
    ),
    "user_link": Held(
        ("user_id", "purpose", "created_at", "expires_at", "used_at"), ("digest",), GUARDS
    ),
    "outbox": Held(
        ("user_id", "channel", "template", "language", "created_at"),
        ("id", "sealed", "attempts", "due_at", "expires_at"),
        "codes and links on their way to the person",
    ),
    "logout_delivery": Held(
        (),
        ("id", "client_id", "user_id", "sid", "created_at", "attempts", "due_at"),
        "which application is being told of a sign-out",
        "kept",
        MINUTES,
    ),
    "email_change": Held(
        ("user_id", "email", "created_at", "expires_at"), ("digest",), GUARDS
    ),
    "erasure_request": Held(("user_id", "requested_at", "due_at"), (), ""),
    "person_key": Held(
        (),
        ("user_id", "sealed", "created_at", "destroyed_at"),
        "the key of what is told here opened",
        "kept",
        "the key itself is destroyed; the row says that it was",
    ),
    "audit_event": Held(
        ("at_ms", "event", "outcome", "client_id", "client_ip", "session_id"),
        (
            "id", "reason", "user_id", "actor", "request_id", "resource", "worker", "detail", "mac", "seq",
            "hash",
        ),
        "why something was refused helps whoever was refused; the rest is the server's own",
        "kept",
        "the log shows tampering only if it is whole; what is personal in it ends with the person's key",
    ),
}  # fmt: skip


def table(name: str) -> Table:
    """The table of this name."""
    return Base.metadata.tables[name]


def named(fate: Fate) -> list[Table]:
    """The tables with this fate, those that refer to others before them."""
    return [one for one in reversed(Base.metadata.sorted_tables) if _fate(one.name) == fate]


def _fate(name: str) -> str:
    held = TABLES.get(name)
    return "" if held is None else held.erased
