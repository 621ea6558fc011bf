"""What this server knows of a token that somebody holds in their hand: for operators, who may be told all."""

from __future__ import annotations

from typing import Any

from .. import clock, jws
from .single_use import Kind, Presented, SingleUse
from .tokens import Tokens

# of an access token, in this order
CLAIMS = ("jti", "client_id", "sub", "gid", "scope", "aud", "acr", "iat", "exp", "authorization_details")
SINGLE_USE: tuple[Kind, ...] = ("refresh_token", "authorization_code")


class Inspection:
    """Tells of access tokens, refresh tokens and codes whether they count, why not, and whose they are."""

    def __init__(self, tokens: Tokens, single_use: SingleUse) -> None:
        self._tokens = tokens
        self._single_use = single_use

    def of(self, text: str) -> dict[str, Any]:
        """``active``, ``kind``, the ``reason`` if it is not active, and what it is of; never the token.

        Changes nothing: a spent refresh token that is looked at here is no replay.
        """
        for kind in SINGLE_USE:
            if (presented := self._single_use.find(kind, text)) is not None:
                return _of_presented(presented)
        try:
            claims = self._tokens.read(text)
        except jws.Rejected as rejection:
            return {"kind": "unknown", "active": False, "reason": rejection.reason} | self._known(text)
        standing = self._tokens.standing(claims)
        person = {"user_id": standing.user_id} if standing.user_id else {}
        whether = {"kind": "access_token", "active": not standing.reason, "reason": standing.reason}
        return whether | person | _told(claims)

    def _known(self, text: str) -> dict[str, Any]:
        """What one says that is ours and merely too old."""
        try:
            return {"kind": "access_token"} | _told(self._tokens.known(text))
        except jws.Rejected:
            return {}


def _told(claims: dict[str, Any]) -> dict[str, Any]:
    return {name: claims[name] for name in CLAIMS if name in claims}


def _of_presented(presented: Presented) -> dict[str, Any]:
    granted = presented.authorization
    reasons = {
        "spent": presented.used_at is not None,
        "ended": not presented.alive,
        "exp": presented.expires_at <= clock.now(),
    }
    reason = next((name for name, holds in reasons.items() if holds), "")
    told: dict[str, Any] = {
        "kind": presented.kind,
        "active": not reason,
        "reason": reason,
        "client_id": granted.client_id,
        "user_id": granted.user_id,
        "gid": granted.gid,
        "sid": granted.sid,
        "scope": presented.get_scope(),
        "exp": presented.expires_at,
    }
    if granted.authorization_details:
        told["authorization_details"] = granted.authorization_details
    return told
