"""A refusal as an HTTP answer: status, headers, JSON body (RFC 6750 §3, RFC 9470 §3, RFC 9728 §5.1)."""

import json
import re
from dataclasses import dataclass

from .errors import InsufficientAuthentication, InsufficientScope, TokenError, Unavailable

_QUOTABLE = re.compile(r"[\x20\x21\x23-\x5B\x5D-\x7E]+")


@dataclass(frozen=True)
class Refusal:
    """An answer ready to be sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class Challenge:
    """How this API introduces itself when it refuses a request.

    `realm` names it; `resource_metadata` is the URL of its RFC 9728 document, if it has one.
    """

    realm: str
    resource_metadata: str | None = None

    def __post_init__(self) -> None:
        for text in (self.realm, self.resource_metadata or self.realm):
            if _QUOTABLE.fullmatch(text) is None:
                raise ValueError("realm and resource_metadata are printable ASCII without quotes")

    def refuse(self, error: TokenError) -> Refusal:
        """Return the answer to a request that ended in `error`."""
        members = {}
        if error.error is not None:
            members = {"error": error.error, "error_description": error.description}
        body = json.dumps(members).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ]
        if isinstance(error, Unavailable):
            headers.append(("Retry-After", str(error.retry_after)))
        else:
            headers.append(("WWW-Authenticate", self._challenge(error, members)))
        return Refusal(error.status, tuple(headers), body)

    def _challenge(self, error: TokenError, members: dict[str, str]) -> str:
        parameters = {"realm": self.realm, **members}
        if isinstance(error, InsufficientScope):
            parameters["scope"] = error.scope
        if isinstance(error, InsufficientAuthentication):
            if error.acr_values:
                parameters["acr_values"] = " ".join(error.acr_values)
            if error.max_age is not None:
                parameters["max_age"] = str(error.max_age)
        if self.resource_metadata is not None:
            parameters["resource_metadata"] = self.resource_metadata
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())
