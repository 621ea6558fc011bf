"""What is known of a session, and of the login that starts one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SessionView:
    """A session. ``digest`` is that of its cookie; ``auth_time`` is when the person last proved it.

    One that is not ``active`` reads nobody's pages any more, but what was opened from it goes on.
    """

    sid: str
    user_id: str
    acr: str
    amr: tuple[str, ...]
    auth_time: int
    created_at: int
    last_seen_at: int
    client_ip: str
    user_agent: str
    digest: bytes
    active: bool = True


@dataclass(frozen=True)
class Login:
    """How a person has just proved who they are, and from where."""

    user_id: str
    acr: str
    amr: tuple[str, ...]
    client_ip: str
    user_agent: str


def view_of(row: Any, active: bool = True) -> SessionView:
    """The session in a row."""
    names = ("sid", "user_id", "acr", "auth_time", "created_at", "last_seen_at", "client_ip", "user_agent")
    own = {name: row[name] for name in names}
    return SessionView(amr=tuple(row["amr"]), digest=row["digest"], active=active, **own)
