"""Client secrets: made here, screened by a MAC before any hashing, at rest as Argon2id.

A secret is base64url of 32 random bytes and 4 bytes of a MAC over the client id and them. A guess fails
the MAC at once, for known and unknown clients alike; only a secret that this server made for this very
client ever reaches Argon2, whose queue is bounded and apart from people's logins.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from .. import clock, crypto, metrics
from ..config import Settings
from ..errors import Unavailable
from .record import ClientRecord

RANDOM_BYTES = 32
MAC_BYTES = 4
MAC_PURPOSE = "client.secret"
MAX_REMEMBERED = 100


class SecretHasher:
    """Makes and verifies client secrets."""

    def __init__(self, master: crypto.MasterKeys, settings: Settings) -> None:
        self._master = master
        self._argon2 = PasswordHasher(
            time_cost=settings.argon2_time_cost,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
        )
        self._slots = threading.BoundedSemaphore(settings.secret_hash_concurrency)
        self._places = threading.BoundedSemaphore(settings.secret_hash_places)
        self._process_key = crypto.random_bytes(32)

    def make(self, client_id: str) -> tuple[str, str]:
        """A new secret for ``client_id`` and its hash; Unavailable when the hashing queue is full."""
        random = crypto.random_bytes(RANDOM_BYTES)
        secret = crypto.b64u(random + self._mac(client_id, random, self._master.active))
        with self._place():
            return secret, self._argon2.hash(secret)

    def screen(self, client_id: str, secret: str) -> bool:
        """Whether this server made ``secret`` for ``client_id``, under any of its master keys."""
        try:
            data = crypto.b64u_decode(secret)
        except ValueError:
            return False
        if len(data) != RANDOM_BYTES + MAC_BYTES:
            return False
        random, code = data[:RANDOM_BYTES], data[RANDOM_BYTES:]
        fits = [crypto.equal(self._mac(client_id, random, kid), code) for kid in self._master.keys]
        return any(fits)

    def verify(self, client_id: str, client: ClientRecord | None, secret: str) -> bool:
        """Whether ``secret`` is one of the client's; Unavailable when the hashing queue is full.

        ``client`` is None for an unknown id: the work is the same up to a MAC that no guess passes.
        """
        if client is None:
            return False
        now = clock.now()
        given = secret.encode("utf-8", "surrogatepass")
        remembered = crypto.mac(self._process_key, client_id.encode(), given)
        if remembered in client.verified:
            expires_at = client.verified[remembered]
            return expires_at is None or expires_at > now
        if not self.screen(client_id, secret):
            return False
        for hash_, expires_at in client.secrets:
            if (expires_at is None or expires_at > now) and self._matches(hash_, secret):
                self._remember(client, remembered, expires_at)
                return True
        # a secret that was replaced still passes the screen: it costs one hash, not one a try
        self._remember(client, remembered, 0)
        return False

    @staticmethod
    def _remember(client: ClientRecord, digest: bytes, expires_at: int | None) -> None:
        """What was verified or refused stands for this record, a hundred of them at most."""
        if len(client.verified) >= MAX_REMEMBERED:
            client.verified.clear()
        client.verified[digest] = expires_at

    def _mac(self, client_id: str, random: bytes, kid: str) -> bytes:
        key = self._master.derive(MAC_PURPOSE, kid)
        return crypto.mac(key, client_id.encode("utf-8", "surrogatepass"), random)[:MAC_BYTES]

    def _matches(self, hash_: str, secret: str) -> bool:
        try:
            with self._place():
                return self._argon2.verify(hash_, secret)
        except (VerificationError, InvalidHashError):
            return False

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place among those that hash; Unavailable when too many wait for one."""
        if not self._places.acquire(blocking=False):
            metrics.hash_queue_refused.inc()
            raise Unavailable("hash_queue", retry_after=1)
        try:
            with self._slots:
                yield
        finally:
            self._places.release()
