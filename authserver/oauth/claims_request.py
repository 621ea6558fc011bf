"""The ``claims`` parameter (OpenID Connect Core §5.5): single claims that a client asks for, read strictly.

What has no meaning here is ignored, as the specification demands; what is malformed is refused as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import strict_json

MAX_CHARACTERS = 4000
# the parameter, its two members, a claim, and its values
MAX_DEPTH = 4
MAX_CLAIMS = 50
MAX_VALUES = 8
# of a subject (§2) and of a context class
MAX_VALUE = 255
MEMBERS = ("userinfo", "id_token")

Claims = dict[str, dict[str, Any]]


class Malformed(Exception):
    """A ``claims`` parameter that is not one, or demands what contradicts itself."""


@dataclass(frozen=True, slots=True)
class ClaimsRequest:
    """What is asked for: names of claims for UserInfo and ID token, and what the login must be.

    ``subjects`` are who may answer (§5.5.1), None for anybody. One of ``acr_essential`` must be reached
    (§5.5.1.1); ``acr_values`` are what the client would like.
    """

    userinfo: tuple[str, ...]
    id_token: tuple[str, ...]
    subjects: tuple[str, ...] | None
    acr_values: tuple[str, ...]
    acr_essential: tuple[str, ...]


def read(text: str) -> ClaimsRequest:
    """What ``text`` asks for; Malformed when it cannot be told."""
    if len(text) > MAX_CHARACTERS:
        raise Malformed("too long")
    try:
        asked = strict_json.read(text, MAX_DEPTH)
    except ValueError as error:
        raise Malformed("no JSON") from error
    if not isinstance(asked, dict):
        raise Malformed("no object")
    userinfo, id_token = (_claims(asked.get(member, {})) for member in MEMBERS)
    contexts = _texts(id_token.get("acr", {}))
    essential = bool(contexts) and id_token["acr"].get("essential") is True
    return ClaimsRequest(
        userinfo=tuple(userinfo),
        id_token=tuple(id_token),
        subjects=both(_subjects(userinfo), _subjects(id_token)),
        acr_values=() if essential else contexts,
        acr_essential=contexts if essential else (),
    )


def both(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The subjects that are among both, None for anybody; Malformed when nobody is."""
    if one is None or other is None:
        return other if one is None else one
    found = tuple(subject for subject in one if subject in other)
    if not found:
        raise Malformed("nobody is two people")
    return found


def _claims(asked: Any) -> Claims:
    """Each claim with the members of its request; one without any is asked for as it is."""
    if not isinstance(asked, dict) or len(asked) > MAX_CLAIMS:
        raise Malformed("a member is no object, or too long")
    return {name: _request({} if given is None else given) for name, given in asked.items()}


def _request(given: Any) -> dict[str, Any]:
    """§5.5.1: whether it is essential, and by which values; members that are not known mean nothing."""
    fits = (
        isinstance(given, dict)
        and isinstance(given.get("essential", False), bool)
        and isinstance(given.get("values", []), list)
        and not {"value", "values"} <= set(given)
    )
    if not fits:
        raise Malformed("a claim is asked for in a form that is none")
    result: dict[str, Any] = given
    return result


def _subjects(asked: Claims) -> tuple[str, ...] | None:
    request = asked.get("sub", {})
    if not {"value", "values"} & set(request):
        return None
    subjects = _texts(request)
    if not subjects:
        raise Malformed("nobody")
    return subjects


def _texts(request: dict[str, Any]) -> tuple[str, ...]:
    """The values of a claim whose values are texts, each once."""
    values: list[Any] = [request["value"]] if "value" in request else request.get("values", [])
    fits = all(isinstance(value, str) and 0 < len(value) <= MAX_VALUE for value in values)
    if not fits or len(values) > MAX_VALUES:
        raise Malformed("a value is no text, or there are too many")
    return tuple(dict.fromkeys(values))
