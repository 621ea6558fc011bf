"""``id_token_hint``: an ID token of this server that comes back (OpenID Connect Core §3.1.2.1, RP-Initiated
Logout §2).

It says who was logged in, and proves nothing about who is now; that it has expired is no matter.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import jws
from ..config import ID_TOKEN_ALGS
from ..keys import KeyStore

TYP = "jwt"


@dataclass(frozen=True, slots=True)
class Hint:
    """The client to which the token was issued, its subject as that client knows it, and the session."""

    client_id: str
    subject: str
    sid: str


def read(keys: KeyStore, issuer: str, text: str) -> Hint:
    """What the ID token says, by whatever key of this server it was signed; jws.Rejected otherwise."""
    claims = keys.verify_past(text, [TYP], ID_TOKEN_ALGS)
    jws.numeric_date(claims, "exp")
    if claims.get("iss") != issuer:
        raise jws.Rejected("iss")
    for name in ("aud", "sub", "sid"):
        if not isinstance(claims.get(name), str) or not claims[name]:
            raise jws.Rejected(name)
    return Hint(claims["aud"], claims["sub"], claims["sid"])
