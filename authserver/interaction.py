"""Which page comes next: a pure function of what was asked, who is there, and what they allowed before."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from . import acr
from .login.mfa import Mfa
from .login.policy import Asked
from .oauth.authorization_request import AuthorizationRequest
from .oauth.consent import Consents
from .oauth.interactions import InteractionRecord
from .oauth.sca_exemptions import Analysis, Case, Exemptions
from .oauth.subjects import Subjects


class Step(StrEnum):
    """What a person meets next on the way to an answer."""

    LOGIN = "login"
    CONFIRM_DEVICE = "confirm_device"
    MFA = "mfa"
    ENROL = "enrol"
    CHANGE_PASSWORD = "change_password"  # noqa: S105 - the name of a step
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
    @property
    def demand(self) -> str: ...
    @property
    def confirm(self) -> bool: ...
    @property
    def change_password(self) -> bool: ...
    @property
    def complete(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Next:
    """The step, why it is due (for the audit log), and with REFUSE the error code for the client.

    ``acr`` is what a second factor, or the approval of a payment, must reach; empty for an exempt one.
    """

    step: Step
    reason: str = ""
    error: str = ""
    acr: str = ""


@dataclass(frozen=True, slots=True)
class Since:
    """When the request arrived, and the digest of the session that its browser had then, or None."""

    opened_at: int
    session: bytes | None


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever is there: whether the request lets them answer, and whether they allowed all its scopes before.

    ``highest`` is the authentication context class that their factors reach, ``demand`` what the policy wants
    of them for this request. A payment is approved at ``approval`` or above, unless it is ``exempt``.
    """

    wanted: bool = True
    consented: bool = False
    highest: str = acr.PASSWORD
    demand: str = ""
    approval: str = ""
    exempt: bool = False

    @property
    def possible(self) -> str:
        """What they reach, or will: who lacks a factor that is demanded enrols it."""
        return acr.highest(self.highest, self.demand, self.approval)


def next_step(
    request: AuthorizationRequest, session: LoggedIn | None, since: Since, person: Person, now: int
) -> Next:
    """The step that is due (OpenID Connect Core §3.1.2.3, §3.1.2.4, §5.5.1)."""
    if request.acr_essential and acr.met(person.possible, request.acr_essential) is None:
        # no page could change it
        return _UNMET
    silent = "none" in request.prompt
    if due := _login_due(request, session, since, person, now):
        return _login(due, silent, session, since)
    assert session is not None  # or a login were due
    wanted = _wanted(request, session, person)
    if more := _more(request, session, person, wanted):
        return Next(Step.REFUSE, "prompt_none", "login_required") if silent else more
    if request.payment is None and person.consented and "consent" not in request.prompt:
        return Next(Step.DONE)
    if silent:
        # who is there is no business of a client that they have allowed nothing, though it guessed right
        return Next(Step.REFUSE, "prompt_none", "login_required" if request.subjects else "consent_required")
    step = Step.CONSENT if request.payment is None else Step.APPROVE_PAYMENT
    return Next(step, "consent_required", acr=wanted)


class Steps:
    """Judges interactions as they stand."""

    def __init__(
        self, consents: Consents, subjects: Subjects, mfa: Mfa, approval: str, exemptions: Exemptions
    ) -> None:
        self._consents = consents
        self._subjects = subjects
        self._mfa = mfa
        self._approval = approval
        self._exemptions = exemptions

    def due(
        self,
        interaction: InteractionRecord,
        session: LoggedIn | None,
        now: int,
        analysis: Analysis | None = None,
    ) -> Next:
        """``next_step``; one query where somebody is logged in, more where their factors matter.

        ``analysis`` is of the payment that is asked for, as it is made from where they are.
        """
        request = interaction.request
        person = NOBODY if session is None else self._person(request, session, analysis)
        since = Since(interaction.created_at, interaction.session_before)
        return next_step(request, session, since, person, now)

    def _person(self, request: AuthorizationRequest, session: LoggedIn, analysis: Analysis | None) -> Person:
        consented = not self._consents.needed(request, session.user_id)
        # whom the request names is named as its client knows them
        named = request.subjects
        wanted = not named or self._subjects.known_as(request.client_id, session.user_id) in named
        demand = self._mfa.request_demand(session.user_id, asked_of(request))
        if request.payment is not None:
            highest = self._mfa.factors(session.user_id).highest
            exempt = self._exemptions.apply(Case(session.user_id, request.payment, analysis))
            return Person(wanted, consented, highest, demand, self._approval, exempt is not None)
        matters = request.acr_essential or request.acr_values or not session.complete
        if not matters and acr.reaches(session.acr, demand):
            return Person(wanted, consented, session.acr, demand)
        return Person(wanted, consented, self._mfa.factors(session.user_id).highest, demand)


# who will log in may have any factor
NOBODY = Person(highest=acr.PHISHING_RESISTANT)
_UNMET = Next(Step.REFUSE, "acr", "unmet_authentication_requirements")


_IN_VAIN = {"hint": Next(Step.REFUSE, "hint_subject", "login_required"), "acr": _UNMET}


def asked_of(request: AuthorizationRequest) -> Asked:
    """The request as the policy sees it."""
    amount = request.payment["instructedAmount"] if request.payment else {}
    scopes = frozenset(request.scopes)
    return Asked(request.client_id, scopes, amount.get("amount"), amount.get("currency"))


def _wanted(request: AuthorizationRequest, session: LoggedIn, person: Person) -> str:
    """The acr to reach: what is demanded, and of what the client names the first that can be reached."""
    # a payment is approved by a factor of its own: it is asked for once (PSD2 RTS art. 4(1))
    # unless it must be one that nobody can be tricked out of, by policy or risk
    strict = request.payment is None or session.demand == acr.PHISHING_RESISTANT
    demand = acr.highest(person.demand, session.demand if strict else "")
    named = request.acr_essential or request.acr_values
    first = next((step for step in named if step in acr.reachable(person.possible)), "")
    wanted = acr.highest(demand, first)
    if request.payment is None:
        return wanted
    # an exemption spares the approval its factor, and no login what is due there
    spared = person.exempt and session.complete and acr.reaches(session.acr, wanted)
    return "" if spared else acr.highest(wanted, person.approval)


def _more(request: AuthorizationRequest, session: LoggedIn, person: Person, wanted: str) -> Next | None:
    """What the person must prove, set up or change before they are asked; or None."""
    if session.change_password:
        demand = person.demand if request.payment is not None else wanted
        wanted = acr.highest(demand, session.demand)
    elif request.payment is not None and acr.reaches(person.highest, wanted):
        # the approval itself proves it, by who has the factor for it
        return None
    if session.confirm:
        return Next(Step.CONFIRM_DEVICE, "new_device")
    if acr.reaches(session.acr, wanted):
        return Next(Step.CHANGE_PASSWORD, "password_due") if session.change_password else None
    # a factor is added by who has proved all that they have
    proved = acr.reaches(session.acr, person.highest)
    return Next(Step.ENROL if proved else Step.MFA, "acr", acr=wanted)


def _login_due(
    request: AuthorizationRequest, session: LoggedIn | None, since: Since, person: Person, now: int
) -> str:
    """Why the person must log in, or an empty string."""
    if session is None:
        return "session_missing"
    if not person.wanted:
        return "hint"
    if request.acr_essential and not acr.reaches(session.acr, acr.PASSWORD):
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
