"""What a client registers about people (OpenID Connect Registration §2): who they are to it, how it hears."""

from __future__ import annotations

import re
from typing import Any

from ...clients import login_uris, sectors
from ...config import ID_TOKEN_ALGS
from ...errors import Invalid
from . import uris
from .refusals import refused
from .rules import Rules, one_of

# a client that asks for these would be told less, or otherwise, than it thinks
_ENCRYPTED = re.compile(r"[a-z_]+_encrypt(?:ed_response|ion)_(?:alg|enc)")
SIGNED_ELSEWHERE = (
    "request_object_signing_alg",
    "authorization_signed_response_alg",
    "introspection_signed_response_alg",
)
DEMANDS = (
    "dpop_bound_access_tokens",
    "tls_client_certificate_bound_access_tokens",
    "require_pushed_authorization_requests",
    "require_signed_request_object",
)


def judge(document: dict[str, Any], rules: Rules, redirect_uris: list[str]) -> dict[str, Any]:
    """The columns of what a client registers about people; ProtocolError for the first fault."""
    if any(_ENCRYPTED.fullmatch(name) for name in document):
        raise refused("encryption")
    if any(name in document for name in SIGNED_ELSEWHERE):
        raise refused("unsupported")
    if any(document.get(name, False) is not False for name in DEMANDS):
        raise refused("unsupported")
    userinfo = "userinfo_signed_response_alg"
    return {
        "id_token_alg": one_of(document, "id_token_signed_response_alg", ID_TOKEN_ALGS, "id_token_alg"),
        "userinfo_alg": one_of(document, userinfo, ID_TOKEN_ALGS, "userinfo_alg")
        if userinfo in document
        else None,
        "access_token_format": _format(document, rules),
        "initiate_login_uri": _initiate_login_uri(document, rules),
        **_subject(document, rules, redirect_uris),
    }


def confirm(values: dict[str, Any], rules: Rules) -> None:
    """The sector that was registered says that it is one; ProtocolError otherwise. Asks its address."""
    if values["sector_identifier_uri"] is not None:
        try:
            sectors.confirm(rules.outgoing, values["sector_identifier_uri"], values["redirect_uris"])
        except Invalid:
            raise refused("sector_identifier_uri") from None


def _subject(document: dict[str, Any], rules: Rules, redirect_uris: list[str]) -> dict[str, Any]:
    before = rules.before
    subject_type = document.get("subject_type", before["subject_type"] if before else rules.subject_types[0])
    if subject_type not in rules.subject_types:
        raise refused("subject_type")
    uri = document.get("sector_identifier_uri")
    if uri is not None:
        uri = uris.judge(uri, rules.outgoing)
        # a host at which others may leave a file is not the client's
        if not rules.policy.allows_redirect(uri):
            raise refused("sector_identifier_uri")
    try:
        sector = sectors.sector_of(redirect_uris, uri) if subject_type == "pairwise" else None
    except Invalid:
        raise refused("sector") from None
    told = {"subject_type": subject_type, "sector": sector, "sector_identifier_uri": uri}
    # people whom the client knows by one name would have another, or two clients could compare theirs
    if before and any(before[name] != told[name] for name in ("subject_type", "sector")):
        raise refused("subject_changed")
    return told


def _format(document: dict[str, Any], rules: Rules) -> str:
    """What the client has stays until it names another: an operator may have set what no policy lists."""
    name = "access_token_format"
    held = [] if rules.before is None else [rules.before[name]]
    others = sorted(rules.policy.access_token_formats - frozenset(held))
    return one_of(document, name, (*held, *others), name)


def _initiate_login_uri(document: dict[str, Any], rules: Rules) -> str | None:
    uri = document.get("initiate_login_uri")
    if uri is None:
        return None
    uri = uris.judge(uri, rules.outgoing)
    try:
        login_uris.validate(uri)
    except Invalid:
        raise refused("initiate_login_uri") from None
    if "*" in uri or not rules.policy.allows_redirect(uri):
        raise refused("initiate_login_uri")
    return uri
