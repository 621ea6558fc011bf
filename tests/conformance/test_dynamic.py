"""The modules of ``oidcc-dynamic-certification-test-plan``, each a test of its name, and those of
``oidcc-3rdparty-init-login-certification-test-plan``.

Written anew from what each module of the OpenID Foundation's suite says that it expects. Its clients have
initial access tokens and use PKCE here, sign with ES256, and name the issuer as audience of their assertions.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from asking import follow
from assertions import Signer
from joserfc import jwt
from joserfc.jwk import KeySet
from journey import claims_of

from authserver import crypto
from authserver.oauth.client_keys import LOOK_AGAIN_SECONDS

from . import test_basic, test_config
from .op import CALLBACK, SCOPES, Plan
from .rp import RelyingParty, published

FRAGMENT = CALLBACK + "#foobar"
QUERY = CALLBACK + "?bar=foo"
UNSIGNED = {"alg": "none"}
META = "invalid_client_metadata"


@pytest.fixture
def rp(plan: Plan) -> RelyingParty:
    return RelyingParty(plan)


def page(plan: Plan, **asked: str | None) -> str:
    """A page of this server, with no way to the client, is all that the request leads to."""
    response = plan.send(plan.parameters(**asked))
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert CALLBACK not in response.text
    return response.text


# --- tokens and answers, signed as the client registered ---------------------------------------------


def test_oidcc_idtoken_rs256(rp: RelyingParty) -> None:
    rp.registered(id_token_signed_response_alg="RS256")
    flow = rp.plan.flow()
    assert flow.header["alg"] == "RS256"
    assert flow.header["kid"]


def test_oidcc_idtoken_unsigned(rp: RelyingParty) -> None:
    """Skipped where ``none`` is not supported; whoever registers it all the same is told."""
    assert "none" not in rp.plan.metadata["id_token_signing_alg_values_supported"]
    rp.refused(META, id_token_signed_response_alg="none")


def test_oidcc_userinfo_rs256(rp: RelyingParty) -> None:
    assert "RS256" in rp.plan.metadata["userinfo_signing_alg_values_supported"]
    told = rp.registered(userinfo_signed_response_alg="RS256")
    flow = rp.plan.flow()
    world = rp.plan.asking.world
    headers = {"Authorization": f"Bearer {flow.body['access_token']}"}
    answer = world.send("GET", "/userinfo", headers=headers)
    assert (answer.status_code, answer.content_type) == (200, "application/jwt")
    keys = KeySet.import_key_set(world.send("GET", "/jwks").json)
    claims = jwt.decode(answer.text, keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"]) == (rp.plan.metadata["issuer"], told["client_id"])
    assert claims["sub"] == flow.claims["sub"]
    assert "nonce" not in claims


# --- redirect URIs ----------------------------------------------------------------------------------


def test_oidcc_ensure_redirect_uri_in_authorization_request(rp: RelyingParty) -> None:
    rp.registered(redirect_uris=[CALLBACK, "https://example.org/redirect"])
    page(rp.plan, redirect_uri=None)


def test_oidcc_redirect_uri_query_OK(plan: Plan) -> None:
    RelyingParty(plan, QUERY).registered()
    plan.flow()


def test_oidcc_redirect_uri_query_mismatch(plan: Plan) -> None:
    RelyingParty(plan, QUERY).registered()
    page(plan, redirect_uri=CALLBACK + "?foo=bar")


def test_oidcc_redirect_uri_query_added(rp: RelyingParty) -> None:
    rp.registered()
    page(rp.plan, redirect_uri=CALLBACK + "?foo=bar")


def test_oidcc_redirect_uri_regfrag(rp: RelyingParty) -> None:
    rp.refused("invalid_redirect_uri", META, redirect_uris=[FRAGMENT])


# --- discovery and registration ---------------------------------------------------------------------


def test_oidcc_discovery_endpoint_verification(plan: Plan) -> None:
    """As in the config plan; for dynamic OPs the module also wants implicit flows, which are not here."""
    test_config.test_oidcc_discovery_endpoint_verification(plan.asking.world)
    document = plan.metadata
    assert document["registration_endpoint"]
    assert document["response_types_supported"] == ["code"]
    assert "authorization_code" in document["grant_types_supported"]
    assert "implicit" not in document["grant_types_supported"]


def test_oidcc_server(rp: RelyingParty) -> None:
    told = rp.registered()
    assert told["contacts"]
    assert told["jwks"]["keys"][0]["kid"] == rp.signer.kid
    flow = rp.plan.flow()
    assert set(flow.claims) == test_basic.EXPECTED
    assert rp.plan.userinfo(flow) == {"sub": flow.claims["sub"]}
    second = RelyingParty(Plan(rp.plan.asking, rp.plan.mode, rp.plan.time))
    second.registered()
    assert second.plan.flow().claims["sub"] == flow.claims["sub"]
    # at its end the suite unregisters the client
    world = rp.plan.asking.world
    path = told["registration_client_uri"].removeprefix(world.services.settings.issuer)
    headers = {"Authorization": f"Bearer {told['registration_access_token']}"}
    assert world.send("DELETE", path, headers=headers).status_code == 204


def shown_at_login(rp: RelyingParty, **member: str) -> bool:
    """The member is registered; whether the page on which people sign in has it."""
    (name,) = member
    assert rp.registered(**member)[name] == member[name]
    query = urlencode(rp.plan.parameters())
    response = follow(rp.plan.browser, rp.plan.browser.get(f"/authorize?{query}"))
    assert response.request.path == "/login"
    assert "Conformance suite" in response.text
    return member[name] in response.text


def test_oidcc_registration_logo_uri(rp: RelyingParty) -> None:
    """Pages here load nothing of others' servers, which would hear of everybody who signs in."""
    assert not shown_at_login(rp, logo_uri="https://suite.example/logo.png")


def test_oidcc_registration_policy_uri(rp: RelyingParty) -> None:
    assert not shown_at_login(rp, policy_uri="https://suite.example/policy")


def test_oidcc_registration_tos_uri(rp: RelyingParty) -> None:
    assert not shown_at_login(rp, tos_uri="https://suite.example/tos")


def test_oidcc_registration_jwks_uri(rp: RelyingParty) -> None:
    with published({"keys": [rp.signer.public()]}) as keys:
        assert rp.registered(jwks=None, jwks_uri=keys.uri)["jwks_uri"] == keys.uri
        rp.plan.flow()
        assert keys.heard


def test_oidcc_registration_sector_uri(rp: RelyingParty) -> None:
    assert "pairwise" in rp.plan.metadata["subject_types_supported"]
    with published([CALLBACK]) as sector:
        told = rp.registered(subject_type="pairwise", sector_identifier_uri=sector.uri)
        assert (told["subject_type"], told["sector_identifier_uri"]) == ("pairwise", sector.uri)
    flow = rp.plan.flow()
    assert flow.claims["sub"] != rp.plan.asking.alice
    assert rp.plan.userinfo(flow)["sub"] == flow.claims["sub"]


def test_oidcc_registration_sector_bad(rp: RelyingParty) -> None:
    with published(["https://example.com/op"]) as sector:
        rp.refused(META, subject_type="pairwise", sector_identifier_uri=sector.uri)


# --- keys that change -------------------------------------------------------------------------------


def test_oidcc_server_rotate_keys(plan: Plan) -> None:
    """The operator rotates; the new keys are there, and the old ones still."""
    world = plan.asking.world

    def keys() -> dict[str, Any]:
        found = world.send("GET", "/jwks").json["keys"]
        assert KeySet.import_key_set({"keys": found}).keys
        assert all(key["kid"] for key in found)
        assert len({key["kid"] for key in found}) == len(found)
        return {key["kid"]: key for key in found}

    before = keys()
    # the next key has been published for as long as others may keep what they fetched
    plan.time.walk(3600)
    world.services.rotation.rotate("ES256")
    world.services.versions.forget()
    after = keys()
    assert set(after) > set(before)
    assert all(after[kid] == key for kid, key in before.items())


def test_oidcc_refresh_token_rp_key_rotation(rp: RelyingParty) -> None:
    with published({"keys": [rp.signer.public()]}) as keys:
        both = ["authorization_code", "refresh_token"]
        rp.registered(jwks=None, jwks_uri=keys.uri, grant_types=both)
        flow = rp.plan.flow(scope="openid offline_access", prompt="consent")
        rp.signer = Signer(kid="k2")
        keys.page = json.dumps({"keys": [rp.signer.public()]}).encode()
        # the suite waits a minute, for what limits how often an address is asked
        assert LOOK_AGAIN_SECONDS < 60
        rp.plan.time.walk(60)
        answer = test_basic.refreshed(rp.plan, flow.body["refresh_token"], scope="openid offline_access")
        assert answer.status_code == 200, answer.data
        new = rp.plan.judge(answer, None)
        assert new.claims["sub"] == flow.claims["sub"]
        assert rp.plan.userinfo(new)


# --- request objects --------------------------------------------------------------------------------


def by_reference(rp: RelyingParty, text: str) -> str:
    """The error of a request whose parameters are at an address, of which nobody asks."""
    with published({}) as place:
        place.page = text.encode()
        asked = rp.plan.parameters(request_uri=place.uri)
        error = rp.plan.callback(rp.plan.send(asked), asked)["error"]
        assert place.heard == []
    return error


def test_oidcc_request_uri_unsigned(rp: RelyingParty) -> None:
    rp.registered()
    assert rp.plan.metadata["request_uri_parameter_supported"] is False
    text = ".".join(crypto.b64u(json.dumps(part).encode()) for part in (UNSIGNED, rp.plan.parameters()))
    assert by_reference(rp, text + ".") == "request_uri_not_supported"


def test_oidcc_request_uri_signed_rs256(rp: RelyingParty) -> None:
    assert "request_object_signing_alg_values_supported" not in rp.plan.metadata
    rp.refused(META, request_object_signing_alg="RS256")
    rp.registered()
    signed = rp.signer.assertion(rp.plan.asking.world, rp.plan.client_id)
    assert by_reference(rp, signed) == "request_uri_not_supported"


def test_oidcc_ensure_request_object_with_redirect_uri(rp: RelyingParty) -> None:
    """The address outside the object is not registered: a page, as the module allows."""
    rp.registered()
    inside = rp.plan.parameters()
    request = ".".join(crypto.b64u(json.dumps(part).encode()) for part in (UNSIGNED, inside)) + "."
    page(rp.plan, request=request, redirect_uri=CALLBACK + "/invalid")


# --- refresh tokens and client assertions -----------------------------------------------------------


def test_oidcc_refresh_token(rp: RelyingParty) -> None:
    assert "refresh_token" in rp.plan.metadata["grant_types_supported"]
    both = ["authorization_code", "refresh_token"]
    second = RelyingParty(Plan(rp.plan.asking, rp.plan.mode, rp.plan.time))
    tokens = []
    for one in (rp, second):
        one.registered(grant_types=both)
        flow = one.plan.flow(scope="openid offline_access", prompt="consent")
        one.plan.time.walk(1)
        answer = test_basic.refreshed(one.plan, flow.body["refresh_token"], scope="openid offline_access")
        assert answer.status_code == 200
        assert one.plan.judge(answer, None).claims["sub"] == flow.claims["sub"]
        tokens.append(answer.json["refresh_token"])
    foreign = test_basic.refreshed(rp.plan, tokens[1])
    assert (foreign.status_code, foreign.json["error"]) == (400, "invalid_grant")


def test_oidcc_ensure_client_assertion_with_iss_aud_succeeds(rp: RelyingParty) -> None:
    told = rp.registered()
    world = rp.plan.asking.world
    assertion = world.assertions[told["client_id"]]()
    assert claims_of(assertion)["aud"] == rp.plan.metadata["issuer"]
    form = {"client_assertion": assertion}
    assert rp.plan.redeem(rp.plan.code(), **form).status_code == 200


# --- logins that begin elsewhere --------------------------------------------------------------------


def test_oidcc_3rd_party_init_login(rp: RelyingParty) -> None:
    uri = "https://suite.example/test/a/authserver/initiate_login"
    told = rp.registered(initiate_login_uri=uri)
    assert told["initiate_login_uri"] == uri
    assert rp.read(told)["initiate_login_uri"] == uri


def test_oidcc_3rd_party_init_login_nohttps(rp: RelyingParty) -> None:
    uri = "http://suite.example/test/a/authserver/initiate_login"
    rp.refused(META, initiate_login_uri=uri)


# --- what the suite would meet if it came as it is ----------------------------------------------------


def test_the_suites_own_keys_and_requests_are_refused(rp: RelyingParty) -> None:
    """RS256 keys, the token endpoint as audience, and requests without PKCE."""
    rsa = Signer("PS256").public(alg="RS256")
    rp.refused(META, jwks={"keys": [rsa]})
    told = rp.registered(scope=" ".join(SCOPES))
    world = rp.plan.asking.world
    endpoint = f"{rp.plan.metadata['issuer']}/token"
    assertion = rp.signer.assertion(world, told["client_id"], aud=endpoint)
    answer = rp.plan.redeem(rp.plan.code(), client_assertion=assertion)
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")
    assert rp.plan.refused(code_challenge=None, code_challenge_method=None)["error"] == "invalid_request"
