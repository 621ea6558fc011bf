"""Changes of an account that need a session which has just proved all that its person can prove."""

from __future__ import annotations

from ..audit import Audit, Entry, Event
from .mfa import Mfa
from .session_view import SessionView


def fresh_for(change: str, session: SessionView, mfa: Mfa, audit: Audit) -> bool:
    """Whether the session may make this ``change`` of its person's account; a refusal is on record."""
    user_id = session.user_id
    if mfa.fresh(session, mfa.factors(user_id)):
        return True
    detail = {"change": change}
    audit.record(
        Entry(Event.ACCOUNT_CHANGE_REJECTED, "denied", "session_stale", user_id=user_id, detail=detail)
    )
    return False
