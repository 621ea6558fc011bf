"""What a client may register: metadata of RFC 7591 §2, judged as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import jwks
from ..errors import Invalid
from ..visible_text import shows
from . import login_uris, redirect_uris, sectors

SECRET_METHODS = ("client_secret_basic", "client_secret_post")
AUTH_METHODS = (*SECRET_METHODS, "private_key_jwt", "none")
TOKEN_FORMATS = ("jwt", "opaque")
# what a client has unless its registration says otherwise
DEFAULTS: dict[str, Any] = {
    "application_type": "web",
    "require_pkce": True,
    "authorization_details_types": [],
    "id_token_alg": "ES256",
    "jwks": None,
    "jwks_uri": None,
    "post_logout_redirect_uris": [],
    "backchannel_logout_uri": None,
    "backchannel_logout_session_required": False,
    "token_endpoint_auth_signing_alg": None,
    "default_max_age": None,
    "userinfo_alg": None,
    "subject_type": "public",
    "sector": None,
    "sector_identifier_uri": None,
    "access_token_format": "jwt",
    "initiate_login_uri": None,
}


def judge(values: dict[str, Any]) -> None:
    """What belongs together is together; Invalid otherwise."""
    method = values["token_endpoint_auth_method"]
    if not shows(str(values["client_name"])):
        raise Invalid("A client's name is one line with a letter or digit, and nothing hidden in it.")
    if method not in AUTH_METHODS:
        raise Invalid(f"The authentication method is one of {', '.join(AUTH_METHODS)}.")
    if method == "none" and "client_credentials" in values["grant_types"]:
        raise Invalid("A public client cannot have client_credentials (RFC 6749 §4.4).")
    if values["application_type"] not in redirect_uris.APPLICATION_TYPES:
        raise Invalid(f"The application type is one of {', '.join(redirect_uris.APPLICATION_TYPES)}.")
    for uri in values["redirect_uris"]:
        redirect_uris.validate(uri, values["application_type"])
    if "authorization_code" in values["grant_types"] and not values["redirect_uris"]:
        raise Invalid("A client with authorization_code names where its codes go: a redirect URI.")
    if not values["require_pkce"] and method == "none":
        raise Invalid("A public client cannot do without PKCE (RFC 9700 §2.1.1).")
    if values["access_token_format"] not in TOKEN_FORMATS:
        raise Invalid(f"The form of access tokens is one of {', '.join(TOKEN_FORMATS)}.")
    if values["initiate_login_uri"] is not None:
        login_uris.validate(values["initiate_login_uri"])
    judge_subjects(values)
    judge_keys(method, values["jwks"], values["jwks_uri"])
    judge_logout(
        values["post_logout_redirect_uris"], values["backchannel_logout_uri"], values["application_type"]
    )


def judge_keys(method: str, keys: Any, uri: str | None) -> None:
    """The client's keys can be read, and are there where its method needs them; Invalid otherwise."""
    if keys is not None and uri is not None:
        raise Invalid("A client has jwks or jwks_uri, not both (RFC 7591 §2).")
    if method == "private_key_jwt" and keys is None and uri is None:
        raise Invalid("A client with private_key_jwt registers its public keys: jwks or jwks_uri.")
    if keys is not None:
        jwks.parse(keys)


def judge_subjects(values: dict[str, Any]) -> None:
    """People have ids at the client as it says, in the sector that its addresses have; Invalid otherwise."""
    if values["subject_type"] not in sectors.SUBJECT_TYPES:
        raise Invalid(f"The subject type is one of {', '.join(sectors.SUBJECT_TYPES)}.")
    pairwise = values["subject_type"] == "pairwise"
    uri = values["sector_identifier_uri"]
    if values["sector"] != (sectors.sector_of(values["redirect_uris"], uri) if pairwise else None):
        raise Invalid("The addresses of a client stay within its sector: people would have other ids there.")


def judge_logout(after: Sequence[str], backchannel: str | None, application_type: str) -> None:
    """People may be sent to each of ``after``, logout tokens to ``backchannel``; Invalid otherwise.

    Whether ``backchannel`` may be called from here is for ``outgoing`` to say, when it is registered too.
    """
    for uri in after:
        redirect_uris.validate(uri, application_type)
    if backchannel is not None:
        redirect_uris.validate_address(backchannel)
