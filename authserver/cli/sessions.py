"""authserver sessions: where people are signed in, and ending it."""

from __future__ import annotations

import click

from ..errors import Invalid, NotDone
from .rooms import CommandOfIds, json_option, open_rooms, show, table
from .users import SESSION_COLUMNS, find_user, session_rows


@click.group()
def sessions() -> None:
    """List and end the sessions of people's browsers. USER is a user name or e-mail address."""


@sessions.command("list")
@click.argument("user")
@json_option
def list_(user: str, as_json: bool) -> None:
    """Where a person is signed in, the one seen last first.

    One that is not active reads nobody's pages any more; what was opened from it goes on until it ends.

    \b
    Example:
      authserver sessions list alice
    """
    services = open_rooms()
    rows = session_rows(services, find_user(services, user).user_id)
    show(rows, as_json, table(rows, SESSION_COLUMNS))


@sessions.command(cls=CommandOfIds)
@click.argument("sid", required=False)
@click.option("--user", help="All of a person's sessions.")
@json_option
def end(sid: str | None, user: str | None, as_json: bool) -> None:
    """End one session, or all of a person. Clients hear of it; what they hold ends, but for offline access.

    \b
    Examples:
      authserver sessions end k3FQ2m9cXb0a7pTzVw1yLg
      authserver sessions end --user alice
    """
    if (sid is None) == (user is None):
        raise Invalid("Name one session by its SID, or all of a person with --user.")
    services = open_rooms()
    if sid is not None:
        if not services.sessions.end(sid, "by_operator"):
            raise NotDone("There is no such session that has not ended; see `authserver sessions list USER`.")
        show({"sid": sid, "ended": 1}, as_json, f"{sid} has ended.")
        return
    known = find_user(services, str(user))
    count = services.sessions.end_all(known.user_id, "by_operator")
    told = {"username": known.username, "ended": count}
    show(told, as_json, f"{count} sessions of {known.username} have ended.")
