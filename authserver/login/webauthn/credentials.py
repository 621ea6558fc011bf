"""Credentials as they rest: who has which, what they are called, and how often they signed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, select, update

from ... import clock
from ...db import Database, insert_once, table_of
from ...errors import Invalid
from ...models.webauthn import WebauthnCredential

credentials = table_of(WebauthnCredential)

MOST = 20
MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class Credential:
    """A passkey or security key of a person, as it was read."""

    credential_id: bytes
    user_id: str
    public_key: bytes
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    discoverable: bool
    aaguid: str
    transports: tuple[str, ...]
    attestation_format: str
    attested: bool
    name: str
    created_at: int
    last_used_at: int | None = None
    flagged_at: int | None = None

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        """The credential in a row."""
        return cls(**{f.name: row[f.name] for f in fields(cls)} | {"transports": tuple(row["transports"])})

    @property
    def values(self) -> dict[str, Any]:
        """The row of it."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"transports": list(self.transports)}


def name_of(text: str) -> str:
    """What a person calls a credential; Invalid if it cannot be one line of up to 60 characters."""
    name = " ".join(text.split())
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise Invalid("A name is one line of up to 60 characters.")
    return name


class Credentials:
    """Reads and changes credentials."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, credential_id: bytes) -> Credential | None:
        """The credential of an id, read now."""
        query = select(credentials).where(credentials.c.credential_id == credential_id)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else Credential.of(row)

    def of(self, user_id: str) -> list[Credential]:
        """Those of a person, the oldest first."""
        query = select(credentials).where(credentials.c.user_id == user_id)
        query = query.order_by(credentials.c.created_at, credentials.c.credential_id)
        with self._database.reading() as connection:
            return [Credential.of(row) for row in connection.execute(query).mappings()]

    @staticmethod
    def add_in(connection: Connection, credential: Credential) -> bool:
        """The credential counts; False if anybody has one of this id (WebAuthn L3 §7.1 step 26)."""
        return insert_once(connection, WebauthnCredential, credential.values)

    @staticmethod
    def remove_in(connection: Connection, user_id: str, credential_id: bytes) -> bool:
        """The person has it no longer; False if they had not."""
        mine = (credentials.c.user_id == user_id) & (credentials.c.credential_id == credential_id)
        return connection.execute(delete(credentials).where(mine)).rowcount == 1

    @staticmethod
    def forget_in(connection: Connection, user_id: str) -> None:
        """The person has none."""
        connection.execute(delete(credentials).where(credentials.c.user_id == user_id))

    def rename(self, user_id: str, credential_id: bytes, name: str) -> bool:
        """The person's credential is called ``name``; False if they have no such one."""
        mine = (credentials.c.user_id == user_id) & (credentials.c.credential_id == credential_id)
        with self._database.writing() as connection:
            return connection.execute(update(credentials).where(mine).values(name=name)).rowcount == 1

    @staticmethod
    def used_in(connection: Connection, used: Credential, sign_count: int, backed_up: bool) -> bool:
        """The use counts; False if the credential is gone, flagged, or was used at this count meanwhile.

        A count that is always zero is none (WebAuthn L3 §6.1.1).
        """
        ahead = credentials.c.sign_count < sign_count
        if sign_count == 0:
            ahead = credentials.c.sign_count == 0
        values = {"sign_count": sign_count, "backed_up": backed_up, "last_used_at": clock.now()}
        return (
            connection.execute(update(credentials).where(_as_judged(used), ahead).values(values)).rowcount
            == 1
        )

    @staticmethod
    def held_in(connection: Connection, used: Credential) -> bool:
        """This transaction holds the credential, which is as it was judged; False if it is not."""
        query = select(credentials.c.credential_id).where(_as_judged(used)).with_for_update()
        return connection.execute(query).first() is not None

    @staticmethod
    def flag_in(connection: Connection, credential_id: bytes) -> bool:
        """The credential may be cloned; True the first time."""
        unflagged = (credentials.c.credential_id == credential_id) & credentials.c.flagged_at.is_(None)
        changed = update(credentials).where(unflagged).values(flagged_at=clock.now())
        return connection.execute(changed).rowcount == 1


def _as_judged(used: Credential) -> ColumnElement[bool]:
    """The row of a credential, as long as what was judged of it holds."""
    return (
        (credentials.c.credential_id == used.credential_id)
        & (credentials.c.user_id == used.user_id)
        & (credentials.c.public_key == used.public_key)
        & credentials.c.flagged_at.is_(None)
    )
