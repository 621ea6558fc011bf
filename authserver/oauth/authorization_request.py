"""Authorization requests (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1): one value, once judged.

A request is drafted from its parameters, judged check by check (``authorization_checks``), and then kept
as it is until the person has answered it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..clients import ClientRecord, Clients, Scopes
from ..config import Settings
from ..errors import ProtocolError
from ..keys import KeyStore
from . import authorization_parameters, claims, rar
from .authorization_parameters import Parameters
from .response_mode import Target

ENDPOINT = "authorize"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that may be put before a person.

    ``audience`` is what its access tokens will be for: the API's, then the issuer with ``openid``.
    ``subjects`` are who alone may answer, as the client knows them; empty for anybody. ``max_age`` is in
    seconds. One of ``acr_essential`` must be reached. ``userinfo_claims`` and ``id_token_claims`` are single
    claims that the client may be told.
    """

    client_id: str
    redirect_uri: str
    redirect_uri_given: bool = True
    response_type: str = "code"
    response_mode: str = "query"
    state: str | None = None
    nonce: str | None = None
    scopes: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    prompt: frozenset[str] = frozenset()
    max_age: int | None = None
    login_hint: str | None = None
    subjects: tuple[str, ...] = ()
    # tags of BCP 47, the preferred one first
    ui_locales: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    acr_essential: tuple[str, ...] = ()
    userinfo_claims: tuple[str, ...] = ()
    id_token_claims: tuple[str, ...] = ()
    code_challenge: str | None = None
    authorization_details: tuple[dict[str, Any], ...] | None = None

    @property
    def target(self) -> Target:
        """Where its answer goes."""
        return Target(self.redirect_uri, self.response_mode, self.state)

    @property
    def payment(self) -> dict[str, Any] | None:
        """The payment that is asked for, or None."""
        return rar.payment_of(self.authorization_details)

    @property
    def consent_scopes(self) -> tuple[str, ...]:
        """The scopes whose sentences the person must have read; a single claim counts as its scope."""
        of_claims = (claims.SCOPES[name] for name in (*self.userinfo_claims, *self.id_token_claims))
        return tuple(dict.fromkeys((*self.scopes, *of_claims)))

    def to_json(self) -> dict[str, Any]:
        """JSON values of all that is not its default."""
        plain = asdict(self)
        defaults = {f.name: f.default for f in fields(self)}
        kept = {name: value for name, value in plain.items() if value != defaults[name]}
        return {n: sorted(v) if isinstance(v, frozenset) else v for n, v in kept.items()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> AuthorizationRequest:
        """What ``to_json`` was made from."""
        made: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in value.items()}
        if "prompt" in made:
            made["prompt"] = frozenset(made["prompt"])
        return cls(**made)


@dataclass(frozen=True, slots=True)
class Rooms:
    """What checks may ask."""

    settings: Settings
    clients: Clients
    scopes: Scopes
    keys: KeyStore


@dataclass
class Draft:
    """A request while it is judged: checks read ``parameters`` and fill in what they vouch for."""

    endpoint: str
    parameters: Parameters
    known: ClientRecord | None = None
    target: Target | None = None
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def client(self) -> ClientRecord:
        """The client, once it has passed."""
        assert self.known is not None
        return self.known

    @property
    def client_id(self) -> str:
        """Whom it concerns, for the audit log, as far as can be told."""
        return self.parameters.get("client_id") or ""

    def rejected(self, reason: str, description: str, error: str = "invalid_request") -> ProtocolError:
        """A refusal of this request."""
        return authorization_parameters.rejected(reason, description, error=error, client_id=self.client_id)
