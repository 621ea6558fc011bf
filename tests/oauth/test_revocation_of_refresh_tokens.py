"""Revoking a refresh token ends its authorization, for its own client alone."""

from __future__ import annotations

import pytest
from journey import Journey, claims_of, refused
from plugins.app import Moving, World


@pytest.fixture
def journey(moving_clock: Moving, world: World) -> Journey:
    return Journey(world).prepare()


@pytest.mark.spec("RFC 7009", "2.1")
@pytest.mark.parametrize("hint", [{}, {"token_type_hint": "access_token"}, {"token_type_hint": "pizza"}])
@pytest.mark.parametrize("client_id", ["shop", "spa"])
def test_it_ends_with_its_access_tokens_whatever_the_hint(
    journey: Journey, client_id: str, hint: dict[str, str]
) -> None:
    body = journey.tokens(client_id)
    assert journey.active(body["access_token"])
    form = {"token": body["refresh_token"], **hint}
    response = journey.world.post("/revoke", as_=client_id, form=form)
    assert (response.status_code, response.data) == (200, b"")
    assert not journey.active(body["access_token"])
    assert refused(journey.refresh(body["refresh_token"], as_=client_id))
    (revoked,) = journey.world.events("token.revoked")
    gid = claims_of(body["access_token"])["gid"]
    assert revoked["detail"] == {"kind": "refresh_token", "gid": gid}
    assert journey.reasons("token.family.revoked") == ["revoked"]
    listed = claims_of(journey.world.send("GET", "/revocations").text)
    assert set(listed["gids"]) == {gid}


def test_a_spent_one_ends_its_family_as_well(journey: Journey) -> None:
    first = journey.tokens()
    second = journey.refresh(first["refresh_token"]).json
    form = {"token": first["refresh_token"]}
    assert journey.world.post("/revoke", as_="shop", form=form).status_code == 200
    assert not journey.active(second["access_token"])
    assert refused(journey.refresh(second["refresh_token"]))


@pytest.mark.parametrize("thief", ["rival", "spa", "web1"])
def test_another_clients_token_is_refused_and_untouched(journey: Journey, thief: str) -> None:
    body = journey.tokens()
    for token in (body["refresh_token"], body["access_token"]):
        assert refused(journey.world.post("/revoke", as_=thief, form={"token": token}))
    assert journey.reasons("revocation.denied") == ["client_mismatch"] * 2
    assert journey.active(body["access_token"])
    assert journey.refresh(body["refresh_token"]).status_code == 200


def test_a_second_time_and_an_unknown_one_are_plain_successes(journey: Journey) -> None:
    token = journey.tokens()["refresh_token"]
    for text in (token, token, "x" * 43, "nosuch"):
        assert journey.world.post("/revoke", as_="shop", form={"token": text}).status_code == 200
    assert len(journey.world.events("token.revoked")) == 1
    assert journey.reasons("revocation.noop") == ["ended", "format", "format"]


def test_revoking_an_access_token_ends_that_one_alone(journey: Journey) -> None:
    body = journey.tokens()
    other = journey.refresh(body["refresh_token"]).json
    journey.world.post("/revoke", as_="shop", form={"token": body["access_token"]})
    assert not journey.active(body["access_token"])
    assert journey.active(other["access_token"])


def test_a_refresh_token_is_inactive_at_introspection(journey: Journey) -> None:
    body = journey.tokens()
    told = journey.world.post("/introspect", as_="rs_accounts", form={"token": body["refresh_token"]})
    assert told.json == {"active": False}
