"""Which page comes next, for every mix of what was asked and who is there."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from authserver import acr
from authserver.interaction import Next, Person, Since, Step, next_step
from authserver.oauth.authorization_request import AuthorizationRequest

NOW = 1_000_000
OLD = b"o" * 32
NEW = b"n" * 32
PAYMENT = ({"type": "payment_initiation", "instructedAmount": {"amount": "1.00", "currency": "EUR"}},)
LOGIN = Next(Step.LOGIN, "reauthentication")
CONSENT = Next(Step.CONSENT, "consent_required")


@dataclass(frozen=True)
class Session:
    digest: bytes = OLD
    user_id: str = "alice"
    auth_time: int = NOW - 100
    acr: str = acr.PASSWORD
    demand: str = ""
    confirm: bool = False
    change_password: bool = False

    @property
    def complete(self) -> bool:
        return not self.confirm and not self.change_password and acr.reaches(self.acr, self.demand)


ALLOWED = Person(consented=True)


def step(
    session: Session | None, person: Person = ALLOWED, *, before: bytes | None = OLD, **asked: object
) -> Next:
    """The step for a request of ten seconds ago."""
    prompt = frozenset(str(asked.pop("prompt", "")).split())
    request = AuthorizationRequest("shop", "https://client.example/cb", prompt=prompt, **asked)  # type: ignore[arg-type]
    return next_step(request, session, Since(NOW - 10, before), person, NOW)


FRESH = Session(NEW, auth_time=NOW - 5)


def test_whoever_is_not_there_logs_in_and_silence_is_refused() -> None:
    assert step(None) == Next(Step.LOGIN, "session_missing")
    assert step(None, prompt="none") == Next(Step.REFUSE, "prompt_none", "login_required")


def test_consent_is_asked_once_and_for_prompt_consent_again() -> None:
    assert step(Session()) == Next(Step.DONE)
    assert step(Session(), prompt="none") == Next(Step.DONE)
    assert step(Session(), Person()) == CONSENT
    assert step(Session(), prompt="consent") == CONSENT
    refused = Next(Step.REFUSE, "prompt_none", "consent_required")
    assert step(Session(), Person(), prompt="none") == refused


def test_a_payment_is_asked_every_time() -> None:
    approve = Next(Step.APPROVE_PAYMENT, "consent_required")
    assert step(Session(), authorization_details=PAYMENT) == approve
    refused = Next(Step.REFUSE, "prompt_none", "consent_required")
    assert step(Session(), authorization_details=PAYMENT, prompt="none") == refused


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1")
@pytest.mark.parametrize("prompt", ["login", "select_account", "login consent"])
def test_prompt_login_takes_a_login_since_the_request(prompt: str) -> None:
    after = CONSENT if "consent" in prompt else Next(Step.DONE)
    assert step(Session(), prompt=prompt) == LOGIN
    assert step(FRESH, prompt=prompt) == after
    # the session of before, however young, and an older one of the same browser
    assert step(Session(auth_time=NOW - 10), prompt=prompt) == LOGIN
    assert step(Session(auth_time=NOW), prompt=prompt) == LOGIN
    assert step(Session(NEW, auth_time=NOW - 11), prompt=prompt) == LOGIN
    assert step(FRESH, before=None, prompt=prompt) == after


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1")
def test_max_age_counts_from_the_last_login() -> None:
    assert step(Session(), max_age=100) == Next(Step.DONE)
    assert step(Session(), max_age=99) == LOGIN
    assert step(Session(auth_time=NOW), max_age=0) == LOGIN
    assert step(FRESH, max_age=0) == Next(Step.DONE)
    assert step(FRESH, max_age=1) == Next(Step.DONE)
    refused = Next(Step.REFUSE, "prompt_none", "login_required")
    assert step(Session(), max_age=0, prompt="none") == refused


def test_a_hint_names_who_must_be_there() -> None:
    other = Person(wanted=False, consented=True)
    assert step(Session(), subjects=("alice",)) == Next(Step.DONE)
    assert step(Session(), other, subjects=("bob",)) == Next(Step.LOGIN, "hint")
    refused = Next(Step.REFUSE, "prompt_none", "login_required")
    assert step(Session(), other, subjects=("bob",), prompt="none") == refused
    assert step(FRESH, other, subjects=("bob",)) == Next(Step.REFUSE, "hint_subject", "login_required")


def test_a_guess_who_is_there_learns_nothing_without_consent() -> None:
    """Right or wrong, the answer in silence is the same."""
    right = step(Session(), Person(), subjects=("alice",), prompt="none")
    wrong = step(Session(), Person(wanted=False), subjects=("bob",), prompt="none")
    assert right == wrong == Next(Step.REFUSE, "prompt_none", "login_required")


@pytest.mark.spec("OpenID Connect Core 1.0", "5.5.1.1")
def test_an_essential_acr_that_nobody_reaches_here_is_refused_before_any_page() -> None:
    unmet = Next(Step.REFUSE, "acr", "unmet_authentication_requirements")
    for session in (Session(), FRESH):
        assert step(session, acr_essential=("phr",)) == unmet
        assert step(session, acr_essential=("urn:authserver:acr:mfa", "other")) == unmet
        assert step(session, acr_essential=("phr",), prompt="none") == unmet
    assert step(Session(), acr_essential=("phr", acr.PASSWORD)) == Next(Step.DONE)


def test_an_essential_acr_that_can_be_reached_asks_for_the_factor() -> None:
    can = Person(consented=True, highest=acr.MFA)
    assert step(Session(), can, acr_essential=(acr.MFA,)) == Next(Step.MFA, "acr", acr=acr.MFA)
    assert step(Session(acr=acr.PHISHING_RESISTANT), can, acr_essential=(acr.MFA,)) == Next(Step.DONE)
    silent = step(Session(), can, acr_essential=(acr.MFA,), prompt="none")
    assert silent == Next(Step.REFUSE, "prompt_none", "login_required")
    assert step(FRESH, can, acr_essential=(acr.MFA,)) == Next(Step.MFA, "acr", acr=acr.MFA)
    assert step(Session(acr="unknown"), can, acr_essential=(acr.PASSWORD,)) == Next(Step.LOGIN, "acr")


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1")
def test_acr_values_are_a_wish() -> None:
    assert step(Session(), acr_values=("phr", "x")) == Next(Step.DONE)
    can = Person(consented=True, highest=acr.MFA)
    # the first that can be reached, in the order of the client's preference
    assert step(Session(), can, acr_values=("phr", acr.MFA)) == Next(Step.MFA, "acr", acr=acr.MFA)
    assert step(Session(), can, acr_values=(acr.PASSWORD, acr.MFA)) == Next(Step.DONE)


def test_what_a_login_or_a_policy_demands_is_proved_or_enrolled() -> None:
    has = Person(consented=True, highest=acr.MFA)
    waits = Session(demand=acr.MFA)
    assert step(waits, has) == Next(Step.MFA, "acr", acr=acr.MFA)
    assert step(waits, has, prompt="none") == Next(Step.REFUSE, "prompt_none", "login_required")
    assert step(waits, Person(consented=True)) == Next(Step.ENROL, "acr", acr=acr.MFA)
    asked = Person(consented=True, demand=acr.MFA)
    assert step(Session(), asked) == Next(Step.ENROL, "acr", acr=acr.MFA)
    # a factor that is to be added waits until those there are have been proved
    more = Person(consented=True, highest=acr.MFA, demand=acr.PHISHING_RESISTANT)
    assert step(Session(), more) == Next(Step.MFA, "acr", acr=acr.PHISHING_RESISTANT)
    assert step(Session(acr=acr.MFA), more) == Next(Step.ENROL, "acr", acr=acr.PHISHING_RESISTANT)
    assert step(Session(acr=acr.MFA, confirm=True), has) == Next(Step.CONFIRM_DEVICE, "new_device")


def test_a_payment_asks_for_its_factor_where_it_is_approved_and_not_before() -> None:
    waits, has = Session(demand=acr.MFA, confirm=True), Person(highest=acr.MFA)
    approve = Next(Step.APPROVE_PAYMENT, "consent_required")
    assert step(waits, has, authorization_details=PAYMENT) == approve
    strict = Person(highest=acr.MFA, demand=acr.MFA)
    assert step(waits, strict, authorization_details=PAYMENT).acr == acr.MFA


def test_a_password_that_became_known_is_changed_by_who_has_proved_all_before_anything_else() -> None:
    has = Person(consented=True, highest=acr.MFA)
    known = Session(acr=acr.MFA, demand=acr.MFA, change_password=True)
    change = Next(Step.CHANGE_PASSWORD, "password_due")
    assert step(known, has) == step(known, has, authorization_details=PAYMENT) == change
    half = Session(demand=acr.MFA, change_password=True)
    for asked in ({}, {"authorization_details": PAYMENT}):
        assert step(half, has, **asked) == Next(Step.MFA, "acr", acr=acr.MFA)
