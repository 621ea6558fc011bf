"""What is personal in an event, and how it rests: under the person's key, before MAC and chain are made.

So the log verifies without any person's key, and after the key is destroyed as well as before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from .. import compact_json, crypto
from .person_keys import PersonKeys

# members of an event's detail that tell where somebody is, what they use, and how unlike them that is
PERSONAL = frozenset({
    "address", "asn", "city", "country", "device", "latitude", "longitude", "moved", "network", "place",
    "points", "reasons", "region", "surprise", "user_agent",
})  # fmt: skip
SEALED = "sealed"
# what stands in the place of an address that was erased
ERASED = "erased"
MAX_USER_AGENT = 200


def under(key: bytes | None, row: dict[str, Any], user_agent: str) -> dict[str, Any]:
    """The row as it rests: personal values under the person's ``key``, gone where that was destroyed."""
    detail = {name: value for name, value in row["detail"].items() if name not in PERSONAL}
    if key is not None:
        told = {name: value for name, value in row["detail"].items() if name in PERSONAL}
        told |= {"client_ip": row["client_ip"]} if row["client_ip"] else {}
        told |= {"user_agent": user_agent[:MAX_USER_AGENT]} if user_agent else {}
        if told:
            detail[SEALED] = crypto.seal_under(key, compact_json.encode(told), _place(row["user_id"]))
    return row | {"client_ip": "", "detail": detail}


def opened(people: PersonKeys, connection: Connection, rows: Iterable[Any]) -> list[dict[str, Any]]:
    """``rows`` for people to read: what was under keys is open again, and told as erased without them.

    What was written before there were such keys is as it was.
    """
    found = [dict(row) for row in rows]
    keys = people.existing(connection, {row["user_id"] for row in found if SEALED in row["detail"]})
    return [_opened(row, keys.get(row["user_id"])) for row in found]


def _opened(row: dict[str, Any], key: bytes | None) -> dict[str, Any]:
    sealed = row["detail"].get(SEALED)
    if not isinstance(sealed, str):
        return row
    detail = {name: value for name, value in row["detail"].items() if name != SEALED}
    try:
        told = {} if key is None else json.loads(crypto.open_under(key, sealed, _place(row["user_id"])))
    except crypto.SealBroken:
        # a row that somebody changed: verification says so
        told = {}
    client_ip = told.pop("client_ip", "" if told else ERASED)
    return row | {"client_ip": client_ip, "detail": detail | told}


def _place(user_id: str) -> str:
    return f"audit_event/detail/{user_id}"
