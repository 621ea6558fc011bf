"""The keys that a process holds: it signs with the active one and verifies what the server signed."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from sqlalchemy import select

from .. import clock, crypto, jws
from ..cache import Versions, Whole
from ..config import SIGNING_ALGS
from ..db import Database, table_of
from ..errors import Unavailable
from ..models.signing_key import SigningKey

RSA_BITS = 2048
# Other processes may sign with a key for as long as their cache counts after it was retired.
RETIREMENT_SLACK = 1
table = table_of(SigningKey)


@dataclass(frozen=True)
class Key:
    """A key pair in use; ``pair`` is the joserfc key, ``public`` what the JWKS shows of it."""

    kid: str
    alg: str
    state: str
    pair: Any
    public: dict[str, Any]
    retired_at: int | None


def generate(alg: str) -> Any:
    """A new joserfc key pair for ``alg``."""
    if alg == "ES256":
        return ECKey.generate_key("P-256")
    if alg == "EdDSA":
        return OKPKey.generate_key("Ed25519")
    if alg in ("PS256", "RS256"):
        return RSAKey.generate_key(RSA_BITS)
    raise ValueError("no key can be made for this algorithm")


def load_pair(private: dict[str, Any]) -> Any:
    """The joserfc key of a private JWK."""
    kinds: dict[str, Any] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
    return kinds[private["kty"]].import_key(private)


def place(kid: str) -> str:
    """Where a sealed private key rests; one moved to another row does not open."""
    return f"signing_key.sealed_private_jwk/{kid}"


class KeyStore:
    """The published keys as of at most the cache's confirmation time ago."""

    def __init__(self, database: Database, versions: Versions, master: crypto.MasterKeys) -> None:
        self._database = database
        self._master = master
        self._cache = Whole(versions, "keys", self._load)

    def published(self) -> tuple[Key, ...]:
        """Every key in the JWKS: next, active and retired ones; newest first."""
        return self._cache.get()

    def held(self) -> tuple[Key, ...]:
        """The keys last known, for answers that go on without the database; Unavailable if never read."""
        held = self._cache.last()
        if held is None:
            raise Unavailable("database")
        return held

    def sign(self, typ: str, claims: dict[str, Any], alg: str) -> str:
        """``claims`` as a compact JWS by the active key of ``alg``, its ``kid`` named in the header."""
        for key in self._cache.get():
            if key.state == "active" and key.alg == alg:
                header = {"alg": alg, "kid": key.kid, "typ": typ}
                return jws.sign(header, claims, key.pair)
        raise Unavailable("signing_key")

    def verify(self, text: str, typ: Collection[str], algs: Collection[str] = SIGNING_ALGS) -> dict[str, Any]:
        """The claims of a JWT that this server signed with one of ``algs``; jws.Rejected otherwise.

        A retired key still verifies what it signed before it retired, and nothing newer.
        """
        token = jws.parse(text, typ=typ, algs=algs)
        for key in self._cache.get():
            if key.kid == token.kid:
                claims = token.verify(key.pair, key.alg)
                issued_at = jws.numeric_date(claims, "iat")
                if key.retired_at is not None and issued_at > key.retired_at + RETIREMENT_SLACK:
                    raise jws.Rejected("key_retired")
                return claims
        raise jws.Rejected("kid")

    def verify_past(self, text: str, typ: Collection[str], algs: Collection[str]) -> dict[str, Any]:
        """``verify``, also by keys that have left the JWKS by age; never by one that was compromised."""
        token = jws.parse(text, typ=typ, algs=algs)
        if any(key.kid == token.kid for key in self._cache.get()):
            return self.verify(text, typ, algs)
        with self._database.reading() as connection:
            row = connection.execute(select(table).where(table.c.kid == token.kid)).mappings().one_or_none()
        # a compromised key leaves at the moment it retires (Rotation.rotate)
        if row is None or row["retired_at"] is None or row["expires_at"] <= row["retired_at"]:
            raise jws.Rejected("kid")
        claims = token.verify(load_pair(row["public_jwk"]), row["alg"])
        if jws.numeric_date(claims, "iat") > row["retired_at"] + RETIREMENT_SLACK:
            raise jws.Rejected("key_retired")
        return claims

    def verify_checkpoint(self, text: str, typ: str) -> dict[str, Any] | None:
        """The claims of a statement signed by any key this server ever had; None if it does not hold."""
        try:
            token = jws.parse(text, typ=[typ], algs=SIGNING_ALGS)
            with self._database.reading() as connection:
                row = (
                    connection.execute(select(table).where(table.c.kid == token.kid)).mappings().one_or_none()
                )
            if row is None:
                return None
            return token.verify(load_pair(row["public_jwk"]), row["alg"])
        except jws.Rejected:
            return None

    def _load(self) -> tuple[Key, ...]:
        now = clock.now()
        query = select(table).where(table.c.state.in_(("next", "active", "retired")))
        with self._database.reading() as connection:
            found = (
                connection.execute(query.order_by(table.c.published_at.desc(), table.c.kid)).mappings().all()
            )
        return tuple(
            self._key(dict(row)) for row in found if row["expires_at"] is None or row["expires_at"] > now
        )

    def _key(self, row: dict[str, Any]) -> Key:
        # the public half comes from the sealed one: a row changed in the database publishes nothing
        pair = load_pair(json.loads(self._master.open(row["sealed_private_jwk"], place(row["kid"]))))
        public = pair.as_dict(private=False) | {"kid": row["kid"], "alg": row["alg"], "use": "sig"}
        return Key(row["kid"], row["alg"], row["state"], pair, public, row["retired_at"])
