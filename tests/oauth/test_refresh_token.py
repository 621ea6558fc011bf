"""Refresh tokens: rotated on every use, in families that end when a spent one comes again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from journey import PAYMENT, Journey, claims_of, refused
from plugins.app import ACCOUNTS, ISSUER, PAYMENTS, Moving, World
from sqlalchemy import select

from authserver import crypto
from authserver.db import table_of
from authserver.models.token import RefreshToken

DAY = 86_400
ACCOUNT = {"type": "account_information"}
rows = table_of(RefreshToken)


@pytest.fixture
def journey(moving_clock: Moving, world: World) -> Journey:
    return Journey(world).prepare()


@pytest.mark.spec("RFC 6749", "6")
@pytest.mark.parametrize("client_id", ["shop", "spa"])
def test_a_refresh_gives_new_tokens_under_the_same_authorization(journey: Journey, client_id: str) -> None:
    first = journey.tokens(client_id)
    response = journey.refresh(first["refresh_token"], as_=client_id)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json
    assert set(body) == {"access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token"}
    assert body["refresh_token"] != first["refresh_token"]
    before, after = claims_of(first["access_token"]), claims_of(body["access_token"])
    fixed = ("iss", "sub", "aud", "client_id", "scope", "gid", "acr", "amr", "auth_time")
    assert [after[name] for name in fixed] == [before[name] for name in fixed]
    assert after["jti"] != before["jti"]
    assert journey.active(body["access_token"])
    (issued,) = journey.world.events("token.issued")[1:]
    assert issued["detail"]["grant_type"] == "refresh_token"
    with journey.world.services.database.reading() as connection:
        found = {row.digest: row.used_at for row in connection.execute(select(rows))}
    assert found[crypto.digest(first["refresh_token"])] is not None
    assert found[crypto.digest(body["refresh_token"])] is None
    assert len(found) == 2


@pytest.mark.spec("RFC 9700", "4.14.2")
@pytest.mark.parametrize("client_id", ["shop", "spa"])
@pytest.mark.parametrize("later", [0, 20 * DAY])
def test_a_spent_one_ends_the_family_whoever_came_first(
    journey: Journey, moving_clock: Moving, client_id: str, later: int
) -> None:
    first = journey.tokens(client_id)
    thief = journey.refresh(first["refresh_token"], as_=client_id).json
    moving_clock.walk(later)
    if later:
        thief = journey.refresh(thief["refresh_token"], as_=client_id).json
    assert journey.active(thief["access_token"])
    assert refused(journey.refresh(first["refresh_token"], as_=client_id))
    assert refused(journey.refresh(thief["refresh_token"], as_=client_id))
    assert not journey.active(thief["access_token"])
    assert journey.reasons("grant.replay_detected") == ["refresh_token"]
    assert journey.reasons("token.family.revoked") == ["refresh_reuse"]
    assert journey.reasons("token.rejected") == ["replayed", "grant_ended"]


def test_an_old_generation_is_known_after_many(journey: Journey) -> None:
    first = journey.tokens()
    body = first
    for _ in range(5):
        body = journey.refresh(body["refresh_token"]).json
    assert refused(journey.refresh(first["refresh_token"]))
    assert refused(journey.refresh(body["refresh_token"]))


def test_another_client_gets_nothing_and_changes_nothing(journey: Journey) -> None:
    token = journey.tokens()["refresh_token"]
    assert refused(journey.refresh(token, as_="rival"))
    assert refused(journey.refresh(token, as_="spa"))
    assert journey.reasons("token.rejected") == ["grant_client_mismatch"] * 2
    successor = journey.refresh(token).json["refresh_token"]
    assert refused(journey.refresh(token, as_="rival"))
    assert journey.refresh(successor).status_code == 200
    assert journey.reasons("token.family.revoked") == []


def test_a_wider_scope_is_refused_and_spends_nothing(journey: Journey) -> None:
    token = journey.tokens()["refresh_token"]
    for scope in ("openid accounts:read payments:initiate", "email", "nosuch", "OPENID"):
        assert refused(journey.refresh(token, scope=scope), "invalid_scope")
    assert journey.reasons("token.rejected") == ["scope_exceeds_grant"] * 4
    assert journey.refresh(token).status_code == 200


def test_a_narrower_scope_holds_for_one_access_token(journey: Journey) -> None:
    token = journey.tokens()["refresh_token"]
    narrow = journey.refresh(token, scope="accounts:read").json
    assert (narrow["scope"], claims_of(narrow["access_token"])["aud"]) == ("accounts:read", ACCOUNTS)
    wide = journey.refresh(narrow["refresh_token"]).json
    assert wide["scope"] == "openid offline_access accounts:read"
    alone = journey.refresh(wide["refresh_token"], scope="openid").json
    assert claims_of(alone["access_token"])["aud"] == ISSUER


def test_scopes_that_the_client_has_lost_are_left_out_whoever_owns_them(journey: Journey) -> None:
    token = journey.tokens(scope="openid email offline_access accounts:read")["refresh_token"]
    with journey.world.services.clients._changing("shop", {"scopes": ["accounts:read"]}):
        pass
    for lost in ("openid", "email", "offline_access"):
        assert refused(journey.refresh(token, scope=lost), "invalid_scope")
    body = journey.refresh(token).json
    assert (body["scope"], claims_of(body["access_token"])["aud"]) == ("accounts:read", ACCOUNTS)
    with journey.world.services.clients._changing("shop", {"scopes": []}):
        pass
    assert refused(journey.refresh(body["refresh_token"]), "invalid_scope")


def test_authorization_details_stay_as_approved(journey: Journey) -> None:
    first = journey.tokens(scope="accounts:read offline_access", details=[ACCOUNT])
    body = journey.refresh(first["refresh_token"]).json
    assert body["authorization_details"] == [ACCOUNT]
    claims = claims_of(body["access_token"])
    assert (claims["authorization_details"], claims["aud"]) == ([ACCOUNT], ACCOUNTS)


def test_a_payment_is_authorized_once_and_nothing_renews_it(journey: Journey, moving_clock: Moving) -> None:
    body = journey.tokens(scope="openid payments:initiate", details=[PAYMENT])
    assert set(body) == {
        "access_token", "token_type", "expires_in", "scope", "authorization_details", "id_token",
    }  # fmt: skip
    assert journey.rows().refresh_tokens == 0
    # nor does the authorization outlive its code, if one was left unused; the token has its five minutes
    moving_clock.walk(60)
    with journey.world.services.database.writing() as connection:
        gid = claims_of(body["access_token"])["gid"]
        assert not journey.world.services.authorizations.holds_in(connection, gid)
    moving_clock.walk(239)
    assert journey.active(body["access_token"])
    journey.world.services.users.disable(journey.user_id)
    assert not journey.active(body["access_token"])
    assert journey.reasons("token.family.revoked") == ["user_disabled"]


def test_a_scope_that_needs_details_stays_together_with_them(journey: Journey) -> None:
    services = journey.world.services
    services.scopes.describe("accounts:read", "See accounts", details_type=ACCOUNT["type"])
    services.versions.forget()
    with_details = journey.tokens(details=[ACCOUNT])["refresh_token"]
    narrow = journey.refresh(with_details, scope="accounts:read").json
    assert (narrow["scope"], narrow["authorization_details"]) == ("accounts:read", [ACCOUNT])
    assert claims_of(narrow["access_token"])["authorization_details"] == [ACCOUNT]
    # what was allowed before details were demanded is good for it no longer, and the answer says so
    without = journey.tokens()
    assert without["scope"] == "openid offline_access"
    assert refused(journey.refresh(without["refresh_token"], scope="accounts:read"), "invalid_scope")


def test_an_offline_family_lives_thirty_days_however_often_it_is_used(
    journey: Journey, moving_clock: Moving
) -> None:
    token = journey.tokens()["refresh_token"]
    moving_clock.walk(29 * DAY)
    token = journey.refresh(token).json["refresh_token"]
    moving_clock.walk(DAY)
    assert refused(journey.refresh(token))
    assert journey.reasons("token.rejected") == ["grant_expired"]


def test_a_family_without_offline_access_lives_as_long_as_the_session_may(
    journey: Journey, moving_clock: Moving
) -> None:
    token = journey.tokens(scope="openid accounts:read")["refresh_token"]
    moving_clock.walk(43_199)
    token = journey.refresh(token).json["refresh_token"]
    moving_clock.walk(1)
    assert refused(journey.refresh(token))


def test_logout_ends_what_is_not_offline(journey: Journey) -> None:
    online, offline = journey.tokens(scope="openid accounts:read"), journey.tokens()
    journey.world.services.sessions.end(journey.session.sid, "logout")
    assert not journey.active(online["access_token"])
    assert refused(journey.refresh(online["refresh_token"]))
    assert journey.active(offline["access_token"])
    assert journey.refresh(offline["refresh_token"]).status_code == 200
    assert journey.reasons("token.family.revoked") == ["logout"]


@pytest.mark.parametrize("cause", ["user disabled", "user disabled unheard", "consent withdrawn", "ended"])
def test_who_may_no_longer_gets_nothing(journey: Journey, cause: str) -> None:
    """The person was disabled, or took consent back: RFC 6749 §5.2 calls it invalid_grant."""
    services = journey.world.services
    body = journey.tokens()
    gid = claims_of(body["access_token"])["gid"]
    if cause == "user disabled":
        services.users.disable(journey.user_id)
    elif cause == "user disabled unheard":
        journey.set_user("disabled")
    else:
        with services.database.writing() as connection:
            if cause == "ended":
                assert services.authorizations.end_in(connection, gid, "ended")
                assert not services.authorizations.end_in(connection, gid, "ended")
            else:
                services.authorizations.end_for_grant_in(connection, journey.grants["shop"])
    assert not journey.active(body["access_token"])
    assert refused(journey.refresh(body["refresh_token"]))
    assert journey.reasons("token.rejected") == ["grant_ended"]


def test_disabling_ends_every_authorization_and_each_is_on_record_and_in_the_list(journey: Journey) -> None:
    bodies = [journey.tokens() for _ in range(5)]
    gids = {claims_of(body["access_token"])["gid"] for body in bodies}
    journey.world.services.users.disable(journey.user_id)
    ended = journey.world.events("token.family.revoked")
    assert {row["detail"]["gid"] for row in ended} == gids
    assert {row["reason"] for row in ended} == {"user_disabled"}
    listed = claims_of(journey.world.send("GET", "/revocations").text)
    assert set(listed["gids"]) == gids
    # enabling the person again brings nothing back
    journey.set_user("active")
    assert not any(journey.active(body["access_token"]) for body in bodies)
    assert refused(journey.refresh(bodies[0]["refresh_token"]))


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "A", str.swapcase, lambda t: " " + t, lambda t: t + "\n"]
)
def test_a_token_in_another_spelling_is_unknown(journey: Journey, change: Callable[[str], str]) -> None:
    token = journey.tokens()["refresh_token"]
    assert refused(journey.refresh(change(token)))
    assert journey.reasons("token.rejected") == ["grant_unknown"]
    assert journey.refresh(token).status_code == 200


def test_a_token_of_another_type_is_unknown(journey: Journey) -> None:
    body = journey.tokens()
    for other in (body["access_token"], body["id_token"], journey.code()):
        assert refused(journey.refresh(other))
    assert journey.reasons("token.rejected") == ["grant_unknown"] * 3


def test_a_missing_token_is_malformed(journey: Journey) -> None:
    assert refused(journey.refresh(None), "invalid_request")
    assert journey.reasons("token.rejected") == ["malformed"]


def test_the_client_credentials_grant_gives_no_refresh_token(journey: Journey) -> None:
    assert "refresh_token" not in journey.world.token().json
    assert journey.rows().refresh_tokens == 0


@pytest.mark.spec("RFC 8707", "2.2")
def test_another_resource_is_refused(journey: Journey) -> None:
    token = journey.tokens()["refresh_token"]
    assert refused(journey.refresh(token, resource=PAYMENTS), "invalid_target")
    assert refused(journey.refresh(token, resource="https://nobody.example/"), "invalid_target")
    assert journey.refresh(token, resource=ACCOUNTS).status_code == 200


def test_guessing_is_counted_against_the_address(make_world: Callable[..., World]) -> None:
    journey = Journey(make_world(limit_address_failures="5/60")).prepare()
    token = journey.tokens("spa")["refresh_token"]
    answers = [journey.refresh(crypto.random_token(), as_="spa").status_code for _ in range(10)]
    assert answers == [400] * 5 + [429] * 5
    assert journey.reasons("token.rejected") == ["grant_unknown"] * 5
    # another address is not shut out, and no family was touched
    form = {"grant_type": "refresh_token", "refresh_token": token}
    assert journey.world.post("/token", as_="spa", form=form, address="192.0.2.99").status_code == 200
