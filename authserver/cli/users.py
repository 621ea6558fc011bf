"""authserver users: invite people, let them set passwords, end their access."""

from __future__ import annotations

from typing import Any

import click

from ..errors import Invalid, NotDone
from ..services import Services
from ..users import LINK_SECONDS, UserRecord
from ..users.registry import NO_SUCH_USER
from .rooms import json_option, open_rooms, show, table

COLUMNS = ["username", "email", "name", "state", "user_id"]
SESSION_COLUMNS = ["sid", "active", "client_ip", "acr", "auth_time", "last_seen_at", "user_agent"]


@click.group()
def users() -> None:
    """Invite people, and change their access while the server runs. USER is a user name or e-mail address."""


@users.command()
@click.option("--username", required=True, help="The name they sign in with; without @ and spaces.")
@click.option("--email", default=None, help="An e-mail address that they can sign in with, too.")
@click.option("--name", default=None, help="The name that pages show; the user name if left out.")
@json_option
def create(username: str, email: str | None, name: str | None, as_json: bool) -> None:
    """Invite a person. Prints the link by which they set a password: once, for seven days.

    \b
    Example:
      authserver users create --username alice --email alice@example.com --name "Alice Adams"
    """
    services = open_rooms()
    user = services.users.create(username, email, name)
    _show_link(services, user, "enrol", as_json)


@users.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Everybody.

    \b
    Example:
      authserver users list --json
    """
    rows = [_row(user) for user in open_rooms().users.all()]
    show(rows, as_json, table(rows, COLUMNS))


@users.command("show")
@click.argument("user")
@json_option
def show_(user: str, as_json: bool) -> None:
    """All about one person but their password.

    \b
    Example:
      authserver users show alice
    """
    row = _row(find_user(open_rooms(), user))
    show(row, as_json, "\n".join(f"{name}: {value}" for name, value in row.items()))


@users.command()
@click.argument("user")
@json_option
def disable(user: str, as_json: bool) -> None:
    """The person is signed out and gets nothing any more, on every worker within a second.

    \b
    Example:
      authserver users disable alice
    """
    services = open_rooms()
    known = find_user(services, user)
    services.users.disable(known.user_id)
    show({"username": known.username, "state": "disabled"}, as_json, f"{known.username} is disabled.")


@users.command()
@click.argument("user")
@json_option
def enable(user: str, as_json: bool) -> None:
    """A disabled person may sign in again.

    \b
    Example:
      authserver users enable alice
    """
    services = open_rooms()
    known = find_user(services, user)
    # first: once they are enabled, a wish to be erased whose time is over is carried out within a minute
    services.erasure.wait_anew(known.user_id)
    services.users.enable(known.user_id)
    state = services.users.must(known.user_id).state
    show({"username": known.username, "state": state}, as_json, f"{known.username} is {state}.")


@users.command()
@click.argument("user")
@click.option("--group", "names", multiple=True, help="A group they are in from now on; repeat for more.")
@click.option("--none", is_flag=True, help="They are in no group from now on.")
@json_option
def groups(user: str, names: tuple[str, ...], none: bool, as_json: bool) -> None:
    """Show the groups of the person, or put them into these and no others.

    The policy of second factors knows people by them.

    \b
    Example:
      authserver users groups alice --group operators
    """
    services = open_rooms()
    known = find_user(services, user)
    kept = services.users.set_groups(known.user_id, names) if names or none else list(known.groups)
    told = ", ".join(kept) or "no group"
    show({"username": known.username, "groups": kept}, as_json, f"{known.username} is in {told}.")


@users.command()
@click.argument("user")
@click.argument("address")
@json_option
def email(user: str, address: str, as_json: bool) -> None:
    """Change the person's e-mail address; the one before is told by mail.

    Links and codes that were sent to it no longer work.

    \b
    Example:
      authserver users email alice alice@example.org
    """
    services = open_rooms()
    known = find_user(services, user)
    services.contacts.set_email(known.user_id, address)
    kept = services.users.must(known.user_id).email
    show({"username": known.username, "email": kept}, as_json, f"Mails to {known.username} go to {kept}.")


@users.command()
@click.argument("user")
@click.option("--number", default=None, help="With the country's code; text messages stop if left out.")
@json_option
def phone(user: str, number: str | None, as_json: bool) -> None:
    """Change the telephone number that text messages to the person go to.

    \b
    Example:
      authserver users phone alice --number "+49 151 23456789"
    """
    services = open_rooms()
    known = find_user(services, user)
    services.contacts.set_phone(known.user_id, number)
    kept = services.users.must(known.user_id).phone
    told = f"Text messages to {known.username} go to {kept or 'no number'}."
    show({"username": known.username, "phone": kept}, as_json, told)


@users.command()
@click.argument("user")
@json_option
def reset(user: str, as_json: bool) -> None:
    """Print a link by which the person sets a new password: once, for 30 minutes; seven days if invited.

    Once it is used, whatever was signed in before has ended.

    \b
    Example:
      authserver users reset alice
    """
    services = open_rooms()
    known = find_user(services, user)
    _show_link(services, known, "enrol" if known.state == "invited" else "reset", as_json)


@users.command("reset-factors")
@click.argument("user")
@json_option
def reset_factors(user: str, as_json: bool) -> None:
    """Take all second factors from a person who has lost them; they are signed out and told by mail.

    Make sure first that it is the person who asks. The password stays.

    \b
    Example:
      authserver users reset-factors alice
    """
    services = open_rooms()
    known = find_user(services, user)
    had = services.factor_changes.reset(known.user_id)
    words = "has no second factor any more" if had else "had no second factor"
    show({"username": known.username, "reset": had}, as_json, f"{known.username} {words}.")


@users.command()
@click.argument("user")
@click.option("--yes", is_flag=True, help="It cannot be undone: do it all the same.")
@json_option
def erase(user: str, yes: bool, as_json: bool) -> None:
    """Erase a person at once: their name, addresses, factors, consents and sessions.

    What is personal in the audit log can be read by nobody any more; the log stays whole. Payments that they
    approved stay for as long as they may be disputed. It cannot be undone.

    \b
    Example:
      authserver users erase alice --yes
    """
    if not yes:
        raise Invalid("This cannot be undone. Say --yes if it shall be done.")
    services = open_rooms()
    known = find_user(services, user)
    services.erasure.erase(known.user_id)
    told = {"user_id": known.user_id, "state": "erased"}
    show(told, as_json, f"Erased. What is kept names {known.user_id} alone.")


@users.command()
@click.argument("user")
@json_option
def sessions(user: str, as_json: bool) -> None:
    """Where the person is signed in.

    \b
    Example:
      authserver users sessions alice
    """
    services = open_rooms()
    rows = session_rows(services, find_user(services, user).user_id)
    show(rows, as_json, table(rows, SESSION_COLUMNS))


@users.command("end-sessions")
@click.argument("user")
@json_option
def end_sessions(user: str, as_json: bool) -> None:
    """The person is signed out everywhere.

    \b
    Example:
      authserver users end-sessions alice
    """
    services = open_rooms()
    known = find_user(services, user)
    count = services.sessions.end_all(known.user_id, "by_operator")
    show({"username": known.username, "ended": count}, as_json, f"{count} sessions have ended.")


def session_rows(services: Services, user_id: str) -> list[dict[str, Any]]:
    """The person's sessions as they are shown."""
    return [{name: getattr(one, name) for name in SESSION_COLUMNS} for one in services.sessions.list(user_id)]


def find_user(services: Services, login_name: str) -> UserRecord:
    """The person of a user name or e-mail address; NotDone if there is none."""
    user = services.users.find(login_name)
    if user is None:
        raise NotDone(f"{NO_SUCH_USER} See `authserver users list`.")
    return user


def _show_link(services: Services, user: UserRecord, purpose: str, as_json: bool) -> None:
    token = services.links.make(user.user_id, purpose)
    link = f"{services.settings.issuer}/enrol?token={token}"
    told = {"user_id": user.user_id, "username": user.username, "link": link, "purpose": purpose}
    hours = LINK_SECONDS[purpose] / 3600
    show(
        told | {"expires_in": LINK_SECONDS[purpose]},
        as_json,
        f"user_id: {user.user_id}\nlink: {link}\n(works once, for {hours:g} hours; shown only now)",
    )


def _row(user: UserRecord) -> dict[str, Any]:
    return {
        "username": user.username,
        "email": user.email,
        "email_verified": user.email_verified_at is not None,
        "phone": user.phone,
        "name": user.name,
        "state": user.state,
        "groups": list(user.groups),
        "user_id": user.user_id,
        "failures": user.failures,
        "locked_until": user.locked_until,
    }
