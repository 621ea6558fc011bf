"""PKCE (RFC 7636), S256 alone: whoever redeems a code is who asked for it."""

from __future__ import annotations

import re

from .. import crypto

METHOD = "S256"
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def refusal(challenge: str | None, verifier: str | None) -> str:
    """Why ``verifier`` does not answer ``challenge``; empty if it does."""
    if challenge is None:
        # RFC 9700 §4.8.2: a verifier where none was announced tells of a request that was tampered with
        return "" if verifier is None else "pkce_mismatch"
    if verifier is None:
        return "pkce_verifier_missing"
    if not _VERIFIER.fullmatch(verifier):
        return "pkce_mismatch"
    return "" if crypto.equal(s256(verifier).encode(), challenge.encode()) else "pkce_mismatch"


def s256(verifier: str) -> str:
    """The challenge of a verifier (RFC 7636 §4.2)."""
    return crypto.b64u(crypto.sha256(verifier.encode("ascii")))
