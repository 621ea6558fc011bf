"""What the pages of an account have in common."""

from __future__ import annotations

from flask import Blueprint, request

from ...login import SessionView
from ...texts import Text
from ...users import UserRecord
from ..guards import current_session, services

blueprint = Blueprint("account", __name__)

PURPOSE = "account"
BACK = ("/account", Text("Your account"))


def here() -> tuple[SessionView, UserRecord] | None:
    """The session of this browser and whose it is; None if nobody is signed in."""
    session = current_session()
    user = None if session is None else services().users.get(session.user_id)
    return None if session is None or user is None else (session, user)


def notice(notices: dict[str, Text]) -> Text | None:
    """What this address wants to be told, if it is one of ``notices``."""
    return notices.get(request.args.get("notice", ""))
