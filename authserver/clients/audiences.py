"""Audiences: the URIs by which APIs are known (RFC 8707 §2)."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..errors import Invalid


def validate(audience: str) -> str:
    """``audience`` as it is; Invalid unless it is an absolute http(s) URI without a fragment."""
    parts = urlsplit(audience)
    plain = audience.isascii() and audience.isprintable() and " " not in audience
    if parts.scheme not in ("https", "http") or not parts.netloc or "#" in audience or not plain:
        raise Invalid(
            "An audience is an absolute URI without a fragment, as https://api.example.com/payments."
        )
    return audience
