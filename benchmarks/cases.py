"""The requests that are measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from . import load, people
from .subjects import Subject

TOKEN_FORM = {"grant_type": "client_credentials", "scope": "payments:initiate"}


@dataclass(frozen=True)
class Case:
    """One kind of request: how it is made for so many, which status is right, whether it writes rows.

    ``prepare`` runs unmeasured before each round; ``share`` is its part of the run's request count;
    ``chain`` makes its requests one journey (``load.Load``).
    """

    name: str
    requests: Callable[[Subject, int], list[str]]
    expect: int = 200
    writes: bool = False
    share: float = 1.0
    prepare: Callable[[Subject], None] = lambda _: None
    chain: tuple[str, ...] = ()


def get(path: str, **headers: str) -> Callable[[Subject, int], list[str]]:
    """The same GET each time."""
    return lambda subject, _: [request(subject, "GET", path, headers=headers)]


def token(subject: Subject, _: int = 1) -> list[str]:
    """The client credentials grant with a secret by Basic."""
    return [request(subject, "POST", "/token", subject.merchant, TOKEN_FORM)]


def assert_and_token(subject: Subject, count: int) -> list[str]:
    """The client credentials grant with private_key_jwt: each assertion is good once."""
    made = (_people(subject).assertion() for _ in range(count))
    return [request(subject, "POST", "/token", form=TOKEN_FORM | assertion) for assertion in made]


def refresh(subject: Subject, count: int) -> list[str]:
    """The client spends refresh tokens, each made for this and spent once."""
    codes = _people(subject).codes(count)
    forms = [people.REDEEMING | {"code": code} for code in codes]
    redeem = [request(subject, "POST", "/token", subject.shop, form) for form in forms]
    seen = load.run(load.Load(subject.port, redeem, count, keep=True))
    if seen.unlike(200):
        raise RuntimeError(f"no refresh tokens to work with: {seen.statuses}, {seen.kept[:1]}")
    tokens = [json.loads(answer.partition("\r\n\r\n")[2])["refresh_token"] for answer in seen.kept]
    subject.await_sealed()
    forms = [{"grant_type": "refresh_token", "refresh_token": token} for token in tokens]
    return [request(subject, "POST", "/token", subject.shop, form) for form in forms]


def code_flow(subject: Subject, _: int = 1) -> list[str]:
    """A person who is signed in and has agreed before: authorize, resume, and the code for tokens."""
    return [
        request(subject, "GET", f"/authorize?{urlencode(people.ASKED)}"),
        request(subject, "GET", "{}", headers={"Cookie": _people(subject).cookies()}),
        request(subject, "POST", "/token", subject.shop, f"{urlencode(people.REDEEMING)}&code={{}}"),
    ]


def introspect(subject: Subject, _: int = 1) -> list[str]:
    """The API asks about one live token of its own audience."""
    return [request(subject, "POST", "/introspect", subject.api, {"token": new_tokens(subject, 1)[0]})]


def revoke(subject: Subject, count: int) -> list[str]:
    """The client ends its own tokens, each made for this and ended once."""
    texts = new_tokens(subject, count)
    # what they left to the background is done before the revocations are measured
    subject.await_sealed()
    return [request(subject, "POST", "/revoke", subject.merchant, {"token": text}) for text in texts]


def revocations_again(subject: Subject, _: int = 1) -> list[str]:
    """A poll by an API that has the current list."""
    ask = load.Load(subject.port, get("/revocations")(subject, 1), 1, connections=1, keep=True)
    head = load.run(ask).kept[0].partition("\r\n\r\n")[0]
    etag = next(line[5:].strip() for line in head.split("\r\n") if line.lower().startswith("etag:"))
    return [request(subject, "GET", "/revocations", headers={"If-None-Match": etag})]


def _people(subject: Subject) -> people.People:
    assert subject.people is not None
    return subject.people


FLOOR = (
    Case("empty view", get("/empty")),
    Case("signing view", lambda subject, _: [request(subject, "POST", "/signed", "", TOKEN_FORM)]),
)
# where each answer of the code flow says how to go on; a code has as many characters as any other
CHAIN = (r"(?i)\r\nlocation: (/authorize/resume\S+)", r"(?i)\r\nlocation: \S+[?&]code=([\w-]{43})")
ISSUER = (
    Case("client_credentials", token, writes=True),
    Case("client_credentials, private_key_jwt", assert_and_token, writes=True, share=0.5),
    Case("refresh", refresh, writes=True, share=0.25),
    Case("code flow", code_flow, writes=True, share=0.1, chain=CHAIN),
    Case("introspection", introspect, writes=True),
    Case("revocation", revoke, writes=True, share=0.25),
    Case("jwks", get("/jwks")),
    Case("metadata", get("/.well-known/oauth-authorization-server")),
    Case("revocations 200", get("/revocations"), prepare=Subject.list_revocations),
    Case("revocations 304", revocations_again, expect=304),
)


def new_tokens(subject: Subject, count: int) -> list[str]:
    """Access tokens from the token endpoint, unmeasured."""
    seen = load.run(load.Load(subject.port, token(subject), count, keep=True))
    if seen.unlike(200):
        raise RuntimeError(f"no tokens to work with: {seen.statuses}, {seen.kept[:1]}")
    return [json.loads(answer.partition("\r\n\r\n")[2])["access_token"] for answer in seen.kept]


def request(
    subject: Subject,
    method: str,
    path: str,
    authorization: str = "",
    form: dict[str, str] | str = "",
    headers: dict[str, str] | None = None,
) -> str:
    """One HTTP/1.1 request as it goes over the wire; ``{}`` in an encoded ``form`` becomes a code."""
    body = form if isinstance(form, str) else urlencode(form)
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{subject.port}", "Accept: */*"]
    if authorization:
        lines.append(f"Authorization: {authorization}")
    if body:
        length = len(body.replace("{}", people.A_CODE))
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", body])
