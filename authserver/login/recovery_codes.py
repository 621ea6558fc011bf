"""Recovery codes: ten at a time, each good once, for whoever has lost their second factor.

A code carries 120 random bits, so that its digest may rest as it is (ASVS 5.0 §6.5.2).
"""

from __future__ import annotations

import re

from sqlalchemy import Connection, delete, func, insert, select, update

from .. import clock, crypto
from ..db import table_of
from ..models.factor import RecoveryCode

table = table_of(RecoveryCode)

COUNT = 10
GROUPS, GROUP = 6, 4
# Crockford's base32: without I, L, O and U, which are read as something else
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE = re.compile(f"[{ALPHABET}]{{{GROUPS * GROUP}}}")


def replace_in(connection: Connection, user_id: str) -> list[str]:
    """Ten new codes as people read them, shown only now; those from before are worth nothing."""
    codes = [_new() for _ in range(COUNT)]
    now = clock.now()
    remove_in(connection, user_id)
    rows = [{"digest": _digest(user_id, code), "user_id": user_id, "created_at": now} for code in codes]
    connection.execute(insert(table), rows)
    return ["-".join(code[at : at + GROUP] for at in range(0, len(code), GROUP)) for code in codes]


def remove_in(connection: Connection, user_id: str) -> None:
    """The person has no recovery codes."""
    connection.execute(delete(table).where(table.c.user_id == user_id))


def left(connection: Connection, user_id: str) -> int:
    """How many codes of the person are unused."""
    mine = (table.c.user_id == user_id) & table.c.used_at.is_(None)
    return connection.execute(select(func.count()).select_from(table).where(mine)).scalar_one()


def known(connection: Connection, user_id: str, text: str) -> bytes | None:
    """The digest of a code that the person was given, used or not; None for anything else.

    Case, spaces and hyphens do not matter; letters that only look alike do.
    """
    code = re.sub(r"[\s-]", "", text).upper()
    if not _CODE.fullmatch(code):
        return None
    digest = _digest(user_id, code)
    return connection.execute(select(table.c.digest).where(table.c.digest == digest)).scalar()


def spend_in(connection: Connection, digest: bytes) -> bool:
    """The code is used by this transaction; False if it was used or replaced before."""
    unused = (table.c.digest == digest) & table.c.used_at.is_(None)
    return connection.execute(update(table).where(unused).values(used_at=clock.now())).rowcount == 1


def _new() -> str:
    # 32 letters: five bits of each byte, without a bias
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in crypto.random_bytes(GROUPS * GROUP))


def _digest(user_id: str, code: str) -> bytes:
    return crypto.digest(f"recovery-code/{user_id}/{code}")
