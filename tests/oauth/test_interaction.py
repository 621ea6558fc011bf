"""Which page comes next, for every mix of what was asked and who is there."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from authserver.interaction import Next, Since, Step, next_step
from authserver.oauth.authorization_request import AuthorizationRequest

NOW = 1_000_000
OLD = b"o" * 32
NEW = b"n" * 32
PAYMENT = ({"type": "payment_initiation"},)
LOGIN = Next(Step.LOGIN, "reauthentication")
CONSENT = Next(Step.CONSENT, "consent_required")


@dataclass(frozen=True)
class Session:
    digest: bytes = OLD
    user_id: str = "alice"
    auth_time: int = NOW - 100


def step(
    session: Session | None, *, consented: bool = True, before: bytes | None = OLD, **asked: object
) -> Next:
    """The step for a request of ten seconds ago."""
    prompt = frozenset(str(asked.pop("prompt", "")).split())
    request = AuthorizationRequest("shop", "https://client.example/cb", prompt=prompt, **asked)  # type: ignore[arg-type]
    return next_step(request, session, Since(NOW - 10, before), consented=consented, now=NOW)


FRESH = Session(NEW, auth_time=NOW - 5)


def test_whoever_is_not_there_logs_in_and_silence_is_refused() -> None:
    assert step(None) == Next(Step.LOGIN, "session_missing")
    assert step(None, prompt="none") == Next(Step.REFUSE, "prompt_none", "login_required")


def test_consent_is_asked_once_and_for_prompt_consent_again() -> None:
    assert step(Session()) == Next(Step.DONE)
    assert step(Session(), prompt="none") == Next(Step.DONE)
    assert step(Session(), consented=False) == CONSENT
    assert step(Session(), prompt="consent") == CONSENT
    refused = Next(Step.REFUSE, "prompt_none", "consent_required")
    assert step(Session(), consented=False, prompt="none") == refused


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
    assert step(Session(), hint_subject="alice") == Next(Step.DONE)
    assert step(Session(), hint_subject="bob") == Next(Step.LOGIN, "hint")
    refused = Next(Step.REFUSE, "prompt_none", "login_required")
    assert step(Session(), hint_subject="bob", prompt="none") == refused
    assert step(FRESH, hint_subject="bob") == Next(Step.REFUSE, "hint_subject", "login_required")
