"""Signals, points and verdicts: pure, from an attempt and a history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authserver import acr
from authserver.login.risk import rules
from authserver.login.risk.history import Attempt, History, Place
from authserver.login.risk.signals import Signals, kilometres, observe
from authserver.login.risk.verdict import Assessed, Person, Thresholds, Verdict, decide

NOON = 1_795_003_200 - 1_795_003_200 % 86_400 + 12 * 3600
DAY = 86_400
BERLIN = Place("net-b", "wide-b", "DE", 53, 13, False)
TOKYO = Place("net-t", "wide-t", "JP", 36, 140, False)
LIMITS = Thresholds(40, 70, 130)
USUAL = Attempt(NOON, BERLIN, "known", "firefox/linux", "shop")


def history(count: int = 20, attempt: Attempt = USUAL) -> History:
    """``attempt`` on each of ``count`` days before."""
    found = History()
    for day in range(count, 0, -1):
        found = found.with_(replace(attempt, at=NOON - day * DAY))
    return found


def judged(attempt: Attempt, past: History | None = None, person: Person = Person()) -> Verdict:  # noqa: B008
    signals = observe(attempt, history() if past is None else past)
    return decide(Assessed(attempt, signals, rules.score(signals)), person, LIMITS)


def reasons(verdict: Verdict) -> list[str]:
    assert verdict.assessed is not None
    return [name for name, _ in verdict.assessed.score.reasons]


def test_what_the_person_always_does_raises_nothing() -> None:
    verdict = judged(USUAL)
    assert (verdict.kind, reasons(verdict)) == ("allow", [])


@pytest.mark.parametrize("place", [BERLIN, TOKYO, Place()])
@pytest.mark.parametrize("device", ["none", "mismatch"])
def test_a_first_sign_in_is_no_step_up_by_itself(place: Place, device: str) -> None:
    first = Attempt(NOON, place, device, "", "")  # type: ignore[arg-type]
    assert judged(first, History()).kind == "allow"


def test_a_failing_address_counts_at_a_first_sign_in_too() -> None:
    first = Attempt(NOON, BERLIN, account_failures=4, address_failures=15, neighbours=4)
    assert judged(first, History()).kind == "deny"
    assert judged(first, History(), Person(reached=True)).kind == "confirm"


def test_what_nobody_can_tell_is_unknown_and_weighs_something() -> None:
    blind = observe(replace(USUAL, place=Place(), device="none", agent=""), history())
    assert (blind.network, blind.country, blind.travel, blind.agent) == ("unknown",) * 4
    assert blind.anonymising == "unknown"
    assert rules.score(blind).points >= 40


def test_nobody_is_on_two_continents_within_minutes() -> None:
    last = replace(USUAL, at=NOON - 300)
    past = history().with_(last)
    verdict = judged(replace(USUAL, place=TOKYO, device="none"), past)
    assert verdict.kind == "deny"
    assert verdict.assessed is not None
    assert verdict.assessed.reason == "impossible_travel"
    assert judged(replace(USUAL, place=TOKYO), past).kind != "allow"


def test_a_day_is_enough_for_any_journey() -> None:
    assert observe(replace(USUAL, place=TOKYO, at=NOON + DAY), history()).travel == "possible"


def test_an_exits_position_makes_nobody_travel() -> None:
    exit_ = replace(TOKYO, anonymising=True)
    signals = observe(replace(USUAL, place=exit_, at=NOON + 60), history().with_(USUAL))
    assert (signals.travel, signals.anonymising) == ("unknown", "yes")


def test_on_a_known_device_a_journey_weighs_less_than_on_a_strange_one() -> None:
    abroad = replace(USUAL, place=TOKYO, at=NOON + 3 * DAY)
    assert judged(abroad).kind == "allow"
    assert judged(replace(abroad, device="none"), person=Person(reached=True)).kind == "confirm"


def test_the_verdict_asks_for_what_the_person_can_prove() -> None:
    strange = replace(USUAL, place=TOKYO, at=NOON + 3 * DAY, device="none")
    assert judged(strange, person=Person(acr.MFA, True)).acr == acr.MFA
    assert judged(strange, person=Person(acr.PASSWORD, True)).kind == "confirm"
    assert judged(strange, person=Person()).kind == "deny"
    impossible = replace(strange, at=NOON - DAY + 300)
    assert judged(impossible, person=Person(acr.MFA, True)).kind == "deny"
    verdict = judged(impossible, person=Person(acr.PHISHING_RESISTANT, True))
    assert (verdict.kind, verdict.acr) == ("step_up", acr.PHISHING_RESISTANT)


def test_an_unlikely_sign_in_is_asked_for_more_though_no_rule_speaks() -> None:
    signals = observe(USUAL, history())
    assessed = Assessed(USUAL, signals, rules.score(signals), unlikely=True)
    assert decide(assessed, Person(acr.MFA), LIMITS).acr == acr.MFA
    assert assessed.reason == "unlike_history"


def test_hours_are_judged_by_the_persons_own() -> None:
    assert observe(replace(USUAL, at=NOON + 1800), history()).hour == "usual"
    assert observe(replace(USUAL, at=NOON + 12 * 3600), history()).hour == "odd"
    night = history(attempt=replace(USUAL, at=NOON))
    assert observe(replace(USUAL, at=NOON + 12 * 3600), History(night.past[:5])).hour == "unknown"


def test_an_hour_before_midnight_is_near_one_after() -> None:
    late = NOON + 11 * 3600
    past = History(tuple(replace(one, at=one.at + 11 * 3600) for one in history().past))
    assert observe(replace(USUAL, at=late + 2 * 3600), past).hour == "usual"


def test_a_network_is_usual_seen_near_or_new() -> None:
    other = replace(USUAL, place=replace(BERLIN, network="once"))
    past = history().with_(other)
    levels = [
        observe(replace(USUAL, place=replace(BERLIN, network=n, wide=w)), past).network
        for n, w in (("net-b", "wide-b"), ("once", "wide-b"), ("else", "wide-b"), ("else", "else"))
    ]
    assert levels == ["usual", "seen", "near", "new"]


def test_a_person_with_known_devices_has_lost_theirs_and_one_without_has_none() -> None:
    assert observe(replace(USUAL, device="none"), history()).device == "lost"
    bare = history(attempt=replace(USUAL, device="none"))
    assert observe(replace(USUAL, device="none"), bare).device == "none"


def test_a_high_amount_is_one_beyond_all_that_was_paid() -> None:
    past = history(attempt=replace(USUAL, amount=100))
    levels = [observe(replace(USUAL, amount=a), past).amount for a in (None, 100, 200, 201)]
    assert levels == ["none", "usual", "usual", "high"]


def test_distances_are_those_of_a_globe() -> None:
    far = kilometres(BERLIN, TOKYO)
    assert far is not None
    assert 8700 < far < 9100
    date_line = kilometres(Place(latitude=0, longitude=179), Place(latitude=0, longitude=-179))
    assert date_line is not None
    assert 200 < date_line < 250
    assert kilometres(BERLIN, Place(country="DE")) is None


def test_every_rule_is_about_a_level_that_occurs() -> None:
    signals = {name: set() for name in Signals.__dataclass_fields__}  # type: dict[str, set[str]]
    attempts = [
        replace(USUAL, place=place, device=device, agent=agent, at=NOON + hours * 3600, client=client,
                amount=amount, account_failures=failures, address_failures=5 * failures, neighbours=failures)
        for place in (BERLIN, TOKYO, replace(TOKYO, network="n"), replace(BERLIN, network="n"), Place(),
                      replace(TOKYO, anonymising=True))
        for device in ("none", "known", "mismatch")
        for agent, client in (("firefox/linux", "shop"), ("other", "other"), ("", ""))
        for hours in (-23, 0, 12, 1000)
        for amount in (None, 1.0, 1e9)
        for failures in (0, 1, 2, 3)
    ]  # fmt: skip
    pasts = [history(attempt=replace(USUAL, amount=5.0)), history(attempt=replace(USUAL, device="none"))]
    for past in pasts:
        for attempt in attempts:
            for name, level in observe(attempt, past).levels().items():
                signals[name].add(level)
    assert [pair for pair in rules.POINTS if pair[1] not in signals[pair[0]]] == []
