"""Codes: bound to client, redirect URI and verifier, 60 seconds, once; a replay ends what they gave."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from journey import CALLBACK, OTHER_VERIFIER, PAYMENT, VERIFIER, Journey, claims_of, header_of, refused
from plugins.app import ACCOUNTS, ISSUER, PAYMENTS, Moving, World
from sqlalchemy import select, update

from authserver import crypto
from authserver.audit import Entry, Event
from authserver.db import table_of
from authserver.models.authorization import AuthorizationCode
from authserver.models.client import Client
from authserver.oauth.tokens import Minted

codes = table_of(AuthorizationCode)


@pytest.fixture
def journey(moving_clock: Moving, world: World) -> Journey:
    return Journey(world).prepare()


@pytest.mark.spec("RFC 6749", "4.1.4")
def test_a_code_gives_tokens_that_say_what_was_allowed(journey: Journey) -> None:
    response = journey.redeem(journey.code())
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json
    assert set(body) == {"access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 300)
    assert body["scope"] == "openid offline_access accounts:read"
    assert len(body["refresh_token"]) == 43
    claims = claims_of(body["access_token"])
    assert header_of(body["access_token"])["typ"] == "at+jwt"
    assert claims["sub"] == journey.user_id
    assert claims["aud"] == [ACCOUNTS, ISSUER]
    assert (claims["acr"], claims["amr"]) == ("urn:authserver:acr:password", ["pwd"])
    assert claims["auth_time"] == journey.session.auth_time
    assert len(claims["gid"]) == 22
    assert journey.active(body["access_token"])


def test_the_code_and_the_tokens_are_on_record_and_the_secrets_are_not(journey: Journey) -> None:
    code = journey.code()
    body = journey.redeem(code).json
    (made,), (issued,) = journey.world.events("code.issued"), journey.world.events("token.issued")
    gid = claims_of(body["access_token"])["gid"]
    assert made["detail"] == {"gid": gid, "scope": "openid offline_access accounts:read"}
    assert issued["detail"]["grant_type"] == "authorization_code"
    assert issued["detail"]["gid"] == gid
    assert issued["user_id"] == journey.user_id
    assert issued["session_id"] == journey.session.sid
    text = repr(journey.world.events())
    assert not any(secret in text for secret in (code, body["refresh_token"], VERIFIER))
    with journey.world.services.database.reading() as connection:
        assert connection.execute(select(codes.c.digest)).scalars().all() == [crypto.digest(code)]


@pytest.mark.spec("RFC 9396", "7")
def test_authorization_details_are_in_answer_token_and_introspection_as_approved(journey: Journey) -> None:
    details = [PAYMENT | {"debtorAccount": {"iban": "DE02120300000000202051"}}]
    body = journey.tokens(scope="payments:initiate", details=details)
    assert "id_token" not in body
    assert body["authorization_details"] == details
    claims = claims_of(body["access_token"])
    assert claims["authorization_details"] == details
    assert claims["aud"] == PAYMENTS
    told = journey.world.post("/introspect", as_="rs_payments", form={"token": body["access_token"]}).json
    assert told["authorization_details"] == details
    assert (told["sub"], told["gid"], told["amr"]) == (journey.user_id, claims["gid"], ["pwd"])


def test_a_token_for_openid_alone_is_for_this_server_alone(journey: Journey) -> None:
    assert claims_of(journey.tokens(scope="openid")["access_token"])["aud"] == ISSUER


@pytest.mark.spec("RFC 6749", "4.1.2")
@pytest.mark.parametrize("later", [1, 30, 200, 3600])
def test_a_replay_ends_everything_however_late(journey: Journey, moving_clock: Moving, later: int) -> None:
    code = journey.code()
    body = journey.redeem(code).json
    moving_clock.walk(later)
    if later > 300:
        body = journey.refresh(body["refresh_token"]).json
    access_token = body["access_token"]
    assert journey.active(access_token)
    assert refused(journey.redeem(code))
    assert not journey.active(access_token)
    assert refused(journey.refresh(body["refresh_token"]))
    assert journey.reasons("grant.replay_detected")[0] == "authorization_code"
    assert journey.reasons("token.family.revoked") == ["code_replay"]
    assert len(journey.world.events("token.issued")) == (1 if later < 300 else 2)


def test_a_second_replay_is_told_again_and_ends_nothing_twice(journey: Journey) -> None:
    code = journey.code()
    journey.redeem(code)
    for _ in range(3):
        assert refused(journey.redeem(code))
    assert journey.reasons("grant.replay_detected") == ["authorization_code"] * 3
    assert journey.reasons("token.family.revoked") == ["code_replay"]


def test_a_replay_of_one_authorization_leaves_the_others_alone(journey: Journey) -> None:
    code = journey.code()
    journey.redeem(code)
    other = journey.tokens()
    assert refused(journey.redeem(code))
    assert journey.active(other["access_token"])
    assert journey.refresh(other["refresh_token"]).status_code == 200


@pytest.mark.spec("RFC 6749", "4.1.3")
def test_another_client_gets_nothing_and_changes_nothing(journey: Journey) -> None:
    code = journey.code()
    assert refused(journey.redeem(code, as_="rival"))
    assert refused(journey.redeem(code, as_="spa"))
    assert journey.reasons("token.rejected") == ["grant_client_mismatch"] * 2
    body = journey.redeem(code).json
    # a spent one neither
    assert refused(journey.redeem(code, as_="rival"))
    assert journey.active(body["access_token"])
    assert journey.reasons("grant.replay_detected") == []


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"code_verifier": None}, "pkce_verifier_missing"),
        ({"code_verifier": OTHER_VERIFIER}, "pkce_mismatch"),
        ({"code_verifier": VERIFIER[:-1]}, "pkce_mismatch"),
        ({"code_verifier": VERIFIER + " "}, "pkce_mismatch"),
        ({"code_verifier": "é" * 43}, "pkce_mismatch"),
        ({"code_verifier": "v" * 129}, "pkce_mismatch"),
        ({"redirect_uri": None}, "redirect_uri_mismatch"),
        ({"redirect_uri": CALLBACK + "/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": CALLBACK.upper()}, "redirect_uri_mismatch"),
    ],
)
def test_what_the_code_is_bound_to_is_judged_before_it_is_spent(
    journey: Journey, form: dict[str, str | None], reason: str
) -> None:
    code = journey.code()
    assert refused(journey.redeem(code, **form))
    assert journey.reasons("token.rejected") == [reason]
    assert journey.rows().refresh_tokens == 0
    assert journey.redeem(code).status_code == 200


def test_who_holds_a_spent_code_and_not_its_verifier_ends_nothing(journey: Journey) -> None:
    """A leaked code that PKCE made worthless is no means to end somebody's authorization either."""
    code = journey.code("spa")
    body = journey.redeem(code, as_="spa").json
    assert refused(journey.redeem(code, as_="spa", code_verifier=OTHER_VERIFIER))
    assert refused(journey.redeem(code, as_="spa", code_verifier=None))
    assert journey.active(body["access_token"])
    assert refused(journey.redeem(code, as_="spa"))
    assert not journey.active(body["access_token"])


def test_a_redirect_uri_that_was_not_in_the_request_is_not_asked_for(journey: Journey) -> None:
    assert journey.redeem(journey.code(redirect_uri_given=False), redirect_uri=None).status_code == 200
    assert journey.redeem(journey.code(redirect_uri_given=False)).status_code == 200
    other = journey.redeem(journey.code(redirect_uri_given=False), redirect_uri="https://evil.example/")
    assert refused(other)
    assert journey.reasons("token.rejected") == ["redirect_uri_mismatch"]


def test_a_code_lives_sixty_seconds(journey: Journey, moving_clock: Moving) -> None:
    code, late = journey.code(), journey.code()
    moving_clock.walk(59)
    assert journey.redeem(code).status_code == 200
    moving_clock.walk(1)
    assert refused(journey.redeem(late))
    assert journey.reasons("token.rejected") == ["grant_expired"]
    assert journey.reasons("token.family.revoked") == []


@pytest.mark.parametrize("code", [None, ""])
def test_without_a_code_the_request_is_malformed(journey: Journey, code: str | None) -> None:
    assert refused(journey.redeem(code), "invalid_request")
    assert journey.reasons("token.rejected") == ["malformed"]


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + "A", str.swapcase, lambda c: " " + c])
def test_a_code_in_another_spelling_is_unknown(journey: Journey, change: Callable[[str], str]) -> None:
    assert refused(journey.redeem(change(journey.code())))
    assert journey.reasons("token.rejected") == ["grant_unknown"]


def test_a_refresh_token_is_no_code_and_a_code_no_refresh_token(journey: Journey) -> None:
    assert refused(journey.redeem(journey.tokens()["refresh_token"]))
    assert refused(journey.refresh(journey.code()))
    assert journey.reasons("token.rejected") == ["grant_unknown"] * 2


@pytest.mark.spec("RFC 9700", "4.8.2")
def test_a_client_without_pkce_may_send_no_verifier_and_others_must(journey: Journey) -> None:
    code = journey.code(code_challenge=None)
    assert refused(journey.redeem(code, code_verifier=None))
    assert journey.reasons("token.rejected") == ["pkce_verifier_missing"]
    _without_pkce(journey, "shop")
    assert refused(journey.redeem(code))
    assert journey.reasons("token.rejected")[1:] == ["pkce_mismatch"]
    assert journey.redeem(code, code_verifier=None).status_code == 200
    # one that was announced is asked for, whatever the registration says
    assert refused(journey.redeem(journey.code(), code_verifier=None))


def _without_pkce(journey: Journey, client_id: str) -> None:
    clients = table_of(Client)
    with journey.world.services.clients._changing(client_id) as connection:
        connection.execute(update(clients).where(clients.c.client_id == client_id).values(require_pkce=False))


def test_a_suspended_client_a_disabled_person_and_an_ended_session_get_nothing(journey: Journey) -> None:
    code, services = journey.code(), journey.world.services
    services.clients.set_state("shop", "suspended")
    assert refused(journey.redeem(code), "invalid_client", 401)
    assert journey.reasons("client.auth.failed") == ["client_disabled"]
    services.clients.set_state("shop", "active")
    journey.set_user("disabled")
    assert refused(journey.redeem(code))
    journey.set_user("active")
    online = journey.code(scope="openid accounts:read")
    services.sessions.end(journey.session.sid, "logout")
    assert refused(journey.redeem(online))
    assert journey.reasons("token.rejected") == ["grant_ended"] * 2
    # with offline_access it was allowed beyond the session
    assert journey.redeem(code).status_code == 200


def test_a_session_that_ended_while_the_code_was_made_gives_nothing(journey: Journey) -> None:
    services = journey.world.services
    code = journey.code(scope="openid accounts:read")
    # the end did not see the authorization: it was not committed yet
    services.sessions._ends = lambda *_: None
    services.sessions.end(journey.session.sid, "logout")
    assert refused(journey.redeem(code))
    assert journey.reasons("token.rejected") == ["grant_ended"]


@pytest.mark.spec("RFC 6749", "5.2")
def test_a_client_without_the_grant_type_may_not_use_it(journey: Journey) -> None:
    assert refused(journey.redeem(journey.code(), as_="svc1"), "unauthorized_client")
    assert refused(journey.refresh("x", as_="once"), "unauthorized_client")
    assert journey.reasons("token.rejected") == ["grant_not_allowed"] * 2


def test_a_client_without_refresh_tokens_gets_none(journey: Journey) -> None:
    body = journey.tokens("once")
    assert "refresh_token" not in body
    assert journey.rows().refresh_tokens == 0


def test_a_scope_that_the_client_has_lost_meanwhile_is_left_out(journey: Journey) -> None:
    code = journey.code()
    clients = table_of(Client)
    with journey.world.services.clients._changing("shop") as connection:
        connection.execute(update(clients).where(clients.c.client_id == "shop").values(scopes=["openid"]))
    body = journey.redeem(code).json
    assert body["scope"] == "openid"
    assert claims_of(body["access_token"])["aud"] == ISSUER


def test_a_client_that_has_lost_openid_meanwhile_gets_no_id_token(journey: Journey) -> None:
    code = journey.code()
    with journey.world.services.clients._changing("shop", {"scopes": ["accounts:read"]}):
        pass
    body = journey.redeem(code).json
    assert body["scope"] == "accounts:read"
    assert "id_token" not in body
    assert claims_of(body["access_token"])["aud"] == ACCOUNTS


@pytest.mark.spec("RFC 8707", "2.2")
def test_a_resource_must_be_within_what_was_allowed(journey: Journey) -> None:
    code = journey.code()
    assert refused(journey.redeem(code, resource=PAYMENTS), "invalid_target")
    assert journey.reasons("token.rejected") == ["resource_exceeds_grant"]
    body = journey.redeem(code, resource=ACCOUNTS).json
    assert claims_of(body["access_token"])["aud"] == [ACCOUNTS, ISSUER]


def test_codes_are_random_and_never_the_same(journey: Journey) -> None:
    made = [journey.code() for _ in range(200)]
    assert len(set(made)) == 200
    assert all(len(code) == 43 for code in made)
    assert len({code[:4] for code in made}) > 190


@pytest.mark.parametrize("cause", ["authorization", "session", "person"])
def test_what_ends_between_judging_and_spending_gives_nothing(journey: Journey, cause: str) -> None:
    """The read found it alive; the transaction that spends it looks again, under the authorization's lock."""
    services = journey.world.services
    code = journey.code(scope="openid accounts:read")
    single_use = services.server.single_use
    presented = single_use.find("authorization_code", code)
    assert presented is not None
    assert single_use.refusal(presented) == ""
    if cause == "authorization":
        with services.database.writing() as connection:
            services.authorizations.end_in(connection, presented.authorization.gid, "ended")
    elif cause == "session":
        services.sessions.end(journey.session.sid, "logout")
    else:
        journey.set_user("disabled")
    assert single_use.spend(presented, "s" * 43, Minted({}, Entry(Event.TOKEN_ISSUED))) == "grant_ended"
    assert journey.rows().refresh_tokens == 0
    assert journey.world.events("token.issued") == []
    # it stays spent
    journey.set_user("active")
    assert refused(journey.redeem(code))


def test_a_code_that_runs_out_between_judging_and_spending_gives_nothing(
    journey: Journey, moving_clock: Moving
) -> None:
    single_use = journey.world.services.server.single_use
    presented = single_use.find("authorization_code", journey.code())
    assert presented is not None
    moving_clock.walk(60)
    assert single_use.spend(presented, "s" * 43, Minted({}, Entry(Event.TOKEN_ISSUED))) == "grant_expired"
    assert journey.world.events("token.issued") == journey.world.events("grant.replay_detected") == []
