"""The sessions that a person can see and end."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, select

from .. import acr, clock
from ..db import Database, table_of
from ..models.authorization import Authorization
from ..models.session import Session
from .session_view import SessionView, view_of

sessions = table_of(Session)
authorizations = table_of(Authorization)

NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Part:
    """``most`` of a list from ``first`` on, the session of the sid ``own`` being its first."""

    first: int
    most: int
    own: str


def listed(database: Database, user_id: str, idle: int, part: Part) -> list[SessionView]:
    """Live sessions, and those idle for more than ``idle`` seconds that still carry authorizations."""
    now = clock.now()
    carries = (
        select(authorizations.c.gid)
        .where(
            authorizations.c.sid == sessions.c.sid,
            authorizations.c.ended_at.is_(None),
            authorizations.c.expires_at > now,
            ~authorizations.c.offline,
        )
        .exists()
    )
    live = seen(user_id, now, idle)
    mine = (sessions.c.user_id == user_id) & sessions.c.ended_at.is_(None)
    query = (
        select(sessions, live.label("active"))
        .where(mine, live | carries)
        .order_by((sessions.c.sid == part.own).desc(), sessions.c.last_seen_at.desc())
        .order_by(sessions.c.created_at.desc(), sessions.c.sid)
        .limit(part.most)
        .offset(part.first)
    )
    with database.reading() as connection:
        return [view_of(row, bool(row["active"])) for row in connection.execute(query).mappings()]


def seen(user_id: str, now: int, idle: int) -> ColumnElement[bool]:
    """Sessions of the person that live."""
    return and_(
        sessions.c.user_id == user_id,
        sessions.c.ended_at.is_(None),
        sessions.c.expires_at > now,
        sessions.c.last_seen_at > now - idle,
    )


def complete() -> ColumnElement[int]:
    """1 for a session that counts, 0 for one that waits for a second factor or for its device."""
    reached = sessions.c.demand.in_(("", acr.PASSWORD)) | (sessions.c.acr == sessions.c.demand)
    reached |= sessions.c.acr == acr.PHISHING_RESISTANT
    return case((reached & ~sessions.c.confirm, 1), else_=0)
