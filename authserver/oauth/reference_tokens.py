"""Opaque access tokens: random, resting as digests beside what a JWT in their place would say.

They have a form of their own, so that no other kind of token is looked for among them, nor they among others.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from .. import crypto, jws
from ..db import Database, table_of
from ..models.token import ReferenceToken

PREFIX = "at_"
UNKNOWN = "token_unknown"
# 256 bits in base64url after the prefix: anything else was never given out
_FORM = re.compile(r"at_[A-Za-z0-9_-]{43}")
table = table_of(ReferenceToken)
_FIND = select(table.c.claims).where(table.c.digest == bindparam("wanted"))


def make(claims: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A new token for ``claims``, and the row as which it rests."""
    text = PREFIX + crypto.random_token()
    return text, {"digest": crypto.digest(text), "claims": claims, "expires_at": claims["exp"]}


def rest_in(connection: Connection, row: dict[str, Any]) -> None:
    """The token counts once the transaction of ``connection`` commits."""
    connection.execute(insert(table).values(row))


def find(database: Database, text: str) -> dict[str, Any]:
    """What a token says; jws.Rejected for one that was never given out, or is gone."""
    claims = None
    if _FORM.fullmatch(text):
        with database.reading() as connection:
            claims = connection.execute(_FIND, {"wanted": crypto.digest(text)}).scalar()
    if claims is None:
        raise jws.Rejected(UNKNOWN)
    return dict(claims)
