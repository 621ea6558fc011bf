"""Passwords at rest: Argon2id behind a bounded queue, apart from that of client secrets."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from .. import crypto, metrics
from ..config import Settings
from ..errors import Unavailable

MAX_LENGTH = 1024


class PasswordHasher:
    """Makes and verifies hashes, a few at a time."""

    def __init__(self, settings: Settings) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=settings.argon2_time_cost,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
        )
        self._slots = threading.BoundedSemaphore(settings.login_hash_concurrency)
        self._places = threading.BoundedSemaphore(settings.login_hash_places)
        # what nobody's password is compared with, at the price of anybody's
        self._dummy = self._argon2.hash(crypto.random_token())

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue, for one piece of work; Unavailable at once when it is full.

        Taken before an attempt is counted: nobody's account is blocked by a server that is too busy.
        """
        if not self._places.acquire(blocking=False):
            metrics.hash_queue_refused.inc()
            raise Unavailable("hash_queue", retry_after=1)
        try:
            yield
        finally:
            self._places.release()

    def hash(self, password: str) -> str:
        """The hash under which ``password`` rests; call it in a ``place``."""
        with self._slots:
            return self._argon2.hash(normalise(password))

    def verify(self, hash_: str | None, password: str) -> bool:
        """Whether ``password`` is that of ``hash_``; None costs the same. Call it in a ``place``."""
        try:
            with self._slots:
                fits = self._argon2.verify(hash_ or self._dummy, normalise(password))
        except (VerificationError, InvalidHashError):
            return False
        return fits and hash_ is not None

    def outdated(self, hash_: str) -> bool:
        """Whether ``hash_`` was made at another cost than is set now."""
        return self._argon2.check_needs_rehash(hash_)


def usable(password: str) -> bool:
    """Whether ``password`` can be anybody's by its length, as it is hashed."""
    return 0 < len(normalise(password)) <= MAX_LENGTH


def normalise(password: str) -> str:
    """The form that is hashed: NFC, so that two keyboards' spellings of an accent are one."""
    return unicodedata.normalize("NFC", password)
