"""Public keys of others, read strictly: JWK Sets (RFC 7517 §5) that clients registered or publish."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from .errors import Invalid

MAX_KEYS = 20
MAX_BYTES = 32_768
MAX_KID = 128
RSA_BITS = range(2048, 8193)
# (kty, crv) and what such a key signs here; RS256 is for ID tokens of this server alone
ALGORITHMS: dict[tuple[str, str | None], str] = {
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
    ("RSA", None): "PS256",
}
# RFC 7518 §6.2.2, §6.3.2 and §6.4.1: members that only the owner of a key may know
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_KINDS: dict[str, type[ECKey] | type[OKPKey] | type[RSAKey]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies ``alg``; ``kid`` is empty where its owner named none."""

    kid: str
    alg: str
    key: Any

    def public(self) -> dict[str, Any]:
        """The key as a JWK (RFC 7517 §4) with the one use that it has here."""
        named = {"kid": self.kid} if self.kid else {}
        return {**self.key.as_dict(private=False), **named, "alg": self.alg, "use": "sig"}


def parse(document: Any) -> tuple[PublicKey, ...]:
    """The keys of a JWK Set that verify signatures here, at least one; Invalid for a set that is none.

    Keys of other kinds or uses are passed over (RFC 7517 §5). A private key in it, or two keys of one
    name, spoil the whole set.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Invalid("That is no JWK Set (RFC 7517 §5).")
    if len(entries) > MAX_KEYS:
        raise Invalid(f"A JWK Set has at most {MAX_KEYS} keys.")
    if any(not PRIVATE.isdisjoint(entry) for entry in entries):
        raise Invalid("The JWK Set holds a private or symmetric key. Replace that key: it is known now.")
    found = [key for key in map(_read, entries) if key is not None]
    if not found:
        raise Invalid(f"The JWK Set has no key for {', '.join(sorted(ALGORITHMS.values()))}.")
    if len({key.kid for key in found}) != len(found):
        raise Invalid("Two keys of the JWK Set have the same kid, or none.")
    return tuple(found)


def parse_text(text: bytes) -> tuple[PublicKey, ...]:
    """``parse`` for a document as it came from a file or an address."""
    return parse(load(text))


def load(text: bytes) -> Any:
    """The JSON value in ``text``, in which no member is repeated; Invalid otherwise."""
    if len(text) > MAX_BYTES:
        raise Invalid(f"A JWK Set has at most {MAX_BYTES} bytes.")
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Invalid("The JWK Set is not JSON.") from None


def choose(keys: Collection[PublicKey], kid: str, alg: str) -> PublicKey | None:
    """The key named ``kid`` for ``alg``; without a name the only one there is, or None."""
    fitting = [key for key in keys if key.alg == alg and (not kid or key.kid == kid)]
    return fitting[0] if len(fitting) == 1 else None


def _read(entry: Mapping[str, Any]) -> PublicKey | None:
    kty, crv, kid = entry.get("kty"), entry.get("crv"), entry.get("kid", "")
    alg = ALGORITHMS.get((kty, crv)) if isinstance(kty, str) and isinstance(crv, str | None) else None
    operations = entry.get("key_ops", ["verify"])
    usable = (
        alg is not None
        and entry.get("alg", alg) == alg
        and entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and isinstance(kid, str)
        and len(kid) <= MAX_KID
    )
    if not usable or alg is None or not isinstance(kty, str):
        return None
    try:
        key = _KINDS[kty].import_key(
            {name: entry[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in entry}
        )
        if isinstance(key, RSAKey) and key.raw_value.key_size not in RSA_BITS:
            return None
        key.get_op_key("verify")
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return PublicKey(kid, alg, key)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a member is repeated")
    return result
