"""The person's own page: who they are here, what they allow and approved, where they are signed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from babel.dates import format_date
from flask import Blueprint, Response, request
from markupsafe import Markup

from ..clients import ClientRecord, login_uris
from ..ip_allowlist import network_of
from ..login.user_agent import describe
from ..oauth.consent import Allowed
from ..texts import Text
from . import csrf
from .guards import (
    BROWSER,
    SESSION,
    come_back_to,
    current_session,
    drop_cookie,
    language,
    login_redirect,
    page,
    see_other,
    services,
    show,
    translated,
)

blueprint = Blueprint("account", __name__)

PURPOSE = "account"
BACK = ("/account", Text("Your account"))
# of each list
PER_PAGE = 10
LAST_PAGE = 1000
LISTS = ("allowed", "payments", "sessions")
NOTICES = {
    "payment_withdrawn": Text(
        "Your approval is withdrawn. The application can no longer use it. "
        "A payment that was made already is not undone by this."
    ),
    "session_ended": Text("That session has ended."),
    "password_changed": Text("Your password is changed. Everything else that was signed in has ended."),
}
# about a client, once it is true of it
NOTICES_OF_CLIENTS = {
    "withdrawn": Text("%(name)s may do nothing for you any more without asking again.", name=""),
}
# English as the British write it: no date here may be read as another
FORMATS = {"en": "en_GB"}
LOOPBACK = ("127.0.0.1", "::1")
STATES = {
    "waiting": Text("Approved, not yet fetched by the application"),
    "fetched": Text("Approved and fetched by the application"),
    "missed": Text("Never fetched by the application, and over"),
    "ended": Text("Withdrawn or ended"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One page of a list, and the numbers of the pages beside it; None where there is none."""

    entries: Sequence[Any]
    number: int
    before: int | None
    after: int | None


@blueprint.app_template_filter("day")
def day(seconds: int) -> Markup:
    """A Unix time as a day for people: 24 November 2026 (UTC)."""
    return _time(seconds, "")


@blueprint.app_template_filter("moment")
def moment(seconds: int) -> Markup:
    """A Unix time for people: 24 November 2026, 14:05 UTC."""
    return _time(seconds, f", {datetime.fromtimestamp(seconds, UTC):%H:%M} UTC")


@blueprint.app_template_filter("device")
def device(user_agent: str) -> str:
    """A browser in words; nothing of what it sent is in them."""
    return translated(describe(user_agent))


@blueprint.app_template_filter("place")
def place(address: str) -> str:
    """Where an address is, as far as it is known."""
    if address in LOOPBACK:
        return translated(Text("this machine"))
    network = network_of(address)
    known = Text("addresses %(network)s", network=network) if network else Text("an unknown address")
    return translated(known)


@blueprint.get("/account", provide_automatic_options=False)
def home() -> Response:
    """The account of whoever is logged in."""
    session, rooms = current_session(), services()
    user = None if session is None else rooms.users.get(session.user_id)
    if session is None or user is None:
        return login_redirect()
    numbers = {name: _number(name) for name in LISTS}
    # not a notice: that was said once
    come_back_to("/account" + _query(numbers))
    return show(
        "account.html",
        user=user,
        session=session,
        allowed=_part("allowed", lambda first, most: _allowed(user.user_id, first, most)),
        payments=_part("payments", lambda first, most: _payments(user.user_id, first, most)),
        sessions=_part(
            "sessions", lambda first, most: rooms.sessions.list(user.user_id, first, most, session.sid)
        ),
        turn=lambda name, number: f"/account{_query(numbers | {name: number})}#{name}",
        notice=_notice(user.user_id),
    )


@blueprint.post("/account/consents/withdraw", provide_automatic_options=False)
def withdraw() -> Response:
    """A client may do nothing more in the person's name, and all that it held has ended."""
    fields = csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    client_id = fields.get("client_id", "")
    if not services().consents.withdraw(session.user_id, client_id):
        title = Text("There is nothing to withdraw")
        return page(404, title, Text("It was withdrawn already."), BACK)
    return see_other(f"/account?notice=withdrawn&client={quote(client_id, safe='')}")


@blueprint.post("/account/payments/withdraw", provide_automatic_options=False)
def withdraw_payment() -> Response:
    """A payment that the person approved can no longer be made by it."""
    fields = csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    if not services().approved_payments.withdraw(session.user_id, fields.get("payment", "")):
        text = Text("It was withdrawn, or its time is over. Ask the payee about a payment that was made.")
        return page(404, Text("There is nothing to withdraw"), text, BACK)
    return see_other("/account?notice=payment_withdrawn")


@blueprint.post("/account/sessions/end", provide_automatic_options=False)
def end_session() -> Response:
    """One of the person's own sessions has ended."""
    fields = csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    if not services().sessions.end(fields.get("sid", ""), "by_user", session.user_id):
        return page(404, Text("There is no such session"), Text("It has ended already."), BACK)
    return see_other("/account?notice=session_ended")


@blueprint.post("/account/sessions/end-all", provide_automatic_options=False)
def end_all_sessions() -> Response:
    """Every session of the person has ended, this one with them."""
    csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    services().sessions.end_all(session.user_id, "by_user")
    response = see_other("/login?notice=signed_out_everywhere")
    drop_cookie(response, SESSION)
    drop_cookie(response, BROWSER)
    csrf.renew()
    return response


def _time(seconds: int, clock_time: str) -> Markup:
    date = datetime.fromtimestamp(seconds, UTC).date()
    words = format_date(date, "long", locale=FORMATS.get(language(), language()))
    return Markup('<time datetime="{}">{}</time>').format(date.isoformat(), words + clock_time)


def _number(name: str) -> int:
    """The page of a list that is asked for; the first one for anything that is no such number."""
    text = request.args.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 1
    return number if 1 <= number <= LAST_PAGE else 1


def _query(numbers: dict[str, int]) -> str:
    turned = "&".join(f"{name}={number}" for name, number in numbers.items() if number > 1)
    return f"?{turned}" if turned else ""


def _part(name: str, read: Callable[[int, int], Sequence[Any]]) -> Part:
    """The page of a list that is asked for; ``read`` takes where it begins and how many to give."""
    number = _number(name)
    found = read((number - 1) * PER_PAGE, PER_PAGE + 1)
    more = len(found) > PER_PAGE and number < LAST_PAGE
    before = number - 1 if number > 1 else None
    return Part(found[:PER_PAGE], number, before, number + 1 if more else None)


def _notice(user_id: str) -> str:
    name = request.args.get("notice", "")
    if name not in NOTICES_OF_CLIENTS:
        return translated(NOTICES.get(name, ""))
    # a link can name any client: it is told only of one that this person withdrew from
    client = services().clients.get(request.args.get("client", ""))
    if client is None or not services().consents.ended(user_id, client.client_id):
        return ""
    return translated(Text(NOTICES_OF_CLIENTS[name].message, name=client.client_name))


def _allowed(user_id: str, first: int, most: int) -> list[dict[str, Any]]:
    """Each client that the person allows something, and in words what."""
    return [_client(one.client_id) | _in_words(one) for one in services().consents.of(user_id, first, most)]


def _begins(client: ClientRecord | None) -> str | None:
    """Where a login at the client begins, if it said so and is active (OpenID Connect Core §4)."""
    if client is None or not client.active or client.initiate_login_uri is None:
        return None
    return login_uris.begin(client.initiate_login_uri, services().settings.issuer)


def _in_words(allowed: Allowed) -> dict[str, Any]:
    known = services().scopes.all()
    return {
        "sentences": [known[name].sentence(language()) for name in allowed.scopes if name in known],
        "since": allowed.since,
        "last_used": allowed.last_used,
    }


def _payments(user_id: str, first: int, most: int) -> list[dict[str, Any]]:
    """Each payment that the person approved, and what became of it."""
    return [
        _client(one.client_id)
        | {"id": one.gid, "when": one.created_at, "open": one.open, "state": translated(STATES[one.state])}
        | one.payment
        for one in services().approved_payments.of(user_id, first, most)
    ]


def _client(client_id: str) -> dict[str, Any]:
    """What lists tell of an application; clients of one name are told apart by where they send people."""
    client = services().clients.get(client_id)
    if client is None:
        return {"client_id": client_id, "name": client_id, "place": "", "begins": None}
    return {
        "client_id": client_id,
        "name": client.client_name,
        "place": translated(client.place),
        "begins": _begins(client),
    }
