"""JWTs in every place that reads one: each wrong one is refused, as any wrong one is there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from assertions import ABSENT, Signer
from assertions import form as assertion_form
from receiver import Receiver

from authserver import clock, crypto

from .. import cast
from ..asserted import SIGNERS
from ..forge import active_key, claims_of, header_of
from ..jwt_forge import FORGERIES, Right, remote_key
from ..runner import Run
from ..wire import Request

PKJWT = "web_pkjwt"
SIGNER = SIGNERS[PKJWT]
BYE = "https://client.example/bye"
# longer ones do not fit into a URL
LONGEST_QUERY = 6_000


def forged_everywhere(
    run: Run,
    forgery: str,
    reason: str,
    reasons: dict[str, str] | None = None,
    places: list[str] | None = None,
) -> None:
    """Each JWT of ``forgery`` is refused in all ``places``; ``reasons`` has those of single places."""
    for place in places or list(PLACES):
        _refused(run, place, list(FORGERIES[forgery](_right(run, place))), (reasons or {}).get(place, reason))


def remote_keys(run: Run) -> None:
    """JW-006: nobody is asked for the key."""
    with Receiver() as elsewhere:
        address = elsewhere.uri.partition("/backchannel")[0]
        for place in PLACES:
            _refused(run, place, list(remote_key(_right(run, place), address)), "key_not_trusted")
        assert elsewhere.heard == []


def oversized_everywhere(run: Run) -> None:
    """JW-014: too long for a header is refused ahead of all; elsewhere it is a JWT that does not hold."""
    for place in ("client_assertion@token", "token@introspect", "id_token_hint@end_session"):
        _refused(run, place, list(FORGERIES["oversized"](_right(run, place))), "too_large")
    for text in FORGERIES["oversized"](_right(run, "access_token@userinfo")):
        expect = {"status": 431, "error": "invalid_request", "audit": ["http.rejected/too_large"]}
        run.send(expect, send="GET /userinfo", headers={"Authorization": f"Bearer {text}"})
    for size in (100_000, 1_000_000):
        text = "A" * size
        too_large = {"status": 413, "error": "invalid_request"}
        run.send(too_large, send="POST /introspect", **{"as": "rs_accounts"}, form={"token": text})
        run.send(too_large, send="POST /token", form=assertion_form(text))
        page = {"status": [400, 413], "page": True, "location": ""}
        for method in ("GET", "POST"):
            field = "query" if method == "GET" else "body"
            run.send(page, send=f"{method} /end_session", **{field: f"id_token_hint={text}"}, browser="alice")
    _alive(run)


def audiences(run: Run) -> None:
    """JW-023: the audience of an assertion is the issuer, as a plain string."""
    issuer = run.world.services.settings.issuer
    texts = []
    for audience in (
        [issuer], [issuer, "https://evil.example"], f"{issuer}/token", f"{issuer}/par", f"{issuer}/",
        issuer.upper(), f"{issuer} ", {"iss": issuer}, ABSENT, "", None, PKJWT,
    ):  # fmt: skip
        texts.append(SIGNER.assertion(run.world, PKJWT, aud=audience))
    cast.client(run.world, PKJWT)
    _refused(run, "client_assertion@token", texts, "aud")


def hints_of_ours(run: Run) -> None:
    """Signed by this server, and no ID token that counts."""
    right = _right(run, "id_token_hint@end_session")
    client = right.claims["aud"]
    for claims, reason in (
        ({"aud": [client]}, "aud"), ({"aud": [client, "web2"]}, "aud"), ({"aud": None}, "aud"),
        ({"aud": ""}, "aud"), ({"aud": {"x": 1}}, "aud"), ({"iss": "https://other.example"}, "iss"),
        ({"iss": None}, "iss"), ({"sub": None}, "sub"), ({"sub": ["x"]}, "sub"), ({"sub": ""}, "sub"),
        ({"sid": None}, "sid"), ({"sid": 7}, "sid"), ({"sid": ""}, "sid"), ({"iat": None}, "iat"),
        ({"iat": "1"}, "iat"),
    ):  # fmt: skip
        _refused(run, "id_token_hint@end_session", [right.text(**claims)], reason)
    for typ in ("at+jwt", "logout+jwt", "revocations+jwt", "", None, 1, "JWT ", "jwt,jwt"):
        _refused(run, "id_token_hint@end_session", [right.text({"typ": typ})], "typ")
    access_token = run.saved["t"]["access_token"]
    _refused(run, "id_token_hint@end_session", [access_token], "typ")


def kid_flood(run: Run, count: int) -> None:
    """JW-026, scaled down: as many new kids do not make the server ask for the client's keys again."""
    signer = Signer()
    with Receiver() as publisher:
        publisher.page = json.dumps({"keys": [signer.public()]}).encode()
        values = cast.CODE_CLIENT | {
            "client_id": "flood", "client_name": "flood", "redirect_uris": [],
            "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": publisher.uri,
        }  # fmt: skip
        run.world.services.clients.create(values)
        run.world.services.versions.forget()
        known = len(run.world.events("client.auth.failed"))
        for number in range(count):
            text = signer.assertion(run.world, "flood", {"kid": f"k{number}x"})
            kind = (("Content-Type", "application/x-www-form-urlencoded"),)
            body = urlencode(assertion_form(text, scope="reports")).encode()
            reply = run.wire.send(Request("POST", "/token", kind, body))
            assert (reply.status, reply.json["error"]) == (401, "invalid_client")
        rows = run.world.events("client.auth.failed")[known:]
        assert {row["reason"] for row in rows} == {"kid"}
        assert len(publisher.heard) <= 2
        _accepted(run, "client_assertion@token", signer.assertion(run.world, "flood"))


def right_everywhere(run: Run) -> None:
    """The control, which comes last: where a right JWT is, it counts; the session ends with it."""
    _alive(run)
    for place in PLACES:
        _accepted(run, place, _right(run, place).text())


# --- the places -------------------------------------------------------------------------------------------


def _right(run: Run, place: str) -> Right:
    """What a right JWT for the place is made of; ``{t}`` holds the tokens of alice at web1."""
    if place == "client_assertion@token":
        cast.client(run.world, PKJWT)
        now = clock.now()
        claims = {
            "iss": PKJWT, "sub": PKJWT, "aud": run.world.services.settings.issuer, "iat": now,
            "exp": now + 60, "jti": crypto.random_token(),
        }  # fmt: skip
        return Right(
            {"alg": cast.SIGNERS[PKJWT].alg, "kid": cast.SIGNERS[PKJWT].kid}, claims, cast.SIGNERS[PKJWT].key
        )
    name = "id_token" if place == "id_token_hint@end_session" else "access_token"
    token = run.saved["t"][name]
    return Right(header_of(token), claims_of(token), active_key(run.world).pair)


def _assertion(text: str) -> dict[str, Any]:
    return {"send": "POST /token", "form": assertion_form(text, scope="reports")}


def _userinfo(text: str) -> dict[str, Any]:
    return {"send": "GET /userinfo", "headers": {"Authorization": f"Bearer {text}"}}


def _introspect(text: str) -> dict[str, Any]:
    return {"send": "POST /introspect", "as": "rs_accounts", "form": {"token": text}}


def _hint(text: str) -> dict[str, Any]:
    fields = {"id_token_hint": text, "post_logout_redirect_uri": BYE}
    if len(text) > LONGEST_QUERY:
        return {"send": "POST /end_session", "form": fields, "browser": "alice"}
    return {"send": "GET /end_session", "query": urlencode(fields), "browser": "alice"}


PLACES: dict[str, Any] = {
    "client_assertion@token": _assertion,
    "access_token@userinfo": _userinfo,
    "token@introspect": _introspect,
    "id_token_hint@end_session": _hint,
}
REFUSALS: dict[str, dict[str, Any]] = {
    "client_assertion@token": {"status": 401, "error": "invalid_client", "audit": ["client.auth.failed"]},
    "access_token@userinfo": {"status": 401, "error": "invalid_token", "audit": ["resource.rejected"]},
    "token@introspect": {
        "status": 200, "body": {"active": False}, "body_only": ["active"], "audit": ["jwt.rejected"],
    },
    "id_token_hint@end_session": {
        "status": 400, "page": True, "location": "",
        "audit": ["jwt.rejected", "logout.rejected/hint_invalid"],
    },
}  # fmt: skip
CONTROLS: dict[str, dict[str, Any]] = {
    "client_assertion@token": {"status": 200, "issued": 1, "rows": {"replay": 1}, "audit": ["token.issued"]},
    "access_token@userinfo": {"status": 200},
    "token@introspect": {"status": 200, "body": {"active": True}, "audit": ["introspection.ok"]},
    "id_token_hint@end_session": {
        "status": 303, "location": BYE, "rows": {"session": 0, "authorization": 0, "revocation": 1},
        "audit": ["logout.done"],
    },
}  # fmt: skip


def _refused(run: Run, place: str, texts: Iterable[str], reason: str) -> None:
    expect = REFUSALS[place]
    first, *rest = expect["audit"]
    for text in texts:
        run.secrets.add(text)
        run.send(expect | {"audit": [f"{first}/{reason}", *rest]}, **PLACES[place](text))


def _accepted(run: Run, place: str, text: str) -> None:
    run.send(CONTROLS[place], **PLACES[place](text))


def _alive(run: Run) -> None:
    run.send({"status": 200, "page": True}, send="GET /account", browser="alice")
