"""What happened to an account, and what follows when a sign-in was not the person's own."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from ... import crypto
from ...audit.search import of_person
from ...texts import Text
from .. import csrf
from ..guards import (
    Onward,
    come_back_to,
    current_session,
    forget_session,
    login_redirect,
    page,
    see_other,
    services,
    show,
    translated,
)
from .activity_words import SHOWN, SIGN_INS, by_whom, said
from .blueprint import PURPOSE, blueprint, here

PATH = "/account/activity"
BACK = (PATH, Text("Activity"))
PER_PAGE = 20
# above every row's id
NEWEST = 2**62


@blueprint.get(PATH, provide_automatic_options=False)
def feed() -> Response:
    """What happened, the newest first; only what concerns this person."""
    found = here()
    if found is None:
        return login_redirect(Onward(then="activity"))
    user_id = found[1].user_id
    before = _opened(request.args.get("before", ""), user_id)
    come_back_to(PATH)
    rows = _rows(user_id, NEWEST if before is None else before, PER_PAGE + 1)
    older = _sealed(rows[PER_PAGE - 1]["id"], user_id) if len(rows) > PER_PAGE else None
    entries = [_told(row) for row in rows[:PER_PAGE]]
    return show("account_activity.html", entries=entries, older=older, newest=before is None)


@blueprint.get(f"{PATH}/sign-in", provide_automatic_options=False)
def sign_in() -> Response:
    """One sign-in, and the question whether it was the person's own."""
    found = here()
    if found is None:
        return login_redirect(Onward(then="activity"))
    row = _sign_in(request.args.get("entry", ""), found[1].user_id)
    come_back_to(PATH)
    return _no_such_entry() if row is None else show("account_sign_in.html", entry=_told(row))


@blueprint.post(f"{PATH}/not-me", provide_automatic_options=False)
def not_me() -> Response:
    """The sign-in was somebody else's: everything of the person is signed out, this browser with it."""
    fields = csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect(Onward(then="activity"))
    row = _sign_in(fields.get("entry", ""), session.user_id)
    if row is None:
        return _no_such_entry()
    services().recovery.start(session.user_id, row["id"])
    return forget_session(see_other(f"{PATH}/recovery"))


@blueprint.get(f"{PATH}/recovery", provide_automatic_options=False)
def recovery() -> Response:
    """What a person does next who was signed out because a sign-in was not theirs."""
    come_back_to(f"{PATH}/recovery")
    return show("recovery_started.html")


def _rows(user_id: str, before: int, count: int) -> list[dict[str, Any]]:
    rooms = services()
    with rooms.database.reading() as connection:
        return of_person(rooms.person_keys, connection, user_id, SHOWN, before, count)


def _sign_in(entry: str, user_id: str) -> dict[str, Any] | None:
    """The row of a sign-in of the person's own; None for anything else."""
    id_ = _opened(entry, user_id)
    row = next(iter(_rows(user_id, id_ + 1, 1)), None) if id_ is not None else None
    return row if row is not None and row["id"] == id_ and row["event"] in SIGN_INS else None


def _told(row: dict[str, Any]) -> dict[str, Any]:
    client = services().clients.get(row["client_id"])
    name = client.client_name if client is not None else translated(Text("an application"))
    signed_in = row["event"] in SIGN_INS
    return {
        "words": translated(said(row, name)),
        "at": row["at_ms"] // 1000,
        "refused": row["outcome"] != "succeeded",
        "by": by_whom(row),
        "device": row["detail"].get("user_agent", ""),
        "address": row["client_ip"],
        "entry": _sealed(row["id"], row["user_id"]) if signed_in else "",
    }


def _no_such_entry() -> Response:
    return page(404, Text("There is no such entry"), Text("Open the list once more."), BACK)


def _sealed(id_: int, user_id: str) -> str:
    """A row as an address names it: nobody counts by it how much happens here, or asks for another's."""
    return services().master.seal(str(id_).encode(), _place(user_id))


def _opened(entry: str, user_id: str) -> int | None:
    try:
        return int(services().master.open(entry, _place(user_id)))
    except crypto.SealBroken:
        return None


def _place(user_id: str) -> str:
    return f"activity/{user_id}"
