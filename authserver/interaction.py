"""Which page comes next: a pure function of what was asked, who is there, and what they allowed before."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from . import acr
from .oauth.authorization_request import AuthorizationRequest
from .oauth.consent import Consents
from .oauth.interactions import InteractionRecord
from .oauth.subjects import Subjects


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
    def acr(self) -> str: ...
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


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever is there: whether the request lets them answer, whether they allowed all of its scopes before,
    and the authentication context class that they can reach at most.
    """

    wanted: bool = True
    consented: bool = False
    highest: str = acr.HIGHEST


def next_step(
    request: AuthorizationRequest, session: LoggedIn | None, since: Since, person: Person, now: int
) -> Next:
    """The step that is due (OpenID Connect Core §3.1.2.3, §3.1.2.4, §5.5.1)."""
    if request.acr_essential and acr.met(person.highest, request.acr_essential) is None:
        # no page could change it
        return _IN_VAIN["acr"]
    silent = "none" in request.prompt
    if due := _login_due(request, session, since, person, now):
        return _login(due, silent, session, since)
    if request.payment is None and person.consented and "consent" not in request.prompt:
        return Next(Step.DONE)
    if silent:
        # who is there is no business of a client that they have allowed nothing, though it guessed right
        return Next(Step.REFUSE, "prompt_none", "login_required" if request.subjects else "consent_required")
    step = Step.CONSENT if request.payment is None else Step.APPROVE_PAYMENT
    return Next(step, "consent_required")


def due(
    interaction: InteractionRecord,
    session: LoggedIn | None,
    consents: Consents,
    subjects: Subjects,
    now: int,
) -> Next:
    """``next_step`` for an interaction as it stands; one query where somebody is logged in."""
    request = interaction.request
    person = Person()
    if session is not None:
        consented = not consents.needed(request, session.user_id)
        # whom the request names is named as its client knows them
        named = request.subjects
        wanted = not named or subjects.known_as(request.client_id, session.user_id) in named
        person = Person(wanted, consented)
    since = Since(interaction.created_at, interaction.session_before)
    return next_step(request, session, since, person, now)


_IN_VAIN = {
    "hint": Next(Step.REFUSE, "hint_subject", "login_required"),
    "acr": Next(Step.REFUSE, "acr", "unmet_authentication_requirements"),
}


def _login_due(
    request: AuthorizationRequest, session: LoggedIn | None, since: Since, person: Person, now: int
) -> str:
    """Why the person must log in, or an empty string."""
    if session is None:
        return "session_missing"
    if not person.wanted:
        return "hint"
    if request.acr_essential and acr.met(session.acr, request.acr_essential) is None:
        return "acr"
    if _fresh(session, since):
        return ""
    # OpenID Connect Core §3.1.2.1: max_age=0 asks for the same as prompt=login
    over = request.max_age is not None and (not request.max_age or now - session.auth_time > request.max_age)
    return "reauthentication" if over or request.prompt & {"login", "select_account"} else ""


def _login(due: str, silent: bool, session: LoggedIn | None, since: Since) -> Next:
    """The login that is ``due``, or why there is none."""
    if silent:
        return Next(Step.REFUSE, "prompt_none", "login_required")
    if due in _IN_VAIN and session is not None and _fresh(session, since):
        # they have just logged in, and it did not do: asking again would go on for ever
        return _IN_VAIN[due]
    return Next(Step.LOGIN, due)


def _fresh(session: LoggedIn, since: Since) -> bool:
    """Whether the person logged in for this very request."""
    return session.digest != since.session and session.auth_time >= since.opened_at
