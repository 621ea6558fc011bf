"""The vectors of docs/validating-tokens.md get from our own validator what they promise."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from resource_server.fake_issuer import FakeIssuer, Reply
from resource_server.vectors import FILE, Vectors

from authserver.resource_server import (
    InsufficientScope,
    InvalidToken,
    Issuer,
    Reason,
    RevocationList,
    Rules,
    StaticKeys,
    TokenError,
    Unavailable,
    Validator,
)

VECTORS: dict[str, Any] = json.loads(FILE.read_text())
NOW = VECTORS["now"]
LISTS = {entry["id"]: entry for entry in VECTORS["revocation_lists"]}


def keys() -> StaticKeys:
    return StaticKeys(json.dumps(VECTORS["jwks"]).encode())


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    server = FakeIssuer()
    yield server
    server.stop()


def revocation_list(issuer: FakeIssuer, name: str) -> RevocationList:
    body = LISTS[name]["list"].encode()
    issuer.replies["/revocations"] = Reply(body=body, headers={"Content-Type": "application/jwt"})
    known = Issuer(VECTORS["issuer"], endpoints={"revocations_uri": f"{issuer.identifier}/revocations"})
    return RevocationList(known, keys(), wall=lambda: NOW)


@pytest.mark.parametrize("vector", VECTORS["access_tokens"], ids=lambda vector: vector["id"])
def test_each_token_gets_its_verdict(issuer: FakeIssuer, vector: dict[str, Any]) -> None:
    validator = Validator(
        issuer=VECTORS["issuer"],
        audience=VECTORS["audience"],
        keys=keys(),
        revocations=revocation_list(issuer, "list-good"),
        rules=Rules(leeway=VECTORS["leeway"], clock=lambda: NOW),
    )
    reason, status = None, 200
    try:
        validator.validate(vector["token"], scope=VECTORS["scope"])
    except InvalidToken as error:
        reason, status = error.reason.name.lower(), error.status
    except InsufficientScope as error:
        reason, status = "insufficient_scope", error.status
    assert (reason, status) == (vector["reason"], vector["status"])


@pytest.mark.parametrize("vector", VECTORS["access_tokens"], ids=lambda vector: vector["id"])
def test_without_the_list_only_the_revoked_tokens_change_their_verdict(vector: dict[str, Any]) -> None:
    validator = Validator(
        issuer=VECTORS["issuer"],
        audience=VECTORS["audience"],
        keys=keys(),
        rules=Rules(clock=lambda: NOW),
    )
    accepted = True
    try:
        validator.validate(vector["token"], scope=VECTORS["scope"])
    except TokenError:
        accepted = False
    assert accepted is (vector["reason"] is None or vector["uses_revocation_list"])


@pytest.mark.parametrize("name", LISTS)
def test_each_list_holds_or_not(issuer: FakeIssuer, name: str) -> None:
    revocations = revocation_list(issuer, name)
    if LISTS[name]["valid"]:
        revocations.check("token-1", "grant-1")
        for jti, gid in (("token-9", None), ("token-1", "grant-9")):
            with pytest.raises(InvalidToken):
                revocations.check(jti, gid)
    else:
        with pytest.raises(Unavailable):
            revocations.check("token-1", None)


def test_the_file_is_what_the_maker_makes() -> None:
    made = Vectors().document()
    for group, members in (
        ("access_tokens", ("id", "why", "status", "reason")),
        ("revocation_lists", ("id", "valid")),
    ):
        wanted = [[row[member] for member in members] for row in made[group]]
        assert [[row[member] for member in members] for row in VECTORS[group]] == wanted


def test_every_reason_for_refusal_of_a_jwt_has_a_vector() -> None:
    shown = {vector["reason"] for vector in VECTORS["access_tokens"]}
    elsewhere = {Reason.INACTIVE, Reason.BEARER}
    assert {reason.name.lower() for reason in Reason if reason not in elsewhere} <= shown


def test_the_file_holds_no_private_key() -> None:
    for key in VECTORS["jwks"]["keys"]:
        assert not {"d", "p", "q", "k"} & key.keys()


def test_the_page_names_every_reason() -> None:
    page = (FILE.parents[1] / "validating-tokens.md").read_text()
    assert all(f"`{vector['reason']}`" in page for vector in VECTORS["access_tokens"] if vector["reason"])
