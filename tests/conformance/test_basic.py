"""The modules of ``oidcc-basic-certification-test-plan``, each a test of its name.

Written anew from what each module of the OpenID Foundation's suite says that it expects. The same modules
with another response mode are ``oidcc-formpost-basic-certification-test-plan`` (``test_form_post``).
"""

from __future__ import annotations

import json

from asking import CHALLENGE, VERIFIER
from werkzeug.test import TestResponse

from authserver import acr, crypto

from .op import CALLBACK, Plan

# of ID tokens, when nothing more is asked for
EXPECTED = {"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}
UNSIGNED = {"alg": "none"}


def test_oidcc_server(plan: Plan) -> None:
    flow = plan.flow()
    assert set(flow.claims) == EXPECTED
    assert flow.header["kid"]
    assert plan.userinfo(flow) == {"sub": flow.claims["sub"]}
    # a second client signs the same person in
    second = Plan(plan.asking, plan.mode, plan.time, "second").flow()
    assert second.claims["sub"] == flow.claims["sub"]


def test_oidcc_response_type_missing(plan: Plan) -> None:
    assert plan.refused(response_type=None)["error"] == "invalid_request"


def test_oidcc_idtoken_signature(plan: Plan) -> None:
    """Of dynamic clients alone: without an algorithm they would get RS256. Here it is ES256, and said so."""
    assert "RS256" in plan.metadata["id_token_signing_alg_values_supported"]
    flow = plan.flow()
    assert (flow.header["alg"], bool(flow.header["kid"])) == ("ES256", True)


def test_oidcc_idtoken_unsigned(plan: Plan) -> None:
    """Of dynamic clients alone, and skipped where ``none`` is not supported."""
    assert "none" not in plan.metadata["id_token_signing_alg_values_supported"]


def test_oidcc_userinfo_get(plan: Plan) -> None:
    assert plan.userinfo(plan.flow())


def test_oidcc_userinfo_post_header(plan: Plan) -> None:
    assert plan.userinfo(plan.flow(), "POST")


def test_oidcc_userinfo_post_body(plan: Plan) -> None:
    """Need not be supported: the module ends with a warning (RFC 9700 §4.3.2 is why it is not)."""
    form = {"access_token": plan.flow().body["access_token"]}
    assert plan.asking.world.post("/userinfo", form=form).status_code == 400


def test_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(plan: Plan) -> None:
    assert "nonce" not in plan.flow(nonce=None).claims


def test_oidcc_scope_profile(plan: Plan) -> None:
    flow = plan.flow(scope="openid profile")
    assert set(plan.userinfo(flow)) == {"sub", "name", "preferred_username"}
    assert set(flow.claims) == EXPECTED


def test_oidcc_scope_email(plan: Plan) -> None:
    told = plan.userinfo(plan.flow(scope="openid email"))
    assert set(told) == {"sub", "email", "email_verified"}
    assert isinstance(told["email_verified"], bool)


def test_oidcc_scope_address(plan: Plan) -> None:
    """Skipped: nobody's address is known here, and the scope is not advertised."""
    assert "address" not in plan.metadata["scopes_supported"]
    assert plan.refused(scope="openid address")["error"] == "invalid_scope"


def test_oidcc_scope_phone(plan: Plan) -> None:
    """Skipped like ``address``."""
    assert "phone" not in plan.metadata["scopes_supported"]
    assert plan.refused(scope="openid phone")["error"] == "invalid_scope"


def test_oidcc_scope_all(plan: Plan) -> None:
    """Skipped, for it asks for ``address`` and ``phone``; all that there are go together."""
    assert not {"address", "phone"} & set(plan.metadata["scopes_supported"])
    told = plan.userinfo(plan.flow(scope="openid email profile"))
    assert set(told) == {"sub", "name", "preferred_username", "email", "email_verified"}


def test_oidcc_alternate_happy_flow(plan: Plan) -> None:
    asked = plan.parameters(scope="email openid")
    turned = dict(reversed(asked.items()))
    code = plan.callback(plan.send(turned), asked)["code"]
    assert set(plan.userinfo(plan.judge(plan.redeem(code), asked["nonce"]))) > {"sub", "email"}


def test_oidcc_display_page(plan: Plan) -> None:
    plan.flow(display="page")
    assert "Sign in" in plan.pages[0].text


def test_oidcc_display_popup(plan: Plan) -> None:
    plan.flow(display="popup")
    assert "Sign in" in plan.pages[0].text


def test_oidcc_prompt_login(plan: Plan) -> None:
    first = plan.flow()
    plan.time.walk(1)
    second = plan.flow(prompt="login")
    assert plan.logins == 2
    assert second.claims["auth_time"] > first.claims["auth_time"]


def test_oidcc_prompt_none_not_logged_in(plan: Plan) -> None:
    assert plan.refused(prompt="none", state="s" * 128)["error"] == "login_required"


def test_oidcc_prompt_none_logged_in(plan: Plan) -> None:
    first = plan.flow()
    plan.time.walk(5)
    same_login(plan, first.claims, plan.flow(prompt="none").claims)


def test_oidcc_max_age_1(plan: Plan) -> None:
    first = plan.flow()
    plan.time.walk(2)
    second = plan.flow(max_age="1")
    assert plan.logins == 2
    assert second.claims["auth_time"] > first.claims["auth_time"]
    assert plan.time.at - second.claims["auth_time"] <= 1


def test_oidcc_max_age_10000(plan: Plan) -> None:
    first = plan.flow(max_age="15000")
    plan.time.walk(5)
    same_login(plan, first.claims, plan.flow(max_age="10000").claims)


def test_oidcc_ensure_request_with_unknown_parameter_succeeds(plan: Plan) -> None:
    plan.flow(extra="foobar")


def test_oidcc_id_token_hint(plan: Plan) -> None:
    first = plan.flow()
    plan.time.walk(5)
    second = plan.flow(prompt="none", id_token_hint=first.body["id_token"])
    same_login(plan, first.claims, second.claims)


def test_oidcc_login_hint(plan: Plan) -> None:
    plan.flow(login_hint="buffy@localhost")
    assert 'value="buffy@localhost"' in plan.pages[0].text


def test_oidcc_ui_locales(plan: Plan) -> None:
    plan.flow(ui_locales="se")


def test_oidcc_claims_locales(plan: Plan) -> None:
    plan.flow(claims_locales="se")


def test_oidcc_ensure_request_with_acr_values_succeeds(plan: Plan) -> None:
    supported = plan.metadata["acr_values_supported"]
    assert supported == list(acr.LADDER)
    assert plan.flow(acr_values=" ".join(supported)).claims["acr"] in supported


def test_oidcc_codereuse(plan: Plan) -> None:
    code = plan.code()
    assert plan.redeem(code).status_code == 200
    spent(plan, code)


def test_oidcc_codereuse_30seconds(plan: Plan) -> None:
    code = plan.code()
    body = plan.redeem(code).json
    plan.time.walk(30)
    spent(plan, code)
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert plan.asking.world.send("GET", "/userinfo", headers=headers).status_code == 401


def test_oidcc_ensure_registered_redirect_uri(plan: Plan) -> None:
    page = plan.send(plan.parameters(redirect_uri=CALLBACK + "/bad"))
    assert page.status_code == 400
    assert "Location" not in page.headers
    assert "wrong address to return to" in page.text


def test_oidcc_ensure_post_request_succeeds(plan: Plan) -> None:
    assert plan.flow("POST").claims["sub"]


def test_oidcc_server_client_secret_post(plan: Plan) -> None:
    assert Plan(plan.asking, plan.mode, plan.time, "post").flow().claims["aud"] == "post"


def test_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(plan: Plan) -> None:
    """Of dynamic clients alone; skipped by this very error."""
    assert plan.metadata["request_uri_parameter_supported"] is False
    found = plan.refused(request_uri="https://suite.example/test/a/authserver/requesturi/x#y")
    assert found["error"] == "request_uri_not_supported"


def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(plan: Plan) -> None:
    """Skipped by this very error."""
    assert plan.metadata["request_parameter_supported"] is False
    assert plan.refused(request=unsigned(plan.parameters()))["error"] == "request_not_supported"


def test_oidcc_claims_essential(plan: Plan) -> None:
    assert plan.metadata["claims_parameter_supported"] is True
    flow = plan.flow(claims=json.dumps({"userinfo": {"name": {"essential": True}}}))
    assert plan.userinfo(flow)["name"] == "Alice"
    assert "name" not in flow.claims


def test_oidcc_ensure_request_object_with_redirect_uri(plan: Plan) -> None:
    """The address in the query is bad, so nothing is told to any: a page."""
    inside = unsigned(plan.parameters())
    page = plan.send(plan.parameters(request=inside, redirect_uri=CALLBACK + "/bad"))
    assert page.status_code == 400
    assert "wrong address to return to" in page.text


def test_oidcc_refresh_token(plan: Plan) -> None:
    assert "refresh_token" in plan.metadata["grant_types_supported"]
    second = Plan(plan.asking, plan.mode, plan.time, "second")
    tokens = {}
    for one in (plan, second):
        flow = one.flow(scope="openid offline_access", prompt="consent")
        one.time.walk(1)
        again = refreshed(one, flow.body["refresh_token"], scope="openid offline_access")
        assert again.status_code == 200
        new = one.judge(again, None)
        # OpenID Connect Core §12.2
        fixed = ("iss", "sub", "aud", "auth_time", "sid", "acr")
        assert [new.claims[name] for name in fixed] == [flow.claims[name] for name in fixed]
        assert new.claims["iat"] > flow.claims["iat"]
        assert {"azp", "nonce"}.isdisjoint(new.claims)
        assert new.body["access_token"] != flow.body["access_token"]
        assert one.userinfo(new)
        tokens[one.client_id] = new.body["refresh_token"]
    assert len(tokens["first"]) >= 22
    foreign = refreshed(plan, tokens["second"])
    assert (foreign.status_code, foreign.json["error"]) == (400, "invalid_grant")


def test_oidcc_ensure_request_with_valid_pkce_succeeds(plan: Plan) -> None:
    asked = plan.parameters(code_challenge=CHALLENGE, code_challenge_method="S256")
    code = plan.callback(plan.send(asked), asked)["code"]
    assert plan.redeem(code, code_verifier=VERIFIER).status_code == 200


def same_login(plan: Plan, first: dict[str, object], second: dict[str, object]) -> None:
    """The second flow asked nobody to sign in."""
    assert plan.logins == 1
    assert (second["sub"], second["auth_time"]) == (first["sub"], first["auth_time"])


def spent(plan: Plan, code: str) -> None:
    response = plan.redeem(code)
    assert (response.status_code, response.json["error"]) == (400, "invalid_grant")
    assert response.content_type == "application/json"


def refreshed(plan: Plan, token: str, **form: str) -> TestResponse:
    usual = {"grant_type": "refresh_token", "refresh_token": token}
    return plan.asking.world.post("/token", as_=plan.client_id, form=usual | form)


def unsigned(parameters: dict[str, str]) -> str:
    """A request object of alg none (OpenID Connect Core §6.1)."""
    return ".".join(crypto.b64u(json.dumps(part).encode()) for part in (UNSIGNED, parameters)) + "."
