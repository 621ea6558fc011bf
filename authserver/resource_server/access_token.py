"""What an API knows about the caller once a token has been validated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import InsufficientScope


@dataclass(frozen=True)
class AccessToken:
    """A valid access token, without the token itself (RFC 9068 §2.2).

    Times are seconds since 1970, `auth_time` that of the person's login; `gid` names the authorization it
    stems from; `claims` holds every claim as it came. Nobody changes what the mappings hold.
    """

    subject: str
    client_id: str
    scopes: frozenset[str]
    jti: str
    expires_at: int
    audience: tuple[str, ...]
    gid: str | None = None
    issued_at: int | None = None
    acr: str | None = None
    auth_time: int | None = None
    cnf: Mapping[str, Any] | None = None
    authorization_details: tuple[Mapping[str, Any], ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def require(self, scope: str) -> None:
        """Hold the token to `scope`, names parted by spaces; InsufficientScope if one is lacking."""
        if not self.scopes.issuperset(scope.split()):
            raise InsufficientScope(scope)
