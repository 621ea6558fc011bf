"""A client as a process holds it: read once, true until its version changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ip_allowlist import Allowlist
from ..jwks import PublicKey
from .redirect_uris import place_of, reaches_client_alone

PUBLIC = ("none",)


def is_client_id(text: str) -> bool:
    """Whether ``text`` can be a client id (RFC 6749 appendix A.1), here of at most 128 characters."""
    return 0 < len(text) <= 128 and all("\x21" <= character <= "\x7e" for character in text)


@dataclass(frozen=True)
class ResourceServerRecord:
    """A payment API: its ``audience``, the client it authenticates as, and its signing algorithm or None."""

    audience: str
    name: str
    client_id: str
    signing_alg: str | None


@dataclass(frozen=True)
class ClientRecord:
    """A client and all that judging its requests needs, so that a warm request asks no database."""

    client_id: str
    client_name: str
    state: str
    token_endpoint_auth_method: str
    grant_types: frozenset[str]
    redirect_uris: tuple[str, ...]
    scopes: frozenset[str]
    profile: str
    tier: str
    version: int
    # (Argon2id hash, Unix time of its end or None), newest first
    secrets: tuple[tuple[str, int | None], ...]
    allowlist: Allowlist
    # the audience this client asks for as a resource server, or None
    audience: str | None
    # the ranges as written, for people
    networks: tuple[str, ...]
    application_type: str
    require_pkce: bool
    # the types of authorization details it may ask for
    authorization_details_types: frozenset[str]
    id_token_alg: str
    # the keys it registered by value, and where it publishes them otherwise
    keys: tuple[PublicKey, ...] = ()
    jwks_uri: str | None = None
    # where its people may go once they are signed out, and where it hears of that
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = False
    # the only algorithm of its assertions, or None
    assertion_alg: str | None = None
    # seconds, for requests without a max_age
    default_max_age: int | None = None
    # what signs its UserInfo answers, or None
    userinfo_alg: str | None = None
    # public or pairwise, and the host within which people are the same to clients
    subject_type: str = "public"
    sector: str = ""
    sector_identifier_uri: str | None = None
    access_token_format: str = "jwt"  # noqa: S105 - the name of a form
    initiate_login_uri: str | None = None
    # keyed digests of secrets that Argon2 has judged, with the time until which they hold (0: refused);
    # they end with this record
    verified: dict[bytes, int | None] = field(default_factory=dict, repr=False)

    @property
    def active(self) -> bool:
        """Whether the client gets anything at all; pending and suspended ones do not."""
        return self.state == "active"

    @property
    def pairwise(self) -> bool:
        """Whether people have an id of their own at the clients of its sector."""
        return self.subject_type == "pairwise"

    @property
    def opaque(self) -> bool:
        """Whether its access tokens say nothing to those who hold them."""
        return self.access_token_format == "opaque"  # noqa: S105 - the name of a form

    def identified_at(self, redirect_uri: str) -> bool:
        """Whether who gets a code at ``redirect_uri``, and tokens for it, is this client for certain."""
        public = self.token_endpoint_auth_method in PUBLIC
        return not public or reaches_client_alone(redirect_uri, self.application_type)

    @property
    def place(self) -> str:
        """Where its people are sent back to, which tells clients of one name apart; empty if nowhere."""
        return place_of(self.redirect_uris[0], self.application_type) if self.redirect_uris else ""

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the client is registered for ``grant_type``; Authlib's grants ask this."""
        return grant_type in self.grant_types
