"""The grace of refresh tokens: a lost answer is given again, and it is the same one; off unless it is set."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from journey import Journey, claims_of, refused
from plugins.app import ACCOUNTS, Moving, World
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from authserver import crypto
from authserver.config import Settings, SettingsRefused
from authserver.db import table_of
from authserver.models.token import RefreshToken

GRACE = 10
rows = table_of(RefreshToken)


@pytest.fixture
def journey(moving_clock: Moving, make_world: Callable[..., World]) -> Journey:
    """A person at a server with a grace."""
    return Journey(make_world(refresh_grace_seconds=GRACE)).prepare()


def unused(journey: Journey) -> int:
    with journey.world.services.database.reading() as connection:
        query = select(func.count()).select_from(rows).where(rows.c.used_at.is_(None))
        return connection.execute(query).scalar_one()


@pytest.mark.parametrize("client_id", ["shop", "spa"])
@pytest.mark.parametrize("later", [0, 1, GRACE - 1])
def test_a_retry_gets_the_same_refresh_token(
    journey: Journey, moving_clock: Moving, client_id: str, later: int
) -> None:
    first = journey.tokens(client_id)["refresh_token"]
    lost = journey.refresh(first, as_=client_id).json
    moving_clock.walk(later)
    again = journey.refresh(first, as_=client_id)
    assert again.status_code == 200
    assert again.json["refresh_token"] == lost["refresh_token"]
    assert again.json["scope"] == lost["scope"]
    assert journey.active(again.json["access_token"])
    assert claims_of(again.json["access_token"])["gid"] == claims_of(lost["access_token"])["gid"]
    assert journey.rows().refresh_tokens == 2
    issued = [row["reason"] for row in journey.world.events("token.issued")]
    assert issued == ["", "", "retry"]
    assert journey.reasons("grant.replay_detected") == []
    assert journey.refresh(lost["refresh_token"], as_=client_id).status_code == 200


@pytest.mark.spec("RFC 9700", "4.14.2")
@pytest.mark.parametrize("later", [GRACE, GRACE + 1, 86_400])
def test_after_the_grace_it_is_a_reuse(journey: Journey, moving_clock: Moving, later: int) -> None:
    first = journey.tokens()["refresh_token"]
    second = journey.refresh(first).json
    moving_clock.walk(later)
    assert refused(journey.refresh(first))
    assert refused(journey.refresh(second["refresh_token"]))
    assert not journey.active(second["access_token"])
    assert journey.reasons("token.family.revoked") == ["refresh_reuse"]


@pytest.mark.spec("RFC 9700", "4.14.2")
def test_a_second_retry_is_a_reuse(journey: Journey) -> None:
    first = journey.tokens()["refresh_token"]
    second = journey.refresh(first).json
    assert journey.refresh(first).status_code == 200
    assert refused(journey.refresh(first))
    assert refused(journey.refresh(second["refresh_token"]))
    assert not journey.active(second["access_token"])
    assert journey.reasons("token.family.revoked") == ["refresh_reuse"]


@pytest.mark.spec("RFC 9700", "4.14.2")
@pytest.mark.parametrize("first_is_retried", [True, False])
def test_a_thief_beside_the_client_is_noticed_at_the_second_token(
    journey: Journey, moving_clock: Moving, first_is_retried: bool
) -> None:
    token = journey.tokens()["refresh_token"]
    if not first_is_retried:
        token = journey.refresh(token).json["refresh_token"]
    stolen = token
    for noticed in (False, True):
        moving_clock.walk(290)
        owners = journey.refresh(token)
        moving_clock.walk(5)
        thiefs = journey.refresh(stolen)
        assert owners.status_code == 200
        assert thiefs.status_code == (400 if noticed else 200)
        token, stolen = owners.json["refresh_token"], thiefs.json.get("refresh_token")
    assert refused(journey.refresh(token))
    assert journey.reasons("grant.replay_detected") == ["refresh_token"]
    assert journey.reasons("token.family.revoked") == ["refresh_reuse"]


def test_answers_may_be_lost_now_and_then(journey: Journey) -> None:
    token = journey.tokens()["refresh_token"]
    for lost in (True, False, True, False):
        following = journey.refresh(token)
        if lost:
            following = journey.refresh(token)
        assert following.status_code == 200
        token = following.json["refresh_token"]
    assert journey.reasons("token.family.revoked") == []


def test_once_its_successor_is_used_it_is_a_reuse(journey: Journey) -> None:
    first = journey.tokens()["refresh_token"]
    second = journey.refresh(first).json["refresh_token"]
    third = journey.refresh(second).json
    assert refused(journey.refresh(first))
    assert refused(journey.refresh(third["refresh_token"]))
    assert not journey.active(third["access_token"])
    assert journey.reasons("token.family.revoked") == ["refresh_reuse"]


def test_the_grace_is_the_same_clients_alone(journey: Journey) -> None:
    first = journey.tokens()["refresh_token"]
    second = journey.refresh(first).json["refresh_token"]
    for other in ("rival", "spa"):
        assert refused(journey.refresh(first, as_=other))
    assert journey.reasons("token.rejected") == ["grant_client_mismatch"] * 2
    assert journey.refresh(second).status_code == 200


def test_a_retry_is_judged_like_any_other_request(journey: Journey) -> None:
    first = journey.tokens()["refresh_token"]
    second = journey.refresh(first).json["refresh_token"]
    # a refused one is no retry
    assert refused(journey.refresh(first, scope="openid payments:initiate"), "invalid_scope")
    narrow = journey.refresh(first, scope="accounts:read").json
    assert (narrow["refresh_token"], narrow["scope"]) == (second, "accounts:read")
    assert claims_of(narrow["access_token"])["aud"] == ACCOUNTS
    second, first = journey.refresh(second).json["refresh_token"], second
    journey.world.services.users.disable(journey.user_id)
    assert refused(journey.refresh(first))
    assert journey.reasons("token.rejected")[-1] == "grant_ended"


def test_a_person_disabled_while_a_retry_is_signed_gets_nothing(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = journey.world.services
    first = journey.tokens()["refresh_token"]
    journey.refresh(first)
    real = services.server.tokens.mint

    def slow(issuance: object) -> object:
        minted = real(issuance)  # type: ignore[arg-type]
        services.users.disable(journey.user_id)
        return minted

    monkeypatch.setattr(services.server.tokens, "mint", slow)
    assert refused(journey.refresh(first))
    assert journey.reasons("token.rejected") == ["grant_ended"]


def test_a_code_has_no_grace(journey: Journey) -> None:
    code = journey.code()
    body = journey.redeem(code).json
    assert refused(journey.redeem(code))
    assert not journey.active(body["access_token"])
    assert journey.reasons("token.family.revoked") == ["code_replay"]


def test_nothing_that_could_be_used_rests(journey: Journey) -> None:
    first = journey.tokens()["refresh_token"]
    second = journey.refresh(first).json["refresh_token"]
    with journey.world.services.database.reading() as connection:
        found = {row.digest for row in connection.execute(select(rows))}
        stored = str(connection.exec_driver_sql("SELECT * FROM refresh_token").all())
    assert found == {crypto.digest(first), crypto.digest(second)}
    assert first not in stored
    assert second not in stored
    # nor does it follow from the token alone
    assert second not in {crypto.b64u(crypto.digest(first)), crypto.b64u(crypto.mac(b"", first.encode()))}


@pytest.mark.parametrize("round_", range(5))
def test_retries_at_once_have_one_successor_between_them(journey: Journey, round_: int) -> None:
    first = journey.tokens()["refresh_token"]
    answers = at_once([lambda: journey.refresh(first)] * 2)
    assert {response.status_code for response in answers} == {200}
    (second,) = {response.json["refresh_token"] for response in answers}
    assert (journey.rows().refresh_tokens, unused(journey)) == (2, 1)
    assert sorted(journey.reasons("token.issued")) == ["", "", "retry"]
    assert journey.refresh(second).status_code == 200


@pytest.mark.parametrize("round_", range(5))
def test_of_many_at_once_two_are_answered_and_the_third_ends_it(journey: Journey, round_: int) -> None:
    first = journey.tokens()["refresh_token"]
    answers = at_once([lambda: journey.refresh(first)] * 6)
    answered = [response.json["refresh_token"] for response in answers if response.status_code == 200]
    assert len(answered) == 2
    assert len(set(answered)) == 1
    assert refused(journey.refresh(answered[0]))
    assert journey.reasons("token.family.revoked") == ["refresh_reuse"]


@pytest.mark.parametrize("round_", range(10))
def test_a_retry_while_the_successor_is_used_never_makes_a_second_branch(
    journey: Journey, round_: int
) -> None:
    first = journey.tokens()["refresh_token"]
    second = journey.refresh(first).json["refresh_token"]
    retry, use = at_once([lambda: journey.refresh(first), lambda: journey.refresh(second)])
    if retry.status_code == 200:
        # it came first, and told of the token that the other then used
        assert retry.json["refresh_token"] == second
        assert use.status_code == 200
        assert (journey.rows().refresh_tokens, unused(journey)) == (3, 1)
        assert journey.reasons("token.family.revoked") == []
    else:
        assert journey.reasons("token.family.revoked") == ["refresh_reuse"]
        if use.status_code == 200:
            assert refused(journey.refresh(use.json["refresh_token"]))
            assert not journey.active(use.json["access_token"])


def test_unless_it_is_set_there_is_none(moving_clock: Moving, world: World) -> None:
    assert world.services.settings.refresh_grace_seconds == 0
    journey = Journey(world).prepare()
    first = journey.tokens()["refresh_token"]
    second = journey.refresh(first).json
    # also for a clock that went back
    moving_clock.walk(-1)
    assert refused(journey.refresh(first))
    assert not journey.active(second["access_token"])
    single_use = world.services.server.single_use
    assert single_use.successor(first) != single_use.successor(first)


@pytest.mark.parametrize("seconds", [-1, 61, 3600])
def test_a_grace_is_a_minute_at_most(seconds: int) -> None:
    with pytest.raises(SettingsRefused):
        Settings.load({}, refresh_grace_seconds=seconds)


def at_once(calls: list[Callable[[], TestResponse]]) -> list[TestResponse]:
    """The answers of calls that begin together, in their order."""
    begin = Barrier(len(calls))

    def call(one: Callable[[], TestResponse]) -> TestResponse:
        begin.wait()
        return one()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))
