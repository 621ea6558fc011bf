"""The checks of an authentication request (OpenID Connect Core §3.1.2.1): what is asked about the person.

They stand in the one list of ``authorization_checks`` among those of RFC 6749.
"""

from __future__ import annotations

import re

from .. import jws
from . import claims as known_claims
from . import claims_request, id_token_hint
from .authorization_request import Draft, Rooms

PROMPTS = frozenset({"none", "login", "consent", "select_account"})
MAX_HINT = 256
MAX_LOCALES = 8
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)
# BCP 47 by its form alone: a language and what narrows it
_LOCALE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,3}", re.ASCII)
_WRONG_HINT = "id_token_hint is not an ID token of this server for this client."
_WRONG_CLAIMS = "claims is a JSON object as in OpenID Connect Core 5.5, of at most 4000 characters."
_NOBODY = "claims and id_token_hint name different people, or nobody."


def request_object(draft: Draft, _rooms: Rooms) -> None:
    """§3.1.2.6: what this server does not read is refused, never ignored."""
    for name, error in (
        ("request", "request_not_supported"),
        ("request_uri", "request_uri_not_supported"),
        ("registration", "registration_not_supported"),
    ):
        if draft.parameters.get(name) is not None:
            raise draft.rejected(
                name, "Request objects and registration by request are not supported.", error
            )


def prompt(draft: Draft, _rooms: Rooms) -> None:
    """Each word is known, and none stands alone."""
    words = frozenset((draft.parameters.get("prompt") or "").split(" ")) - {""}
    if not words <= PROMPTS:
        raise draft.rejected("prompt", "This prompt is not supported.")
    if "none" in words and len(words) > 1:
        raise draft.rejected("prompt_conflict", "prompt none stands alone.")
    draft.values["prompt"] = words


def max_age(draft: Draft, _rooms: Rooms) -> None:
    """A number of seconds; that of the client's registration where the request has none."""
    given = draft.parameters.get("max_age")
    if given is None:
        draft.values["max_age"] = draft.client.default_max_age
        return
    if not _SECONDS.fullmatch(given):
        raise draft.rejected("max_age", "max_age is a number of seconds.")
    draft.values["max_age"] = int(given)


def preferences(draft: Draft, _rooms: Rooms) -> None:
    """What is only wished for is kept as far as it can be met, and never a reason to refuse."""
    get = draft.parameters.get
    login_hint = get("login_hint")
    # more than a name is no hint
    draft.values["login_hint"] = login_hint if login_hint and len(login_hint) <= MAX_HINT else None
    locales = [tag for tag in (get("ui_locales") or "").split(" ") if _LOCALE.fullmatch(tag)]
    draft.values["ui_locales"] = tuple(dict.fromkeys(locales))[:MAX_LOCALES]
    draft.values["nonce"] = get("nonce")
    draft.values["acr_values"] = tuple((get("acr_values") or "").split())


def hint(draft: Draft, rooms: Rooms) -> None:
    """An ID token of ours, issued to this client, names who may answer."""
    text = draft.parameters.get("id_token_hint")
    if text is None:
        return
    try:
        found = id_token_hint.read(rooms.keys, rooms.settings.issuer, text)
    except jws.Rejected as error:
        raise draft.rejected("hint_invalid", _WRONG_HINT) from error
    if found.client_id != draft.client_id:
        raise draft.rejected("hint_invalid", _WRONG_HINT)
    draft.values["subjects"] = (found.subject,)


def claims(draft: Draft, rooms: Rooms) -> None:
    """Single claims (§5.5), as far as they are known here and the client may have the scope of each."""
    text = draft.parameters.get("claims")
    if text is None:
        return
    try:
        asked = claims_request.read(text)
    except claims_request.Malformed as error:
        raise draft.rejected("claims", _WRONG_CLAIMS) from error
    try:
        subjects = claims_request.both(draft.values.get("subjects") or None, asked.subjects)
    except claims_request.Malformed as error:
        raise draft.rejected("claims_subject", _NOBODY) from error
    values = draft.values
    values["subjects"] = subjects or ()
    values["acr_essential"] = asked.acr_essential
    values["acr_values"] = tuple(dict.fromkeys((*values["acr_values"], *asked.acr_values)))
    if "openid" in values["scopes"]:
        allowed = draft.client.scopes & rooms.scopes.all().keys()
        for member in claims_request.MEMBERS:
            names = known_claims.within(getattr(asked, member), allowed)
            values[f"{member}_claims"] = tuple(names)
