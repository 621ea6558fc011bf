"""Challenges: made for one ceremony of one browser, presented once (WebAuthn L3 §13.4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select, update

from ... import clock, crypto
from ...db import Database, insert_once, table_of
from ...models.webauthn import WebauthnChallenge
from .refusal import Refused

challenges = table_of(WebauthnChallenge)

CHALLENGE_BYTES = 32
CHALLENGE_SECONDS = 300


class Purpose(StrEnum):
    """What a ceremony is for."""

    REGISTER = "register"
    LOGIN = "login"
    MFA = "mfa"
    PAYMENT = "payment"


@dataclass(frozen=True, slots=True)
class Ceremony:
    """For what and for whom a challenge is: ``holder`` is the session's sid, or before a login the value of a
    cookie that this browser alone has; ``user_id`` is empty before a login, where nobody is known yet.
    """

    purpose: Purpose
    holder: str
    user_id: str = ""

    def __post_init__(self) -> None:
        if bool(self.user_id) == (self.purpose is Purpose.LOGIN) or not self.holder:
            raise ValueError("a ceremony is of one browser, and of one person unless it is a login")

    @property
    def binding(self) -> bytes:
        """What rests of ``holder``."""
        kind = "browser" if self.purpose is Purpose.LOGIN else "session"
        return crypto.digest(f"{kind}:{self.holder}")


class Challenges:
    """Makes challenges and spends them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def issue(self, ceremony: Ceremony, challenge: bytes | None = None) -> bytes:
        """32 random bytes, or ``challenge`` that a caller made of a nonce and more, to answer in 5 minutes.

        ValueError for one of another length, and for one that was issued before.
        """
        challenge = crypto.random_bytes(CHALLENGE_BYTES) if challenge is None else challenge
        if len(challenge) != CHALLENGE_BYTES:
            raise ValueError("a challenge has 32 bytes")
        values = {
            "digest": crypto.sha256(challenge),
            "purpose": ceremony.purpose.value,
            "binding": ceremony.binding,
            "user_id": ceremony.user_id or None,
            "expires_at": clock.now() + CHALLENGE_SECONDS,
        }
        with self._database.writing() as connection:
            if not insert_once(connection, WebauthnChallenge, values):
                raise ValueError("a challenge is issued once")
        return challenge

    def spend(self, ceremony: Ceremony, challenge: bytes) -> None:
        """The challenge is worth nothing any more, whatever comes of the answer.

        Refused ``challenge_reuse`` when it was spent before, ``challenge_expired``, or ``challenge`` when it
        was never made for this ceremony.
        """
        now = clock.now()
        own = (
            (challenges.c.digest == crypto.sha256(challenge))
            & (challenges.c.purpose == ceremony.purpose.value)
            & (challenges.c.binding == ceremony.binding)
            & (challenges.c.user_id == (ceremony.user_id or None))
        )
        fresh = own & challenges.c.used_at.is_(None) & (challenges.c.expires_at > now)
        with self._database.writing() as connection:
            if connection.execute(update(challenges).where(fresh).values(used_at=now)).rowcount == 1:
                return
            known = challenges.c.digest == crypto.sha256(challenge)
            query = select(challenges.c.used_at, own.label("own")).where(known)
            there = connection.execute(query).one_or_none()
        if there is not None and there.used_at is not None:
            # whoever sends it: a login renews what it was bound to
            raise Refused("challenge_reuse")
        raise Refused("challenge_expired" if there is not None and there.own else "challenge")
