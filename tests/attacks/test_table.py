"""The page of cases says what the cases say."""

from __future__ import annotations

import re

import pytest

from authserver.personal_data.tables import TABLES

from . import corpus, invariants, table
from .actions import ACTIONS


def test_the_committed_page_is_up_to_date() -> None:
    assert table.TARGET.read_text("utf-8") == table.render(), table.HEAD.splitlines()[2]


@pytest.mark.parametrize("area", corpus.SHARED)
def test_every_shared_id_of_an_area_is_run_or_named_as_waiting(area: str) -> None:
    mine = {case.id for case in corpus.cases() if case.area == area}
    assert set(corpus.shared_ids()[area]) <= mine


def test_what_people_have_is_state_that_no_refused_attack_changes() -> None:
    # of these a refused request may leave a row: attempts, codes and mails on their way, and the log
    left = {"audit_event", "one_time_code", "outbox", "sign_in", "webauthn_challenge"}
    assert TABLES.keys() - left <= {state.name for state in invariants.STATE}


def test_ids_of_our_own_are_siblings_of_a_shared_one() -> None:
    shared = {i for ids in corpus.shared_ids().values() for i in ids}
    for case in corpus.cases():
        assert re.fullmatch(r"[A-Z]{2}-\d{3}(x\d+)?", case.id), case.id
        assert case.id.partition("x")[0] in shared, case.id


def test_every_action_is_used_and_every_used_one_is_there() -> None:
    used = {step["do"] for case in corpus.cases() for step in case.steps if "do" in step}
    assert used == set(ACTIONS)
