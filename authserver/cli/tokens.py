"""authserver tokens: what a token is, and ending what was given out."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ..errors import Invalid, NotDone
from ..oauth.inspection import Inspection
from ..oauth.recall import Recall
from ..services import Services
from .clients import must_know
from .rooms import json_option, open_rooms, show
from .users import find_user

# longer is nobody's token
MAX_BYTES = 16_384
JTI = re.compile(r"[A-Za-z0-9_-]{8,128}")
TIMES = ("iat", "exp")


@click.group()
def tokens() -> None:
    """Tell what a token is, and revoke tokens. A token is read from a file or standard input, never typed."""


@tokens.command()
@click.argument("file", default="-")
@json_option
def inspect(file: str, as_json: bool) -> None:
    """Tell whether a token counts, why not, and whose it is. FILE holds it; without one, standard input.

    Takes access tokens, refresh tokens and codes, and changes nothing. Exits 0 if it counts, 1 if not.

    \b
    Examples:
      authserver tokens inspect token.txt
      authserver tokens inspect --json < token.txt
    """
    services = open_rooms()
    told = _inspection(services).of(_read(file))
    show(told, as_json, "\n".join(f"{name}: {_in_words(name, value)}" for name, value in told.items()))
    if not told["active"]:
        sys.exit(1)


@tokens.command()
@click.argument("file", default="")
@click.option("--jti", help="The access token of this id, as in the audit log.")
@click.option("--gid", help="One authorization with all its tokens, as in a token or the audit log.")
@click.option("--client", "client_id", help="All that a client holds.")
@click.option("--user", help="All that clients hold for a person; offline access, too.")
@json_option
def revoke(file: str, as_json: bool, **by: str | None) -> None:
    """Revoke a token (in FILE, or - for standard input), or all that one option names.

    Who asks (introspection) knows at once, who polls /revocations within a second. A client or person
    gets new ones as before: suspend or disable them first if they shall not.

    \b
    Examples:
      authserver tokens revoke - < token.txt
      authserver tokens revoke --jti 0bV6mVVpNwQzUl9nMSpd4g
      authserver tokens revoke --client demo-merchant
      authserver tokens revoke --user alice
    """
    given = {name: value for name, value in by.items() if value is not None}
    if len(given) + bool(file) != 1:
        raise Invalid("Name one of FILE, --jti, --gid, --client and --user; FILE is - for standard input.")
    services = open_rooms()
    recall = Recall(
        services.settings, services.database, services.authorizations, services.revocations, services.audit
    )
    if file:
        told = _revoke_token(services, recall, _read(file))
    else:
        ((name, value),) = given.items()
        told = _BY[name](services, recall, str(value))
    services.versions.forget()
    show(told, as_json, _sentence(told))


def _revoke_token(services: Services, recall: Recall, text: str) -> dict[str, Any]:
    found = _inspection(services).of(text)
    if found["kind"] == "unknown":
        raise NotDone(
            f"This is no token of this server ({found['reason']}); nothing was changed. "
            "Is it whole, and is AUTHSERVER_ISSUER the issuer's that gave it?"
        )
    if found["kind"] != "access_token":
        return {"gid": found["gid"], "ended": int(recall.authorization(found["gid"]))}
    return {"jti": found["jti"], "ended": int(recall.token(found["jti"], found["client_id"]))}


def _by_jti(services: Services, recall: Recall, jti: str) -> dict[str, Any]:
    if not JTI.fullmatch(jti):
        raise Invalid("A jti is 8 to 128 letters, digits, - and _; a whole token goes into a file.")
    client_id = recall.client_of(jti)
    ended = int(recall.token(jti, client_id or ""))
    return {"jti": jti, "ended": ended, "client_id": client_id}


def _by_gid(services: Services, recall: Recall, gid: str) -> dict[str, Any]:
    if not recall.authorization(gid):
        raise NotDone("There is no authorization of this gid that has not ended yet.")
    return {"gid": gid, "ended": 1}


def _by_client(services: Services, recall: Recall, client_id: str) -> dict[str, Any]:
    must_know(services, client_id)
    authorizations, own = recall.of_client(client_id)
    return {"client_id": client_id, "ended": authorizations + own, "authorizations": authorizations}


def _by_user(services: Services, recall: Recall, name: str) -> dict[str, Any]:
    user = find_user(services, name)
    return {"username": user.username, "ended": recall.of_user(user.user_id)}


_BY: dict[str, Callable[[Services, Recall, str], dict[str, Any]]] = {
    "jti": _by_jti,
    "gid": _by_gid,
    "client_id": _by_client,
    "user": _by_user,
}


def _sentence(told: dict[str, Any]) -> str:
    if "jti" in told:
        known = "" if told.get("client_id", "") is not None else " No token of the last hour has this jti."
        return f"{told['jti']} is revoked.{known}" if told["ended"] else f"{told['jti']} was revoked already."
    if "gid" in told:
        return f"{told['gid']} has ended." if told["ended"] else f"{told['gid']} had ended already."
    if "username" in told:
        return f"{told['ended']} authorizations of {told['username']} have ended."
    own = told["ended"] - told["authorizations"]
    return f"{told['authorizations']} authorizations and {own} tokens of {told['client_id']} have ended."


def _inspection(services: Services) -> Inspection:
    return Inspection(services.server.tokens, services.server.single_use)


def _read(file: str) -> str:
    """The token in ``file``; on a terminal it is asked for and not shown."""
    if file == "-":
        if sys.stdin.isatty():
            text = click.prompt("Token", hide_input=True, err=True)
        else:
            given = sys.stdin.buffer.read(MAX_BYTES + 1)
            text = given.decode("ascii", "replace")
    else:
        try:
            with Path(file).open("rb") as opened:
                text = opened.read(MAX_BYTES + 1).decode("ascii", "replace")
        except (OSError, ValueError):
            # the name may be the token itself: it is not said again
            raise Invalid("FILE cannot be read. It is a file that holds the token, or - for stdin.") from None
    text = text.strip()
    if not text or len(text) > MAX_BYTES:
        raise Invalid(f"A token is 1 to {MAX_BYTES} characters.")
    return str(text)


def _in_words(name: str, value: Any) -> str:
    if name in TIMES:
        return f"{value} ({datetime.fromtimestamp(value, UTC).isoformat()})"
    return value if isinstance(value, str) else json.dumps(value)
