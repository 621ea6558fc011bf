"""Client metadata (RFC 7591 §2, OpenID Connect Registration §2): judged by a policy, and told again.

A member that this server does not know is ignored (RFC 7591 §2), and missing in the answer; one that it
knows is taken as it is or refused, never bent.
"""

from __future__ import annotations

import re
from typing import Any

from ... import jwks
from ...clients import metadata, redirect_uris
from ...config import SIGNING_ALGS
from ...errors import Invalid
from ...outgoing import Outgoing
from ...partners import Policy
from ...visible_text import shows
from .. import rar
from . import openid, uris
from .refusals import refused
from .rules import Rules, one_of

MAX_REDIRECT_URIS = 20
MAX_CONTACTS = 10
MAX_NAME = 100
MAX_SOFTWARE = 200
MAX_ACR_VALUES = 8
MAX_SECONDS = 10 * 366 * 86_400
DEFAULT_GRANTS = ["authorization_code"]
DEFAULT_METHOD = "client_secret_basic"
SHOWN_URIS = ("client_uri", "logo_uri", "policy_uri", "tos_uri")
# known, and judged like the others, but nothing here uses them yet: they are not told
IDLE_URIS = ("frontchannel_logout_uri",)
_ACR = re.compile(r"[\x21-\x7e]{1,255}")
_CONTACT = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")


def judge(document: dict[str, Any], rules: Rules) -> tuple[dict[str, Any], dict[str, Any]]:
    """The client's columns and what describes it to people; ProtocolError for the first fault."""
    if "software_statement" in document:
        raise refused("software_statement")
    policy = rules.policy
    application_type = document.get("application_type", "web")
    if application_type not in redirect_uris.APPLICATION_TYPES:
        raise refused("application_type")
    method, grants = _method_and_grants(document, policy)
    values = {
        "application_type": application_type,
        "token_endpoint_auth_method": method,
        "grant_types": grants,
        "redirect_uris": _redirect_uris(document, application_type, grants, policy),
        "scopes": _scopes(document, rules),
        "client_name": _name(document, policy),
        "authorization_details_types": _details_types(document, policy),
        "default_max_age": _max_age(document),
    }
    described = _described(document, rules.outgoing)
    for name in IDLE_URIS:
        if name in document:
            uris.judge(document[name], rules.outgoing)
    values |= openid.judge(document, rules, values["redirect_uris"])
    values |= _logout(document, application_type, rules)
    values |= _keys(document, method, rules.outgoing)
    # last of all, when nothing else is wrong: it asks an address
    openid.confirm(values, rules)
    return values, described


def tell(values: dict[str, Any], described: dict[str, Any]) -> dict[str, Any]:
    """All metadata as they are registered (RFC 7591 §3.2.1)."""
    told = {
        "client_name": values["client_name"],
        "application_type": values["application_type"],
        "redirect_uris": values["redirect_uris"],
        "token_endpoint_auth_method": values["token_endpoint_auth_method"],
        "token_endpoint_auth_signing_alg": values["token_endpoint_auth_signing_alg"],
        "grant_types": values["grant_types"],
        "response_types": ["code"] if "authorization_code" in values["grant_types"] else [],
        "scope": " ".join(values["scopes"]),
        "authorization_details_types": values["authorization_details_types"],
        "id_token_signed_response_alg": values["id_token_alg"],
        "userinfo_signed_response_alg": values["userinfo_alg"],
        "subject_type": values["subject_type"],
        "sector_identifier_uri": values["sector_identifier_uri"],
        "initiate_login_uri": values["initiate_login_uri"],
        "default_max_age": values["default_max_age"],
        "jwks": values["jwks"],
        "jwks_uri": values["jwks_uri"],
        "post_logout_redirect_uris": values["post_logout_redirect_uris"] or None,
        "backchannel_logout_uri": values["backchannel_logout_uri"],
        "backchannel_logout_session_required": values["backchannel_logout_session_required"] or None,
    }
    if values["access_token_format"] != metadata.DEFAULTS["access_token_format"]:
        # no specification has this name: it is told where it is not what everybody expects
        told["access_token_format"] = values["access_token_format"]
    return {name: value for name, value in (told | described).items() if value is not None}


def _method_and_grants(document: dict[str, Any], policy: Policy) -> tuple[str, list[str]]:
    """RFC 7591 §2.1: grant types, response types and the way to authenticate, as they fit together."""
    grants = _strings(document.get("grant_types", DEFAULT_GRANTS), "grant_types")
    method = document.get("token_endpoint_auth_method", DEFAULT_METHOD)
    by_code = "authorization_code" in grants
    usual = ["code"] if by_code else []
    fits = (
        grants
        and set(grants) <= policy.grant_types
        and isinstance(method, str)
        and method in policy.auth_methods
        and document.get("response_types", usual) == usual
        and (by_code or "refresh_token" not in grants)
        and not (method == "none" and "client_credentials" in grants)
    )
    if not fits:
        raise refused("grant_types")
    return method, sorted(grants)


def _redirect_uris(
    document: dict[str, Any], application_type: str, grants: list[str], policy: Policy
) -> list[str]:
    given = _addresses(document, "redirect_uris", application_type, policy, "redirect_uri")
    if "authorization_code" in grants and not given:
        raise refused("redirect_uri")
    return given


def _logout(document: dict[str, Any], application_type: str, rules: Rules) -> dict[str, Any]:
    """OpenID Connect RP-Initiated Logout §3.1, Back-Channel Logout §2.2."""
    name, required = "post_logout_redirect_uris", "backchannel_logout_session_required"
    if not isinstance(document.get(required, False), bool):
        raise refused(required)
    called = document.get("backchannel_logout_uri")
    return {
        name: _addresses(document, name, application_type, rules.policy, name),
        "backchannel_logout_uri": uris.judge(called, rules.outgoing) if called is not None else None,
        required: document.get(required, False),
    }


def _addresses(
    document: dict[str, Any], name: str, application_type: str, policy: Policy, reason: str
) -> list[str]:
    """The addresses in the member ``name`` that a browser may be sent to."""
    given = _strings(document.get(name, []), reason)
    if len(given) > MAX_REDIRECT_URIS:
        raise refused(reason)
    for uri in given:
        try:
            redirect_uris.validate(uri, application_type)
        except Invalid:
            raise refused(reason) from None
        # a star means itself in a URI, and something else to whoever registers one
        if "*" in uri or not policy.allows_redirect(uri):
            raise refused(reason)
    return given


def _scopes(document: dict[str, Any], rules: Rules) -> list[str]:
    allowed = rules.policy.scopes & rules.known_scopes
    if "scope" not in document:
        return sorted(rules.scopes & allowed)
    given = document["scope"]
    names = set(given.split(" ")) - {""} if isinstance(given, str) else None
    if names is None or not names <= allowed:
        raise refused("scope")
    return sorted(names)


def _name(document: dict[str, Any], policy: Policy) -> str:
    name = document.get("client_name", policy.partner)
    if not isinstance(name, str) or len(name) > MAX_NAME or not shows(name):
        raise refused("client_name")
    return name


def _details_types(document: dict[str, Any], policy: Policy) -> list[str]:
    types = _strings(document.get("authorization_details_types", []), "authorization_details_types")
    if not set(types) <= policy.authorization_details_types & set(rar.TYPES):
        raise refused("authorization_details_types")
    return sorted(types)


def _max_age(document: dict[str, Any]) -> int | None:
    seconds = document.get("default_max_age")
    if seconds is not None and (type(seconds) is not int or not 0 <= seconds <= MAX_SECONDS):
        raise refused("default_max_age")
    return seconds


def _described(document: dict[str, Any], outgoing: Outgoing) -> dict[str, Any]:
    """What nobody asks for while a request is served."""
    told: dict[str, Any] = {}
    if contacts := _strings(document.get("contacts", []), "contacts"):
        if len(contacts) > MAX_CONTACTS or not all(_CONTACT.fullmatch(contact) for contact in contacts):
            raise refused("contacts")
        told["contacts"] = contacts
    for name in ("software_id", "software_version"):
        if name in document:
            value = document[name]
            if not isinstance(value, str) or not 0 < len(value) <= MAX_SOFTWARE or not value.isprintable():
                raise refused("software")
            told[name] = value
    if "require_auth_time" in document:
        # every ID token here tells auth_time
        if not isinstance(document["require_auth_time"], bool):
            raise refused("require_auth_time")
        told["require_auth_time"] = document["require_auth_time"]
    if acr_values := _strings(document.get("default_acr_values", []), "default_acr_values"):
        # a wish, as in a request: every ID token tells what was reached
        if len(acr_values) > MAX_ACR_VALUES or not all(_ACR.fullmatch(value) for value in acr_values):
            raise refused("default_acr_values")
        told["default_acr_values"] = acr_values
    for name in SHOWN_URIS:
        if name in document:
            told[name] = uris.judge(document[name], outgoing)
    return told


def _keys(document: dict[str, Any], method: str, outgoing: Outgoing) -> dict[str, Any]:
    """The keys as they count here: of each its public parts, by its one algorithm."""
    told: dict[str, Any] = dict.fromkeys(("jwks", "jwks_uri", "token_endpoint_auth_signing_alg"))
    if "jwks_uri" in document:
        told["jwks_uri"] = uris.judge(document["jwks_uri"], outgoing)
    signs = method == "private_key_jwt"
    if ("jwks" in document) == ("jwks_uri" in document) and (signs or "jwks" in document):
        raise refused("jwks")
    if "jwks" in document:
        try:
            told["jwks"] = {"keys": [key.public() for key in jwks.parse(document["jwks"])]}
        except Invalid:
            raise refused("jwks") from None
    if "token_endpoint_auth_signing_alg" in document:
        alg = one_of(document, "token_endpoint_auth_signing_alg", SIGNING_ALGS, "auth_signing_alg")
        if not signs:
            raise refused("auth_signing_alg")
        told["token_endpoint_auth_signing_alg"] = alg
    return told


def _strings(value: Any, reason: str) -> list[str]:
    """``value`` as a list of strings, each once."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise refused(reason)
    return list(dict.fromkeys(value))
