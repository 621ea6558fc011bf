"""The model and the simulation that measures it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from authserver import acr
from authserver.errors import Invalid
from authserver.login.risk import rules
from authserver.login.risk.history import Attempt
from authserver.login.risk.model import Model, ModelUnusable, read, train
from authserver.login.risk.signals import Signals, observe
from authserver.login.risk.verdict import Assessed, Person, Thresholds, decide
from authserver.risk_simulation import ATTACKERS, HONEST, KNOWN, evaluate, lessons, read_events, simulate
from authserver.risk_simulation.evaluation import threshold

PEOPLE = 60
STEP_UP = 40


@pytest.fixture(scope="module")
def taught() -> Model:
    return train(observe(one.attempt, one.history) for one in lessons(1, PEOPLE))


@pytest.fixture(scope="module")
def judged() -> list[tuple[str, Signals]]:
    return [(one.label, observe(one.attempt, one.history)) for one in simulate(2, PEOPLE)]


def test_the_same_seed_gives_the_same_people_and_another_gives_others() -> None:
    assert list(simulate(3, 5)) == list(simulate(3, 5))
    assert list(simulate(3, 5)) != list(simulate(4, 5))


def test_every_kind_of_attacker_meets_every_person_and_no_history_has_an_attack_in_it() -> None:
    events = list(simulate(3, 10))
    people = {one.person for one in events}
    for kind in ATTACKERS:
        assert {one.person for one in events if one.label == kind} == people
    for one in events:
        honest = [e.attempt.at for e in events if e.person == one.person and e.label == HONEST]
        assert {past.at for past in one.history.past} <= set(honest)
        assert all(past.at <= one.attempt.at for past in one.history.past)


def test_lessons_hold_few_attacks_and_only_known_kinds() -> None:
    labels = [one.label for one in lessons(1, PEOPLE)]
    attacks = [label for label in labels if label != HONEST]
    assert attacks
    assert set(attacks) <= set(KNOWN)
    assert len(attacks) < len(labels) / 200


def test_the_model_and_the_rules_find_more_attacks_than_the_rules_alone(
    taught: Model, judged: list[tuple[str, Signals]]
) -> None:
    report = evaluate(judged, taught, STEP_UP)
    whole, *kinds = report.rows
    assert whole.both.found > whole.rules.found
    assert whole.served > report.rules_there
    assert report.better
    assert whole.rules.auc > 0.9
    assert {row.attacker for row in kinds} == set(ATTACKERS)


def test_what_moved_a_surprise_adds_up_to_it(taught: Model, judged: list[tuple[str, Signals]]) -> None:
    for _, signals in judged[:200]:
        surprise = taught.surprise(signals)
        assert surprise.amount >= 0
        assert sum(amount for _, amount in surprise.moved) == pytest.approx(surprise.amount, abs=0.1)
        names = [name for name, _ in surprise.moved]
        assert len(names) == len(set(names))


def test_what_was_learned_often_surprises_less(judged: list[tuple[str, Signals]]) -> None:
    odd = next(s for label, s in judged if label == "travel" and s.maturity == "mature")
    usual = next(s for label, s in judged if label == HONEST and s.maturity == "mature")
    model = train([usual] * 500)
    before = model.surprise(odd).amount
    for _ in range(500):
        model.learn(odd)
    assert model.surprise(odd).amount < before
    assert model.surprise(usual).amount < before


def test_a_model_that_learned_nothing_finds_nothing_unlikely(judged: list[tuple[str, Signals]]) -> None:
    empty = train([])
    assert all(not empty.unlikely(signals) for _, signals in judged)


def test_of_what_was_learned_one_in_a_hundred_is_unlikely(judged: list[tuple[str, Signals]]) -> None:
    honest = [signals for label, signals in judged if label == HONEST]
    model = train(honest)
    assert 0 < sum(model.unlikely(signals) for signals in honest) <= len(honest) / 100


def test_a_model_rests_in_a_file_and_reads_the_same(
    taught: Model, judged: list[tuple[str, Signals]], tmp_path: Path
) -> None:
    taught.write(tmp_path / "model.json")
    again = read(tmp_path / "model.json")
    assert [again.surprise(s) for _, s in judged[:100]] == [taught.surprise(s) for _, s in judged[:100]]
    assert (again.limit, again.learned) == (taught.limit, taught.learned)
    assert [p.name for p in tmp_path.iterdir()] == ["model.json"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 0),
        ("limit", "x"),
        ("limit", -1),
        ("limit", float("nan")),
        ("counts", []),
        ("counts", {"shoe_size": {}}),
        ("counts", {"device": {"mature": {"none": -1}}}),
        ("counts", {"device": {"mature": {"none": float("nan")}}}),
        ("counts", {"device": {"mature": 1}}),
    ],
)
def test_a_file_that_is_no_model_is_refused(taught: Model, tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "model.json"
    taught.write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(ModelUnusable):
        read(path)


def test_text_that_is_no_json_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("[")
    for name in ("model.json", "absent.json"):
        with pytest.raises(ModelUnusable):
            read(tmp_path / name)


def test_at_the_threshold_one_in_a_hundred_is_above() -> None:
    scores = [float(n) for n in range(1000)]
    assert sum(score > threshold(scores) for score in scores) == 10
    # equal scores are not split: rather fewer than more
    assert sum(score > threshold([0.0] * 50 + [7.0] * 50) for score in [0.0] * 50 + [7.0] * 50) == 0


def test_a_judge_that_knows_everything_has_an_area_of_one(judged: list[tuple[str, Signals]]) -> None:
    usual = next(s for label, s in judged if label == HONEST and s.maturity == "mature")
    odd = next(s for label, s in judged if label == "travel" and s.travel == "impossible")
    model = train([usual] * 500)
    whole = evaluate([(HONEST, usual)] * 100 + [("travel", odd)] * 10, model, STEP_UP).rows[0]
    assert (whole.rules.auc, whole.rules.found, whole.model.auc, whole.both.found) == (1, 1, 1, 1)
    blind = evaluate([(HONEST, usual)] * 100 + [("travel", usual)] * 10, model, STEP_UP)
    assert blind.rows[0].rules.auc == 0.5
    # who cannot tell them apart finds as many as are asked for nothing
    assert blind.rows[0].rules.found == pytest.approx(0.01)
    assert not blind.better


def test_labelled_events_of_a_file_are_judged_with_the_honest_ones_before(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = [
        {"person": "a", "label": "honest", "at": 1, "country": "DE", "network": "n", "device": "known"},
        {"person": "a", "label": "theft", "at": 2, "country": "JP", "network": "m"},
        {"person": "a", "label": "honest", "at": 3, "country": "DE", "network": "n", "latitude": None},
    ]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    first, theft, last = read_events(path)
    assert observe(first.attempt, first.history).maturity == "first"
    assert observe(theft.attempt, theft.history).country == "new"
    assert [asdict(past)["at"] for past in last.history.past] == [1]
    path.write_text(path.read_text() + '{"person": "a", "label": "honest", "at": 2}\n')
    with pytest.raises(Invalid, match="Line 4"):
        list(read_events(path))


def test_what_is_measured_as_served_is_what_a_server_decides(
    taught: Model, judged: list[tuple[str, Signals]]
) -> None:
    limits, person = Thresholds(STEP_UP, 10_000, 10_000), Person(acr.MFA)

    def asked(signals: Signals, unlikely: bool) -> bool:
        assessed = Assessed(Attempt(1), signals, rules.score(signals), unlikely=unlikely)
        return decide(assessed, person, limits).kind == "step_up"

    report = evaluate(judged, taught, STEP_UP)
    honest = [signals for label, signals in judged if label == HONEST]
    attacks = [signals for label, signals in judged if label != HONEST]
    for many, without, with_model in (
        (honest, report.false_by_rules, report.false_served),
        (attacks, report.rows[0].by_rules, report.rows[0].served),
    ):
        assert sum(asked(s, False) for s in many) / len(many) == pytest.approx(without)
        assert sum(asked(s, taught.unlikely(s)) for s in many) / len(many) == pytest.approx(with_model)
    assert report.false_served > report.false_by_rules


def test_the_model_asks_for_no_less_than_the_rules(taught: Model, judged: list[tuple[str, Signals]]) -> None:
    kinds = ("allow", "confirm", "step_up", "deny")
    limits = Thresholds(STEP_UP, 70, 130)
    for _, signals in judged[::7]:
        for highest in (acr.PASSWORD, acr.MFA, acr.PHISHING_RESISTANT):
            without, with_model = (
                decide(
                    Assessed(Attempt(1), signals, rules.score(signals), unlikely=unlikely),
                    Person(highest, reached=True),
                    limits,
                )
                for unlikely in (False, taught.unlikely(signals))
            )
            assert kinds.index(with_model.kind) >= kinds.index(without.kind)
            assert acr.highest(with_model.acr, without.acr) == with_model.acr
