"""The doors for web applications: where the token may be, and how a refusal looks."""

import io
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from flask import Flask, jsonify
from resource_server.signing import AUDIENCE, NOW, SigningKey, claims, jwks
from werkzeug.test import Client, EnvironBuilder
from werkzeug.wrappers import Request, Response

from authserver.resource_server import (
    AccessToken,
    Challenge,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    Reason,
    Rules,
    StaticKeys,
    Unavailable,
    Validator,
)
from authserver.resource_server.bearer import bearer_token
from authserver.resource_server.flask import current_token, install_error_handler, require_token
from authserver.resource_server.wsgi import ACCESS_TOKEN, RequireToken

ISSUER = "https://as.example"
METADATA = "https://api.example/.well-known/oauth-protected-resource/payments"
KEY = SigningKey("key-1")
CHALLENGE = Challenge("payments", METADATA)
TOKEN = KEY.jwt(claims(ISSUER, NOW))


def validator() -> Validator:
    return Validator(
        issuer=ISSUER, audience=AUDIENCE, keys=StaticKeys(jwks(KEY)), rules=Rules(clock=lambda: NOW)
    )


class Down:
    def validate(self, token: str, *, scope: str | None = None) -> AccessToken:
        raise Unavailable


def flask_client() -> Client:
    app = Flask("api")
    install_error_handler(app, CHALLENGE)

    @app.route("/", methods=["GET", "POST"])
    @require_token(validator())
    def index() -> Any:
        return jsonify(client=current_token().client_id)

    @app.route("/refunds", methods=["GET", "POST"])
    @require_token(validator(), scope="refunds:create")
    def refunds() -> Any:
        raise AssertionError("no token here has the scope")

    @app.route("/down")
    @require_token(Down())
    def down() -> Any:
        raise AssertionError("nobody gets in")

    return Client(app)


def wsgi_client() -> Client:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        token = environ[ACCESS_TOKEN]
        if environ["PATH_INFO"] == "/refunds":
            token.require("refunds:create")
        answer = Response(
            json.dumps({"client": token.client_id, "form": Request(environ).form}),
            mimetype="application/json",
        )
        return answer(environ, start_response)

    guarded = RequireToken(app, validator(), CHALLENGE)
    down = RequireToken(app, Down(), CHALLENGE)
    return Client(lambda env, start: (down if env["PATH_INFO"] == "/down" else guarded)(env, start))


@pytest.fixture(params=[flask_client, wsgi_client], ids=["flask", "wsgi"])
def client(request: pytest.FixtureRequest) -> Client:
    door: Callable[[], Client] = request.param
    return door()


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_good_token_opens_the_door(client: Client) -> None:
    answer = client.get("/", headers=bearer())
    assert (answer.status_code, answer.json["client"]) == (200, "client-1")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "DPoP x"},
        {"Authorization": TOKEN},
    ],
)
def test_without_a_bearer_token_the_challenge_names_no_error(client: Client, headers: dict[str, str]) -> None:
    answer = client.get("/", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="payments", resource_metadata="{METADATA}"'
    assert answer.json == {}


def test_an_invalid_token_is_challenged_with_invalid_token(client: Client) -> None:
    answer = client.get("/", headers=bearer("x"))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == (
        'Bearer realm="payments", error="invalid_token", '
        'error_description="The access token is not a signed JWT in compact form", '
        f'resource_metadata="{METADATA}"'
    )
    assert answer.json["error"] == "invalid_token"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.mimetype == "application/json"


def test_a_lacking_scope_is_403_and_names_the_scope(client: Client) -> None:
    answer = client.post("/refunds", headers=bearer())
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert 'scope="refunds:create"' in answer.headers["WWW-Authenticate"]
    assert answer.json["error"] == "insufficient_scope"


def test_when_nobody_can_tell_the_answer_is_503_with_retry_after(client: Client) -> None:
    answer = client.get("/down", headers=bearer())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN} x",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        f"Basic YTpi, Bearer {TOKEN}",
        f"Bearer {TOKEN},",
        f"Bearer\t{TOKEN}",
        f'Bearer "{TOKEN}"',
        "Bearer token=x",
        "Bearer é",
        ": x",
        "Bearer =",
        "(x)",
    ],
)
def test_a_malformed_or_repeated_header_is_an_invalid_request(client: Client, authorization: str) -> None:
    answer = client.get("/", headers={"Authorization": authorization})
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")
    assert 'error="invalid_request"' in answer.headers["WWW-Authenticate"]


def test_the_scheme_is_case_insensitive(client: Client) -> None:
    assert client.get("/", headers={"Authorization": f"bEARER {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("headers", [{}, bearer()], ids=["alone", "and in the header"])
@pytest.mark.parametrize(
    "query", [f"access_token={TOKEN}", "access_token", "a=1&access_token=", "%61ccess_token=x", "x=1&" * 2000]
)
def test_a_token_in_the_query_is_refused(client: Client, headers: dict[str, str], query: str) -> None:
    answer = client.get(f"/?{query}", headers=headers)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


def test_a_token_in_a_form_beside_the_header_is_refused(client: Client) -> None:
    answer = client.post("/", headers=bearer(), data={"access_token": TOKEN})
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


def test_a_token_in_a_form_alone_is_no_token_and_its_body_is_not_waited_for(client: Client) -> None:
    class Unfinished(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("the body was read")

        readline = readinto = read

    environ = EnvironBuilder(method="POST", data={"access_token": TOKEN}).get_environ()
    answer = client.open(environ | {"wsgi.input": Unfinished()})
    assert answer.status_code == 401


def test_another_form_reaches_the_application_unharmed() -> None:
    answer = wsgi_client().post("/", headers=bearer(), data={"a": "1", "b": "é"})
    assert answer.json == {"client": "client-1", "form": {"a": "1", "b": "é"}}


@pytest.mark.parametrize("length", ["", "-1", "1e3", "²", "9" * 30, "70000"])
def test_a_form_of_unknown_or_great_length_is_left_to_the_application(length: str) -> None:
    environ = EnvironBuilder(method="POST", headers=bearer()).get_environ()
    kept = io.BytesIO(b"a=1")
    environ |= {
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": length,
        "wsgi.input": kept,
    }
    started: list[str] = []

    def app(env: Any, start_response: Any) -> Iterable[bytes]:
        assert env["wsgi.input"] is kept
        start_response("204 No Content", [])
        return []

    list(RequireToken(app, validator(), CHALLENGE)(environ, lambda status, _headers: started.append(status)))
    assert started == ["204 No Content"]


def test_the_layer_can_hold_every_request_to_a_scope() -> None:
    def app(_environ: Any, _start_response: Any) -> Iterable[bytes]:
        raise AssertionError("no token here has the scope")

    answer = Client(RequireToken(app, validator(), CHALLENGE, scope="refunds:create")).get(
        "/", headers=bearer()
    )
    assert answer.status_code == 403


def test_a_header_cannot_pretend_to_be_a_validated_token() -> None:
    answer = wsgi_client().get("/", headers={"Authserver.access_token": "x", "authserver-access-token": "x"})
    assert answer.status_code == 401


def test_a_view_without_the_decorator_has_no_token() -> None:
    with Flask("api").test_request_context(), pytest.raises(RuntimeError):
        current_token()


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\r\nb", "é", ""])
def test_a_realm_that_could_break_the_header_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="quotes"):
        Challenge(text)
    with pytest.raises(ValueError, match="quotes"):
        Challenge("payments", text or '"')


def test_every_refusal_has_its_status_and_code() -> None:
    table = {
        MissingToken(): (401, None),
        InvalidRequest(): (400, "invalid_request"),
        InvalidToken(Reason.EXPIRED): (401, "invalid_token"),
        InsufficientScope("a"): (403, "insufficient_scope"),
        Unavailable(): (503, "temporarily_unavailable"),
    }
    for error, expected in table.items():
        assert (error.status, error.error) == expected
        assert CHALLENGE.refuse(error).status == expected[0]


def test_descriptions_keep_to_the_characters_of_rfc_6750() -> None:
    for reason in Reason:
        assert all(c in " !" or "#" <= c <= "[" or "]" <= c <= "~" for c in reason.value)


def test_the_token_is_read_from_the_header_alone() -> None:
    assert bearer_token("Bearer abc", elsewhere=False) == "abc"
    with pytest.raises(InvalidRequest):
        bearer_token("Bearer abc", elsewhere=True)
    with pytest.raises(MissingToken):
        bearer_token(None, elsewhere=False)
