"""The seams to Authlib: what this server overrides is still where it was, and still does what it must."""

from __future__ import annotations

import inspect
import logging

import pytest
from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer as AuthlibServer
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant as AuthlibCodeGrant
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant as AuthlibGrant
from authlib.oauth2.rfc6749.grants import RefreshTokenGrant as AuthlibRefreshGrant
from authlib.oauth2.rfc7009 import RevocationEndpoint as AuthlibRevocation
from authlib.oauth2.rfc7662 import IntrospectionEndpoint as AuthlibIntrospection
from journey import VERIFIER, Journey
from plugins.app import World

from authserver import logs
from authserver.oauth.grants.authorization_code import AuthorizationCodeGrant
from authserver.oauth.grants.client_credentials import ClientCredentialsGrant
from authserver.oauth.grants.refresh_token import RefreshTokenGrant
from authserver.oauth.introspection import IntrospectionEndpoint
from authserver.oauth.revocation import RevocationEndpoint
from authserver.oauth.server import AuthorizationServer

SEAMS = {
    AuthorizationServer: (
        AuthlibServer,
        "query_client save_token send_signal create_oauth2_request create_json_request handle_response "
        "authenticate_client handle_error_response validate_requested_scope",
    ),
    ClientCredentialsGrant: (AuthlibGrant, "validate_token_request generate_token"),
    AuthorizationCodeGrant: (
        AuthlibCodeGrant,
        "validate_token_request authenticate_user generate_token delete_authorization_code",
    ),
    RefreshTokenGrant: (
        AuthlibRefreshGrant,
        "validate_token_request authenticate_user generate_token revoke_old_credential",
    ),
    IntrospectionEndpoint: (
        AuthlibIntrospection,
        "check_params authenticate_token create_introspection_payload",
    ),
    RevocationEndpoint: (AuthlibRevocation, "check_params authenticate_token revoke_token"),
}


@pytest.mark.parametrize("ours", list(SEAMS))
def test_everything_overridden_exists_in_authlib_and_nothing_else_is(ours: type) -> None:
    theirs, names = SEAMS[ours]
    for name in names.split():
        assert name in vars(ours), name
        mine = list(inspect.signature(getattr(ours, name)).parameters)
        base = list(inspect.signature(getattr(theirs, name)).parameters)
        # what Authlib wraps in hooks shows the wrapper's parameters
        hooked = base[1:] == ["args", "kwargs"]
        assert "_" in mine or hooked or len(mine) == len(base), (name, mine, base)
    overridden = {
        n for n in vars(ours) if not n.startswith("__") and callable(vars(ours)[n]) and hasattr(theirs, n)
    }
    assert overridden == set(names.split())


def test_an_error_of_authlibs_own_gets_our_text(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: object) -> None:
        raise OAuth2Error(error="invalid_request", description="quotes what svc1 sent")

    monkeypatch.setattr(ClientCredentialsGrant, "validate_token_request", fail)
    response = world.token()
    assert (response.status_code, response.json["error"]) == (400, "invalid_request")
    assert "svc1" not in response.text


def test_plain_http_on_loopback_is_no_500_as_authlibs_request_would_make_it(world: World) -> None:
    assert world.services.settings.issuer.startswith("http://")
    assert world.token().status_code == 200


def test_tokens_are_in_no_log_even_at_debug(world: World, caplog: pytest.LogCaptureFixture) -> None:
    logs.configure("DEBUG")
    logging.getLogger().addHandler(caplog.handler)
    caplog.set_level(logging.DEBUG)
    token = world.access_token()
    world.post("/introspect", as_="rs_payments", form={"token": token})
    world.post("/revoke", as_="svc1", form={"token": token})
    journey = Journey(world).prepare()
    code = journey.code()
    body = journey.redeem(code).json
    fresh = journey.refresh(body["refresh_token"]).json
    journey.userinfo(fresh["access_token"])
    secrets = [code, VERIFIER, body["refresh_token"], fresh["refresh_token"]]
    secrets += [jwt.split(".")[2] for jwt in (body["access_token"], body["id_token"], fresh["access_token"])]
    assert caplog.records
    text = "\n".join(logs.JSONLines().format(record) for record in caplog.records)
    assert token.split(".")[2] not in text
    assert world.secrets["svc1"] not in text
    assert not any(secret in text for secret in secrets)
    assert "Issue token" not in text


def test_the_dispatcher_asks_nobody_but_us_for_clients(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Authlib's own client authentication, with its looser Basic parser, is never made."""
    world.token()
    assert world.services.server._client_auth is None
