"""Randomness, digests and sealing. Keys other than the master keys are derived, never stored."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
STOCK_BYTES = 4096
NONCE_BYTES = 12  # the nonce length that NIST SP 800-38D §8.2 recommends for AES-GCM


class SealBroken(Exception):
    """A sealed value was made under another key, for another place, or was changed."""


def random_bytes(count: int) -> bytes:
    """``count`` bytes from the operating system's generator."""
    return secrets.token_bytes(count)


def random_token(bits: int = 256) -> str:
    """A fresh unguessable string of ``bits`` random bits in base64url."""
    return secrets.token_urlsafe(bits // 8)


def identifier(bits: int = 128) -> str:
    """A fresh name of ``bits`` random bits in base64url, for what is nobody's secret.

    Its bytes are drawn from the operating system's generator in stock, a stock for each thread: a system call
    lets another thread run, and on a hot path that costs more than the bytes.
    """
    count, process = bits // 8, os.getpid()
    if _stock.process != process or _stock.used + count > STOCK_BYTES:
        # after a fork too: what was in stock is the parent's
        _stock.process, _stock.data, _stock.used = process, random_bytes(STOCK_BYTES), 0
    start = _stock.used
    _stock.used += count
    return b64u(_stock.data[start : _stock.used])


class _Stock(threading.local):
    process = 0
    data = b""
    used = 0


_stock = _Stock()


def b64u(data: bytes) -> str:
    """``data`` in base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64u_decode(text: str) -> bytes:
    """The bytes of strict, unpadded base64url; ValueError for any other spelling."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64url") from error
    # Python accepts stray bits after the last byte, and with them several spellings of one value.
    if b64u(data) != text:
        raise ValueError("not canonical base64url")
    return data


def digest(text: str) -> bytes:
    """SHA-256 of ``text``; how values that carry 256 random bits rest in the database."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def sha256(data: bytes) -> bytes:
    """SHA-256 of ``data``."""
    return hashlib.sha256(data).digest()


def sha256_of_file(path: Path, offset: int) -> bytes:
    """SHA-256 of a file from ``offset`` on."""
    with path.open("rb") as file:
        file.seek(offset)
        return hashlib.file_digest(file, "sha256").digest()


def sha1(data: bytes) -> bytes:
    """SHA-1 of ``data``: for lists of breached passwords, which are kept under it, and for nothing else."""
    return hashlib.sha1(data, usedforsecurity=False).digest()


def sha512(data: bytes) -> bytes:
    """SHA-512 of ``data``."""
    return hashlib.sha512(data).digest()


def mac(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA-256 over ``parts``, each preceded by its length so that no two lists collide."""
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hmac.digest(key, message, "sha256")


def equal(left: bytes, right: bytes) -> bool:
    """Whether both are the same, in time that does not depend on where they differ."""
    return hmac.compare_digest(left, right)


def seal_under(key: bytes, plaintext: bytes, place: str) -> str:
    """``plaintext`` under a key of its own with AES-256-GCM, bound to ``place``; for many small values."""
    nonce = b64u_decode(identifier(NONCE_BYTES * 8))
    return b64u(nonce + AESGCM(key).encrypt(nonce, plaintext, place.encode()))


def open_under(key: bytes, sealed: str, place: str) -> bytes:
    """What ``seal_under`` was given; SealBroken when key, place or content do not fit."""
    try:
        data = b64u_decode(sealed)
        return AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode())
    except (ValueError, InvalidTag) as error:
        raise SealBroken("a sealed value cannot be opened") from error


@dataclass(frozen=True)
class MasterKeys:
    """The keys from which all others are derived: the first seals, every one opens.

    ``keys`` maps key ids (letters and digits) to 32 bytes, in the order of the setting.
    """

    keys: dict[str, bytes] = field(repr=False)
    _derived: dict[tuple[str, str], bytes] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("at least one master key is needed")
        for kid, key in self.keys.items():
            if not kid.isalnum() or len(key) != KEY_BYTES:
                raise ValueError("a master key is an alphanumeric id and 32 bytes in base64url")

    @classmethod
    def parse(cls, text: str) -> MasterKeys:
        """Keys from ``id:base64url[,id:base64url…]``; ValueError says what is wrong, never the key."""
        keys: dict[str, bytes] = {}
        for item in text.strip().split(","):
            kid, colon, value = item.strip().partition(":")
            if not colon or kid in keys:
                raise ValueError("write master keys as id:key, separated by commas, each id once")
            keys[kid] = b64u_decode(value)
        return cls(keys)

    @property
    def active(self) -> str:
        """The id of the key under which new values are made."""
        return next(iter(self.keys))

    def derive(self, purpose: str, kid: str | None = None) -> bytes:
        """32 bytes for one purpose under one master key (RFC 5869); KeyError for an unknown id."""
        kid = self.active if kid is None else kid
        known = self._derived.get((kid, purpose))
        if known is None:
            hkdf = HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=b"authserver/" + purpose.encode())
            known = self._derived[(kid, purpose)] = hkdf.derive(self.keys[kid])
        return known

    def seal(self, plaintext: bytes, place: str) -> str:
        """``plaintext`` encrypted with AES-256-GCM, bound to ``place`` (table, column, row)."""
        nonce = random_bytes(NONCE_BYTES)
        sealed = AESGCM(self.derive("seal")).encrypt(nonce, plaintext, place.encode())
        return f"{self.active}.{b64u(nonce + sealed)}"

    def open(self, sealed: str, place: str) -> bytes:
        """What ``seal`` was given; SealBroken when key, place or content do not fit."""
        kid, _, body = sealed.partition(".")
        try:
            data = b64u_decode(body)
            key = self.derive("seal", kid)
            return AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode())
        except (KeyError, ValueError, InvalidTag) as error:
            raise SealBroken("a sealed value cannot be opened") from error
