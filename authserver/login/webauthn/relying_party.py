"""The relying party of one issuer: its host is the RP ID, its origin is the only one (WebAuthn L3 §4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whom credentials are for; ``name`` is what authenticators show."""

    rp_id: str
    origin: str
    name: str

    @classmethod
    def of(cls, issuer: str, name: str) -> Self:
        """That of ``issuer``, whose origin it is as browsers write it."""
        parts = urlsplit(issuer)
        host = (parts.hostname or "").lower()
        usual = {"https": 443, "http": 80}[parts.scheme]
        port = "" if parts.port in (None, usual) else f":{parts.port}"
        return cls(host, f"{parts.scheme}://{host}{port}", name)
