"""The requests that are measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from . import load
from .subjects import Subject

TOKEN_FORM = {"grant_type": "client_credentials", "scope": "payments:initiate"}


@dataclass(frozen=True)
class Case:
    """One kind of request: how it is made for so many, which status is right, whether it writes rows.

    ``prepare`` runs unmeasured before each round; ``share`` is its part of the run's request count.
    """

    name: str
    requests: Callable[[Subject, int], list[str]]
    expect: int = 200
    writes: bool = False
    share: float = 1.0
    prepare: Callable[[Subject], None] = lambda _: None


def get(path: str, **headers: str) -> Callable[[Subject, int], list[str]]:
    """The same GET each time."""
    return lambda subject, _: [request(subject, "GET", path, headers=headers)]


def token(subject: Subject, _: int = 1) -> list[str]:
    """The client credentials grant with a secret by Basic."""
    return [request(subject, "POST", "/token", subject.merchant, TOKEN_FORM)]


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


FLOOR = (
    Case("empty view", get("/empty")),
    Case("signing view", lambda subject, _: [request(subject, "POST", "/signed", "", TOKEN_FORM)]),
)
ISSUER = (
    Case("client_credentials", token, writes=True),
    Case("introspection", introspect, writes=True),
    Case("revocation", revoke, writes=True, share=0.5),
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
    form: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> str:
    """One HTTP/1.1 request as it goes over the wire."""
    body = urlencode(form) if form else ""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{subject.port}", "Accept: */*"]
    if authorization:
        lines.append(f"Authorization: {authorization}")
    if body:
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", body])
