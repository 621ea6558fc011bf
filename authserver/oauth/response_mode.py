"""How an authorization response reaches the client: in the query, or posted by the browser.

OAuth 2.0 Multiple Response Types §2.1 and OAuth 2.0 Form Post Response Mode; every response names its
issuer (RFC 9207).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

MODES = ("query", "form_post")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a response goes: a redirect URI that was judged, by which mode, with the client's ``state``."""

    redirect_uri: str
    response_mode: str = "query"
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A response on its way: ``parameters`` for ``target``, in the order in which they are sent."""

    target: Target
    parameters: tuple[tuple[str, str], ...]

    @property
    def location(self) -> str:
        """The redirect URI with the parameters in its query; what it had there stays (RFC 6749 §4.1.2)."""
        uri = self.target.redirect_uri
        separator = "" if uri.endswith(("?", "&")) else "&" if "?" in uri else "?"
        return f"{uri}{separator}{urlencode(self.parameters)}"


def reply(target: Target, issuer: str, parameters: Mapping[str, str]) -> Reply:
    """The response with ``state`` as it came and ``iss`` as metadata spells it (RFC 9207 §2)."""
    all_ = dict(parameters)
    if target.state is not None:
        all_["state"] = target.state
    return Reply(target, tuple((all_ | {"iss": issuer}).items()))


def error_reply(target: Target, issuer: str, error: str, description: str) -> Reply:
    """An error response (RFC 6749 §4.1.2.1)."""
    return reply(target, issuer, {"error": error, "error_description": description})
