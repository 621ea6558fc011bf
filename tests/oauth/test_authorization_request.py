"""Authorization requests: every check, what the client is told, and that nothing else happens."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from asking import CALLBACK, CHALLENGE, Asking, answer, ask, parameters, payment, posted, start
from hypothesis import given
from hypothesis import strategies as st
from plugins.app import ACCOUNTS, ISSUER, PAYMENTS, Moving
from sqlalchemy import update

from authserver import clock, crypto, jws
from authserver.db import table_of
from authserver.models.signing_key import SigningKey
from authserver.oauth.authorization_checks import CHECKS
from authserver.oauth.authorization_request import AuthorizationRequest

ERRORS: list[tuple[dict[str, str | None], str, str]] = [
    ({"response_type": "token"}, "unsupported_response_type", "response_type"),
    ({"response_type": "id_token"}, "unsupported_response_type", "response_type"),
    ({"response_type": "code token"}, "unsupported_response_type", "response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type", "response_type"),
    ({"response_type": "id_token token"}, "unsupported_response_type", "response_type"),
    ({"response_type": "none"}, "unsupported_response_type", "response_type"),
    ({"response_type": "CODE"}, "unsupported_response_type", "response_type"),
    ({"response_type": ""}, "invalid_request", "response_type"),
    ({"response_type": None}, "invalid_request", "response_type"),
    ({"response_mode": "fragment"}, "invalid_request", "response_mode"),
    ({"response_mode": "web_message"}, "invalid_request", "response_mode"),
    ({"response_mode": "jwt"}, "invalid_request", "response_mode"),
    ({"code_challenge": None, "code_challenge_method": None}, "invalid_request", "pkce_missing"),
    ({"code_challenge": ""}, "invalid_request", "pkce_missing"),
    ({"code_challenge_method": "plain"}, "invalid_request", "pkce_method"),
    ({"code_challenge_method": None}, "invalid_request", "pkce_method"),
    ({"code_challenge_method": "s256"}, "invalid_request", "pkce_method"),
    ({"code_challenge_method": "S512"}, "invalid_request", "pkce_method"),
    ({"code_challenge": CHALLENGE[:-1]}, "invalid_request", "pkce_challenge"),
    ({"code_challenge": CHALLENGE + "A"}, "invalid_request", "pkce_challenge"),
    ({"code_challenge": CHALLENGE[:-1] + "="}, "invalid_request", "pkce_challenge"),
    ({"code_challenge": CHALLENGE[:-1] + "+"}, "invalid_request", "pkce_challenge"),
    ({"prompt": "none login"}, "invalid_request", "prompt_conflict"),
    ({"prompt": "login none"}, "invalid_request", "prompt_conflict"),
    ({"prompt": "create"}, "invalid_request", "prompt"),
    ({"prompt": "NONE"}, "invalid_request", "prompt"),
    ({"max_age": "-1"}, "invalid_request", "max_age"),
    ({"max_age": "1.5"}, "invalid_request", "max_age"),
    ({"max_age": "1e3"}, "invalid_request", "max_age"),
    ({"max_age": "\u0661"}, "invalid_request", "max_age"),
    ({"max_age": "9" * 10}, "invalid_request", "max_age"),
    ({"request": "e30.e30."}, "request_not_supported", "request"),
    ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported", "request_uri"),
    ({"registration": "{}"}, "registration_not_supported", "registration"),
    ({"scope": "nonexistent"}, "invalid_scope", "scope"),
    ({"scope": "openid refunds:create"}, "invalid_scope", "scope"),
    ({"scope": None}, "invalid_scope", "scope"),
    ({"scope": "openid  accounts:read"}, "invalid_scope", "malformed"),
    ({"scope": 'openid "'}, "invalid_scope", "malformed"),
    ({"scope": "openid \u043epenid"}, "invalid_scope", "malformed"),
    ({"scope": "accounts:read payments:initiate"}, "invalid_target", "scopes_and_resource"),
    ({"scope": "payments:initiate"}, "invalid_scope", "rar_missing"),
    ({"scope": "openid payments:initiate", "resource": PAYMENTS}, "invalid_scope", "rar_missing"),
    ({"resource": PAYMENTS}, "invalid_target", "scopes_and_resource"),
    ({"scope": "openid", "resource": "https://evil.example"}, "invalid_target", "unknown_resource"),
    ({"scope": "openid", "resource": ACCOUNTS + "#x"}, "invalid_target", "unknown_resource"),
    ({"scope": "offline_access"}, "invalid_target", "no_audience"),
    ({"id_token_hint": "x"}, "invalid_request", "hint_invalid"),
    ({"claims": "x"}, "invalid_request", "claims"),
]


@pytest.mark.spec("RFC 6749", "4.1.2.1")
@pytest.mark.spec("RFC 9207", "2")
def test_every_wrong_request_is_told_to_the_client_with_state_and_issuer(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    before = asking.rows()
    for changes, error, _ in ERRORS:
        found = answer(ask(browser, **changes))
        assert found["error"] == error, changes
        assert (found["state"], found["iss"]) == ("S1", ISSUER)
        assert set(found) == {"error", "error_description", "state", "iss"}
        assert all(0x20 <= ord(c) <= 0x7E and c not in '"\\' for c in found["error_description"])
    assert asking.reasons() == [reason for _, _, reason in ERRORS]
    assert {row["client_id"] for row in asking.events("authz.rejected")} == {"shop"}
    assert asking.rows() == before


def test_errors_are_posted_where_the_client_wants_them_posted(asking: Asking) -> None:
    page = ask(asking.browser(), response_mode="form_post", scope="nonexistent")
    found = posted(page)
    assert (found["error"], found["state"], found["iss"]) == ("invalid_scope", "S1", ISSUER)
    assert "code" not in found


def test_without_a_state_none_comes_back(asking: Asking) -> None:
    assert "state" not in answer(ask(asking.browser(), state=None, scope="x"))
    assert "state" not in answer(ask(asking.browser(), state="", scope="x"))


REPEATABLE_BUT = [
    "response_type", "scope", "state", "nonce", "response_mode", "prompt", "max_age", "acr_values", "claims",
    "login_hint", "id_token_hint", "request_uri", "authorization_details", "dpop_jkt", "code_challenge",
    "code_challenge_method", "unknown",
]  # fmt: skip


@pytest.mark.spec("RFC 6749", "3.1")
@pytest.mark.parametrize("name", REPEATABLE_BUT)
def test_every_repeated_parameter_is_refused(asking: Asking, name: str) -> None:
    browser = asking.browser(logged_in=True)
    for values in (("v1", "v1"), ("v1", "v2"), ("", ""), ("", "v1")):
        query = urlencode([*parameters().items(), *((name, value) for value in values)])
        found = answer(browser.get(f"/authorize?{query}"))
        assert (found["error"], found["state"]) == ("invalid_request", "S1")
    assert set(asking.reasons()) == {"duplicate_parameter"}
    assert asking.rows()["interactions"] == 0


def test_resource_alone_may_repeat_and_still_names_one_api(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    usual = [*parameters().items(), ("resource", ACCOUNTS)]
    same = browser.get("/authorize?" + urlencode([*usual, ("resource", ACCOUNTS)]))
    assert same.headers["Location"].startswith("/authorize/resume")
    two = browser.get("/authorize?" + urlencode([*usual, ("resource", PAYMENTS)]))
    assert answer(two)["error"] == "invalid_target"


def test_clients_ask_only_for_what_they_are_registered_for(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    clients = asking.world.services.clients
    clients.set_redirect_uris("batch", [CALLBACK])
    assert answer(ask(browser, "batch"))["error"] == "unauthorized_client"
    assert asking.reasons() == ["grant_type"]


def test_a_client_registered_without_pkce_may_leave_it_out_but_not_get_it_wrong(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    without = ask(browser, "lax1", code_challenge=None, code_challenge_method=None)
    assert without.headers["Location"].startswith("/authorize/resume")
    assert ask(browser, "lax1").headers["Location"].startswith("/authorize/resume")
    for changes in (
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge": "short"},
    ):
        assert answer(ask(browser, "lax1", **changes))["error"] == "invalid_request"


def test_unknown_parameters_are_ignored_neither_kept_nor_echoed(asking: Asking) -> None:
    page = start(asking.browser(logged_in=True), foo="canary", extra='"><script>', claims='{"userinfo":{}}')
    assert page.status_code == 200
    assert "canary" not in page.text
    assert "<script>" not in page.text


def test_post_takes_the_body_and_nothing_else(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    opened = browser.post("/authorize", parameters())
    assert opened.headers["Location"].startswith("/authorize/resume")
    form = urlencode(parameters()).encode()
    for path, body, content_type, status in (
        ("/authorize?x=1", form, "application/x-www-form-urlencoded", 400),
        (f"/authorize?{form.decode()}", b"", "application/x-www-form-urlencoded", 400),
        ("/authorize", form, "text/plain", 415),
        ("/authorize", form, "application/json", 415),
        ("/authorize", form, "multipart/form-data; boundary=x", 415),
        ("/authorize", form, "application/x-www-form-urlencoded; charset=utf-7", 415),
        ("/authorize", form + b"&state2=" + b"a" * 70_000, "application/x-www-form-urlencoded", 413),
        ("/authorize", form + b"&a=1" * 200, "application/x-www-form-urlencoded", 400),
    ):
        response = browser.post(path, body, **{"Content-Type": content_type})
        assert response.status_code == status, (path, content_type)
        assert response.mimetype == "text/html"
    assert browser.client.open("/authorize", method="PUT", base_url=ISSUER).status_code == 405


@pytest.mark.parametrize(
    "more", ["state=%00", "nonce=a%0d%0ab", "a%00b=1", "state2=%ff", "login_hint=%zz", "x=%1b[31m", "n=\xe9"]
)
def test_what_cannot_be_read_gets_a_page_and_is_not_sent_on(asking: Asking, more: str) -> None:
    query = urlencode(parameters(state=None)) + "&" + more
    response = asking.browser().get(f"/authorize?{query}")
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert asking.reasons("http.rejected") == ["encoding"]


@pytest.mark.spec("RFC 6749", "4.1.2")
@pytest.mark.parametrize(
    "state",
    [
        "A" * 2000,
        "a b&c=d#e?f/g+h%20",
        "'\"><script>alert(1)</script>",
        "\u560a\u560d\u2028\U0001f4b6",
        "%0d%0a",
    ],
)
def test_state_comes_back_as_it_was(asking: Asking, state: str) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser, state=state)
    found = answer(browser.submit(page, "/consent", decision="approve"))
    assert found["state"] == state
    assert answer(ask(browser, state=state, scope="x"))["state"] == state


def test_a_request_that_is_too_large_is_refused_never_cut(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    for size in (4100, 7500):
        response = ask(browser, state="A" * size)
        assert response.status_code in (400, 414)
        assert "AAAA" not in response.text
        assert "Location" not in response.headers
    response = browser.post("/authorize", parameters(state="A" * 10_000))
    assert response.status_code == 400
    response = ask(browser, state="A" * 102_400)
    assert response.status_code == 414
    assert asking.reasons() == ["request_too_large"] * 4
    assert asking.rows()["interactions"] == 0


def test_too_many_requests_of_one_address_get_a_page(make_app: Any) -> None:
    asking = Asking(make_app(limit_authorize_address="3/60"))
    browser = asking.browser()
    for _ in range(3):
        assert ask(browser).status_code == 303
    response = ask(browser)
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "60"
    assert asking.reasons("ratelimit.hit") == ["authorize_ip"]
    browser.address = "198.51.100.7"
    assert ask(browser).status_code == 303


def sign(asking: Asking, typ: str = "JWT", **changes: Any) -> str:
    """An ID token of this server, or nearly."""
    now = clock.now()
    claims = {
        "iss": ISSUER,
        "sub": asking.alice,
        "aud": "shop",
        "iat": now - 900,
        "exp": now - 600,
        "sid": "s",
    }
    return asking.world.services.keys.sign(typ, claims | changes, "ES256")


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1")
def test_an_id_token_hint_must_be_an_id_token_of_this_server_for_this_client(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    good = sign(asking)
    assert ask(browser, id_token_hint=good).headers["Location"].startswith("/authorize/resume")
    header, claims, signature = good.split(".")
    none = crypto.b64u(b'{"alg":"none","typ":"JWT"}')
    # a name that no database of ours can look for
    nul = crypto.b64u(b'{"alg":"ES256","typ":"JWT","kid":"a\\u0000"}')
    for hint in (
        f"{nul}.{claims}.{signature}",
        f"{none}.{claims}.",
        f"{none}.{claims}.{signature}",
        f"{header}.{claims}.{signature[:-4]}AAAA",
        sign(asking, iss="https://other.example"),
        sign(asking, aud="rival"),
        sign(asking, aud=["shop"]),
        sign(asking, sid=None),
        sign(asking, sub=None),
        sign(asking, typ="at+jwt"),
        "x" * 20_000 if jws.MAX_BYTES < 20_000 else "x",
    ):
        response = browser.post("/authorize", parameters(id_token_hint=hint))
        if len(hint) > 8_000:
            assert response.status_code == 400
            continue
        assert answer(response)["error"] == "invalid_request"
    assert set(asking.reasons()) == {"hint_invalid", "request_too_large"}


def test_a_hint_for_somebody_else_asks_to_log_in(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    assert start(browser, id_token_hint=sign(asking)).request.path == "/consent"
    page = start(browser, id_token_hint=sign(asking, sub="bob"))
    assert page.request.path == "/login"
    found = answer(start(browser, id_token_hint=sign(asking, sub="bob"), prompt="none"))
    assert found["error"] == "login_required"


def test_a_hint_counts_when_its_key_has_left_the_jwks_by_age(asking: Asking, moving_clock: Moving) -> None:
    services, hint = asking.world.services, sign(asking)
    with services.database.writing() as connection:
        connection.execute(update(table_of(SigningKey)).values(published_at=0))
    services.rotation.rotate("ES256")
    moving_clock.walk(6 * 3600)
    services.rotation.advance()
    services.versions.forget()
    kids = {key["kid"] for key in asking.world.send("GET", "/jwks").json["keys"]}
    assert jws.parse(hint, typ=["jwt"], algs=["ES256"]).kid not in kids
    assert ask(asking.browser(), id_token_hint=hint).headers["Location"].startswith("/authorize/resume")


def test_the_row_holds_the_request_as_it_was_judged(asking: Asking) -> None:
    request = AuthorizationRequest(
        client_id="pay1",
        redirect_uri=CALLBACK,
        response_mode="form_post",
        state="S1",
        nonce="N1",
        scopes=("openid", "payments:initiate"),
        resources=(PAYMENTS,),
        audience=(PAYMENTS, ISSUER),
        prompt=frozenset({"login", "consent"}),
        max_age=0,
        login_hint="alice",
        subjects=("u", "v"),
        ui_locales=("de-CH", "en"),
        acr_values=("a", "b"),
        acr_essential=("c",),
        userinfo_claims=("name",),
        id_token_claims=("email",),
        code_challenge=CHALLENGE,
        authorization_details=tuple(json.loads(payment())),
    )
    stored = json.loads(json.dumps(request.to_json()))
    assert AuthorizationRequest.from_json(stored) == request
    interactions = asking.world.services.interactions
    found = interactions.read(interactions.open(request))
    assert found is not None
    assert found.request == request
    least = AuthorizationRequest(client_id="shop", redirect_uri=CALLBACK)
    assert AuthorizationRequest.from_json(least.to_json()) == least
    assert least.to_json() == {"client_id": "shop", "redirect_uri": CALLBACK}


@given(st.lists(st.text(max_size=20), max_size=3), st.none() | st.integers(0, 10**9 - 1), st.text())
def test_any_request_survives_its_row(words: list[str], max_age: int | None, state: str) -> None:
    request = AuthorizationRequest(
        "c", CALLBACK, state=state, scopes=tuple(words), prompt=frozenset(words), max_age=max_age
    )
    assert AuthorizationRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_checks_have_names_and_the_client_comes_first() -> None:
    names = [check.name for check in CHECKS]
    assert names[:3] == ["client", "redirect_uri", "repetition"]
    assert len(set(names)) == len(names)
    assert all("authorize" in check.endpoints for check in CHECKS)
