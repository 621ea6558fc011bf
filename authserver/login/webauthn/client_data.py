"""clientDataJSON: what the browser says the authenticator signed for (WebAuthn L3 §5.8.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ... import crypto, strict_json
from .refusal import Refused

MAX_DEPTH = 4
CREATE = "webauthn.create"
GET = "webauthn.get"
MAX_CHALLENGE = 64


@dataclass(frozen=True, slots=True)
class ClientData:
    """The members that are judged; ``challenge`` is decoded."""

    type: Any
    challenge: bytes
    origin: Any
    elsewhere: bool

    @classmethod
    def read(cls, data: bytes) -> ClientData:
        """The members in ``data``; Refused ``malformed`` when it is no strict JSON or has no challenge."""
        try:
            members = strict_json.read(data.decode("utf-8"), MAX_DEPTH)
        except ValueError as error:
            raise Refused("malformed") from error
        if not isinstance(members, dict):
            raise Refused("malformed")
        # a page of another site that frames ours, and what it says about itself, are both elsewhere
        elsewhere = members.get("crossOrigin", False) is not False or "topOrigin" in members
        return cls(members.get("type"), _challenge(members), members.get("origin"), elsewhere)

    def check(self, type_: str, origin: str) -> None:
        """Refused unless it was made for ``type_`` by a page of ``origin`` itself (WebAuthn L3 §7)."""
        if self.type != type_:
            raise Refused("type")
        if self.origin != origin:
            raise Refused("origin")
        if self.elsewhere:
            raise Refused("cross_origin")


def _challenge(members: dict[str, Any]) -> bytes:
    value = members.get("challenge")
    if not isinstance(value, str):
        raise Refused("malformed")
    try:
        challenge = crypto.b64u_decode(value)
    except ValueError as error:
        raise Refused("malformed") from error
    if len(challenge) > MAX_CHALLENGE:
        raise Refused("malformed")
    return challenge
