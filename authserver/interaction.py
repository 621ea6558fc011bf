"""Which page comes next: a pure function of what was asked, who is there, and what they allowed before."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from .oauth.authorization_request import AuthorizationRequest
from .oauth.consent import Consents
from .oauth.interactions import InteractionRecord


class Step(StrEnum):
    """What a person meets next on the way to an answer."""

    LOGIN = "login"
    CONSENT = "consent"
    APPROVE_PAYMENT = "approve_payment"
    DONE = "done"
    REFUSE = "refuse"


class LoggedIn(Protocol):
    """What is asked of a session."""

    @property
    def digest(self) -> bytes: ...
    @property
    def user_id(self) -> str: ...
    @property
    def auth_time(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Next:
    """The step, why it is due (for the audit log), and with REFUSE the error code for the client."""

    step: Step
    reason: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Since:
    """When the request arrived, and the digest of the session that its browser had then, or None."""

    opened_at: int
    session: bytes | None


def next_step(
    request: AuthorizationRequest, session: LoggedIn | None, since: Since, *, consented: bool, now: int
) -> Next:
    """The step that is due (OpenID Connect Core §3.1.2.3, §3.1.2.4); ``consented`` for all its scopes."""
    silent = "none" in request.prompt
    due = _login_due(request, session, since, now)
    if due:
        if silent:
            return Next(Step.REFUSE, "prompt_none", "login_required")
        if due == "hint" and session is not None and _fresh(session, since):
            # they have just logged in, and as somebody else: asking again would go on for ever
            return Next(Step.REFUSE, "hint_subject", "login_required")
        return Next(Step.LOGIN, due)
    if request.payment is None and consented and "consent" not in request.prompt:
        return Next(Step.DONE)
    if silent:
        return Next(Step.REFUSE, "prompt_none", "consent_required")
    step = Step.CONSENT if request.payment is None else Step.APPROVE_PAYMENT
    return Next(step, "consent_required")


def due(interaction: InteractionRecord, session: LoggedIn | None, consents: Consents, now: int) -> Next:
    """``next_step`` for an interaction as it stands; one query where somebody is logged in."""
    request = interaction.request
    consented = session is not None and not consents.needed(request, session.user_id)
    since = Since(interaction.created_at, interaction.session_before)
    return next_step(request, session, since, consented=consented, now=now)


def _login_due(request: AuthorizationRequest, session: LoggedIn | None, since: Since, now: int) -> str:
    """Why the person must log in, or an empty string."""
    if session is None:
        return "session_missing"
    if request.hint_subject is not None and session.user_id != request.hint_subject:
        return "hint"
    if _fresh(session, since):
        return ""
    if request.prompt & {"login", "select_account"}:
        return "reauthentication"
    if request.max_age is not None and now - session.auth_time > request.max_age:
        return "reauthentication"
    # OpenID Connect Core §3.1.2.1: max_age=0 asks for the same as prompt=login
    return "reauthentication" if request.max_age == 0 else ""


def _fresh(session: LoggedIn, since: Since) -> bool:
    """Whether the person logged in for this very request."""
    return session.digest != since.session and session.auth_time >= since.opened_at
