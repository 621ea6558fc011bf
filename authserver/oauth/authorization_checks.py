"""Every check of an authorization request, in the order in which they run.

Design §3: one ordered list of named checks, its columns the endpoints at which each applies.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..audit import Event
from ..clients.redirect_uris import is_registered
from ..errors import ProtocolError
from ..texts import Text
from . import authentication_checks as authentication
from . import rar, response_mode, scopes
from .authorization_request import ENDPOINT, Draft, Rooms
from .authorizations import OFFLINE
from .response_mode import Target

# Scopes that the server itself answers for; they name no API.
SERVER_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
# RFC 6749 §4.1.2.1: neither tells a stranger whether the client exists
_NOT_FOR_REDIRECTS = Text(
    "The application that sent you here is unknown, or gave a wrong address to return to."
)
# what a client's makers are told of authorization_details, by reason; docs/partner-tutorial.md has it all
_DETAILS_REFUSED = {
    "rar_format": (
        "authorization_details is a JSON array of 1 to 5 objects, each with a type. In payment_initiation "
        "creditorName (1 to 70 characters) and remittanceInformationUnstructured (1 to 140) are one "
        "printable line, trimmed and in NFC; actions and locations are arrays of distinct known strings."
    ),
    "rar_type": "The type of an element is unknown here; see authorization_details_types_supported.",
    "rar_type_not_allowed": "This client is not registered for this type of authorization_details.",
    "rar_several_payments": "authorization_details ask for more than one payment_initiation.",
    "rar_unknown_field": (
        "payment_initiation has a member that is not known; known are type, actions, locations, "
        "instructedAmount (amount, currency), creditorName, creditorAccount (iban, bic) and "
        "remittanceInformationUnstructured. debtorAccount is chosen by the payer."
    ),
    "rar_amount": (
        "instructedAmount needs amount, a decimal string above zero with all the digits of its currency "
        "(24.30 EUR, 500 JPY) and at most ten before the point, and currency (ISO 4217)."
    ),
    "rar_currency": "instructedAmount.currency is not an ISO 4217 code of a currency in which people pay.",
    "rar_iban": "creditorAccount needs iban, without spaces, in capitals and with right check digits.",
    "rar_bic": "creditorAccount.bic is not a BIC: 8 or 11 characters, in capitals.",
}
_DETAILS_MALFORMED = "authorization_details are malformed, or not for this client."


@dataclass(frozen=True, slots=True)
class Check:
    """A rule with a name, and the endpoints whose requests it holds for."""

    name: str
    judge: Callable[[Draft, Rooms], None]
    endpoints: frozenset[str] = frozenset({ENDPOINT})


def _client(draft: Draft, rooms: Rooms) -> None:
    if "client_id" in draft.parameters.repeated:
        raise draft.rejected("duplicate_parameter", _NOT_FOR_REDIRECTS)
    client = rooms.clients.get(draft.client_id)
    if client is None:
        raise draft.rejected("client_unknown", _NOT_FOR_REDIRECTS)
    if not client.active:
        raise draft.rejected("client_disabled", _NOT_FOR_REDIRECTS)
    draft.known = client


def _redirect_uri(draft: Draft, _rooms: Rooms) -> None:
    if "redirect_uri" in draft.parameters.repeated:
        raise draft.rejected("duplicate_parameter", _NOT_FOR_REDIRECTS)
    uri = draft.parameters.get("redirect_uri")
    if uri is None:
        # OpenID Connect Core §3.1.2.1: required, even if only one is registered
        raise draft.rejected("redirect_uri_missing", _NOT_FOR_REDIRECTS)
    if not is_registered(uri, draft.client.redirect_uris, draft.client.application_type):
        raise draft.rejected("redirect_uri_mismatch", _NOT_FOR_REDIRECTS)
    if not draft.parameters.readable:
        # what cannot be read must not be sent back either, so this too is a page
        raise ProtocolError(
            "invalid_request",
            Text("The parameters are not valid form encoding of UTF-8 without control characters."),
            event=Event.HTTP_REJECTED,
            reason="encoding",
            client_id=draft.client_id,
        )
    # the client is told from here on; a mode that is none is refused in the query
    mode = draft.parameters.get("response_mode")
    usable = mode in response_mode.MODES and "response_mode" not in draft.parameters.repeated
    draft.target = Target(uri, str(mode) if usable else "query", draft.parameters.get("state"))


def _repetition(draft: Draft, _rooms: Rooms) -> None:
    # RFC 6749 §3.1: "Request and response parameters MUST NOT be included more than once."
    if draft.parameters.repeated:
        raise draft.rejected("duplicate_parameter", "A parameter is repeated.")


def _response_mode(draft: Draft, _rooms: Rooms) -> None:
    assert draft.target is not None
    mode = draft.parameters.get("response_mode")
    if mode is not None and mode not in response_mode.MODES:
        raise draft.rejected("response_mode", "This response_mode is not supported.")
    if mode == "form_post" and not draft.target.redirect_uri.startswith(("https://", "http://")):
        draft.target = replace(draft.target, response_mode="query")
        raise draft.rejected("form_post", "A form cannot be posted to this redirect_uri.")


def _grant(draft: Draft, _rooms: Rooms) -> None:
    if not draft.client.check_grant_type("authorization_code"):
        description = "This client is not registered for this response_type."
        raise draft.rejected("grant_type", description, "unauthorized_client")
    if draft.client.profile != "oauth21":
        # FAPI 2.0 §5.3.2.2: nothing from the front channel
        raise draft.rejected("par_required", "This client must push its authorization requests.")


def _response_type(draft: Draft, _rooms: Rooms) -> None:
    response_type = draft.parameters.get("response_type")
    if response_type is None:
        raise draft.rejected("response_type", "response_type is missing.")
    if response_type != "code":
        raise draft.rejected("response_type", "The only response_type is code.", "unsupported_response_type")


def _pkce(draft: Draft, _rooms: Rooms) -> None:
    challenge = draft.parameters.get("code_challenge")
    method = draft.parameters.get("code_challenge_method")
    if challenge is None:
        if draft.client.require_pkce or method is not None:
            raise draft.rejected("pkce_missing", "code_challenge is missing (RFC 7636).")
        return
    # RFC 7636 §4.3: without a method it would be plain
    if method != "S256":
        raise draft.rejected("pkce_method", "code_challenge_method must be S256.")
    if not _CHALLENGE.fullmatch(challenge):
        raise draft.rejected("pkce_challenge", "code_challenge is not an S256 challenge (RFC 7636).")
    draft.values["code_challenge"] = challenge


def _authorization_details(draft: Draft, rooms: Rooms) -> None:
    text = draft.parameters.get("authorization_details")
    if text is None:
        return
    error = "invalid_authorization_details"
    try:
        details = rar.read(text, draft.client)
    except rar.Refused as refused:
        description = _DETAILS_REFUSED.get(refused.reason, _DETAILS_MALFORMED)
        raise draft.rejected(refused.reason, description, error) from refused
    if rar.payment_of(details) and not rooms.settings.payments_open:
        # nobody could choose what to pay from
        raise draft.rejected("rar_no_accounts", "No payments can be made here.", error)
    draft.values["authorization_details"] = details


def _scope(draft: Draft, rooms: Rooms) -> None:
    client, details = draft.client, draft.values.get("authorization_details")
    requested = draft.parameters.get("scope")
    if requested is None and details is None:
        raise scopes.invalid_scope("scope", client, Event.AUTHZ_REJECTED)
    names = scopes.parse(requested, client, Event.AUTHZ_REJECTED) if requested else []
    known = rooms.scopes.all()
    for name in names:
        if name not in known or name not in client.scopes:
            raise scopes.invalid_scope("scope", client, Event.AUTHZ_REJECTED)
        if known[name].audience is None and name not in SERVER_SCOPES:
            raise scopes.invalid_scope("scope", client, Event.AUTHZ_REJECTED)
    draft.values["scopes"] = tuple(names)


def _audience(draft: Draft, rooms: Rooms) -> None:
    client, names = draft.client, draft.values["scopes"]
    known = rooms.scopes.all()
    locations = rar.locations_of(draft.values.get("authorization_details"))
    resources = tuple(dict.fromkeys(draft.parameters.resources))
    # one token is for one API, whoever names it: its scopes, the resource, or a detail's location
    apis = {str(known[name].audience) for name in names if known[name].audience} | {*resources, *locations}
    if len(apis) > 1 or any(rooms.scopes.resource_server(api) is None for api in apis):
        reason = "unknown_resource" if len(apis) == 1 else "scopes_and_resource"
        raise scopes.invalid_target(reason, client, Event.AUTHZ_REJECTED)
    audience = (*apis, *((rooms.settings.issuer,) if "openid" in names else ()))
    if not audience:
        raise scopes.invalid_target("no_audience", client, Event.AUTHZ_REJECTED)
    draft.values |= {"resources": resources, "audience": audience}


def _details_of_scopes(draft: Draft, rooms: Rooms) -> None:
    # Of RFC 9396 §5's reasons for invalid_authorization_details each is about an element that is there.
    # Here none is: it is the scope that cannot be asked for.
    known, details = rooms.scopes.all(), draft.values.get("authorization_details")
    for name in draft.values["scopes"]:
        if not rar.has(details, known[name].authorization_details_type):
            description = "A requested scope needs authorization_details that say what it is for."
            raise draft.rejected("rar_missing", description, "invalid_scope")


def _payment_once(draft: Draft, _rooms: Rooms) -> None:
    # RFC 6749 §3.3 would let it be left out of what is granted; here nothing is narrowed in silence
    if OFFLINE in draft.values["scopes"] and rar.payment_of(draft.values.get("authorization_details")):
        description = "A payment is approved once; offline_access cannot be asked for together with it."
        raise draft.rejected("rar_offline", description, "invalid_scope")


CHECKS: tuple[Check, ...] = (
    Check("client", _client),
    Check("redirect_uri", _redirect_uri),
    Check("repetition", _repetition),
    Check("response_mode", _response_mode),
    Check("grant", _grant),
    Check("request_object", authentication.request_object),
    Check("response_type", _response_type),
    Check("pkce", _pkce),
    Check("prompt", authentication.prompt),
    Check("max_age", authentication.max_age),
    Check("preferences", authentication.preferences),
    Check("id_token_hint", authentication.hint),
    Check("authorization_details", _authorization_details),
    Check("scope", _scope),
    Check("claims", authentication.claims),
    Check("audience", _audience),
    Check("details_of_scopes", _details_of_scopes),
    Check("payment_once", _payment_once),
)
