"""From requested scopes and resources to one audience (RFC 6749 §3.3, RFC 8707 §2).

Nothing is narrowed in silence: what a client may not have is refused, and a token is for one API.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..audit import Event
from ..clients import ClientRecord, ResourceServerRecord, Scopes
from ..errors import ProtocolError
from . import rar

if TYPE_CHECKING:
    from .authorizations import AuthorizationRecord

_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*")
MAX_SCOPE = 2000


@dataclass(frozen=True, slots=True)
class Access:
    """What a token will be good for: scopes in their order, and the API that they belong to.

    Without an API it is for this server alone.
    """

    scopes: tuple[str, ...]
    resource_server: ResourceServerRecord | None


def invalid_scope(reason: str, client: ClientRecord, event: Event = Event.TOKEN_REJECTED) -> ProtocolError:
    """invalid_scope (RFC 6749 §5.2)."""
    return ProtocolError(
        "invalid_scope",
        "The requested scope is unknown, malformed or more than this client may have.",
        event=event,
        reason=reason,
        client_id=client.client_id,
    )


def invalid_target(reason: str, client: ClientRecord, event: Event = Event.TOKEN_REJECTED) -> ProtocolError:
    """invalid_target (RFC 8707 §2)."""
    return ProtocolError(
        "invalid_target",
        "The requested resource is unknown, or does not fit the scopes; one token is for one API.",
        event=event,
        reason=reason,
        client_id=client.client_id,
    )


def resolve(
    catalogue: Scopes, client: ClientRecord, requested: str | None, resources: tuple[str, ...]
) -> Access:
    """The access that a client without a person gets; ProtocolError invalid_scope or invalid_target.

    Without ``requested`` it is all that the client has at the API.
    """
    target = _target(catalogue, client, resources)
    known = catalogue.all()
    if requested is None:
        mine = [name for name in sorted(client.scopes) if name in known and known[name].audience is not None]
        names = [n for n in mine if target is None or known[n].audience == target.audience]
        if not names:
            raise invalid_target("no_scope_there", client) if target else invalid_scope("no_scope", client)
    else:
        names = parse(requested, client)
    for name in names:
        # a scope of the server itself, such as openid, speaks of a person; here there is none
        if name not in known or name not in client.scopes or known[name].audience is None:
            raise invalid_scope("scope", client)
    audiences = {known[name].audience for name in names}
    if len(audiences) != 1 or (target is not None and target.audience not in audiences):
        raise invalid_target("scopes_and_resource", client)
    owner = catalogue.resource_server(str(audiences.pop()))
    if owner is None:
        raise invalid_target("unknown_resource", client)
    return Access(tuple(names), owner)


def within(
    catalogue: Scopes,
    client: ClientRecord,
    granted: AuthorizationRecord,
    requested: str | None,
    resources: tuple[str, ...],
) -> Access:
    """The access that a client gets under an authorization; ProtocolError invalid_scope or invalid_target.

    Scopes that the client or the catalogue has lost since are left out, and those that by now are given in
    detail alone and have none; the answer's ``scope`` says so.
    """
    known = catalogue.all()
    names = list(granted.scopes) if requested is None else parse(requested, client)
    # RFC 6749 §6: no scope that was not originally granted
    if not set(names) <= set(granted.scopes):
        raise invalid_scope("scope_exceeds_grant", client)
    target = _target(catalogue, client, resources)
    if target is not None and target.audience not in granted.audience:
        raise invalid_target("resource_exceeds_grant", client)
    details = granted.authorization_details
    kept = tuple(
        n
        for n in names
        if n in known and n in client.scopes and rar.has(details, known[n].authorization_details_type)
    )
    needed = bool(details) or any(known[n].audience for n in kept)
    if not needed or not granted.audience:
        if not kept:
            raise invalid_scope("no_scope", client)
        return Access(kept, None)
    api = catalogue.resource_server(granted.audience[0])
    if api is None or len(granted.audience) != 1:
        raise invalid_target("unknown_resource", client)
    return Access(kept, api)


def parse(requested: str, client: ClientRecord, event: Event = Event.TOKEN_REJECTED) -> list[str]:
    """The scope values of ``requested``, each once, in their order; ProtocolError invalid_scope."""
    if len(requested) > MAX_SCOPE or not _SCOPE.fullmatch(requested):
        raise invalid_scope("malformed", client, event)
    return list(dict.fromkeys(requested.split(" ")))


def _target(
    catalogue: Scopes, client: ClientRecord, resources: tuple[str, ...]
) -> ResourceServerRecord | None:
    if not resources:
        return None
    if len(set(resources)) != 1:
        raise invalid_target("several_resources", client)
    resource = resources[0]
    try:
        parts = urlsplit(resource)
    except ValueError as error:
        raise invalid_target("malformed", client) from error
    # RFC 8707 §2: an absolute URI, which must not include a fragment component
    if not parts.scheme or parts.fragment or "#" in resource:
        raise invalid_target("malformed", client)
    target = catalogue.resource_server(resource)
    if target is None:
        raise invalid_target("unknown_resource", client)
    return target
