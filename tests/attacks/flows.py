"""The ways that honest people go in the cases: log in, allow, and what a client makes of the code.

A step of a case names one: ``{login: alice}``, ``{code: c, client: web1}``, ``{tokens: t, user: bob}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plugins.factors import fresh_code, give_apps

from .browsers import answer, first_account, forms
from .wire import USUAL, Reply

if TYPE_CHECKING:
    from .runner import Run

# what a macro changes is not counted: the steps around it are
ANYWHERE: dict[str, Any] = {"status": [200, 303], "rows": None}


def log_in(run: Run, name: str, browser: str = "", address: str = USUAL) -> None:
    """The browser has a session of the person."""
    place = {"browser": browser or name, "address": address}
    run.send(ANYWHERE, send="GET /login", **place)
    _submit_login(run, name, {"status": 303, "rows": None, "audit": ["login.succeeded"]}, place)


def code(
    run: Run,
    client: str = "web1",
    user: str = "alice",
    browser: str = "",
    changes: dict[str, str] | None = None,
    address: str = USUAL,
) -> dict[str, str]:
    """The parameters of an authorization response with a code; who must log in does, who is asked allows."""
    place = {"browser": browser or user, "address": address}
    asked = {"send": "GET /authorize", "base": "AZ", "client": client, "set": changes or {}}
    if "authorization_details" in (changes or {}):
        # a payment is approved by an authenticator app
        run.person(user)
        give_apps(run.world.services)
    reply = run.send(ANYWHERE, **asked, follow=True, **place)
    for _ in range(3):
        if (found := answer(reply)) is not None:
            assert "code" in found[1], found
            return found[1]
        reply = _go_on(run, user, reply, place)
    raise AssertionError(f"no code came: {reply.status} {reply.text[:400]}")


def tokens(
    run: Run,
    client: str = "web1",
    verifier: str = "{V1}",
    changes: dict[str, str] | None = None,
    **who: str,
) -> dict[str, Any]:
    """The token response for a new code, the code with it."""
    changes = changes or {}
    given = code(run, client, changes=changes, **who)
    form = {
        "grant_type": "authorization_code",
        "code": given["code"],
        "redirect_uri": changes.get("redirect_uri", run.asked(client)["redirect_uri"]),
        "code_verifier": verifier,
    }
    expect = {"status": 200, "issued": 1, "rows": None, "audit": ["token.issued"]}
    sent = {"send": "POST /token", "as": client, "form": form, "address": who.get("address", USUAL)}
    return dict(run.send(expect, **sent).json) | {"code": given["code"]}


def _go_on(run: Run, user: str, reply: Reply, place: dict[str, str]) -> Reply:
    if "/login" in forms(reply):
        return _submit_login(run, user, ANYWHERE | {"audit": ["login.succeeded"]}, place, follow=True)
    if "/mfa" in forms(reply):
        fill = {"code": app_code(run, user)}
        return run.send(ANYWHERE, send="POST /mfa", fill=fill, follow=True, **place)
    fill = {"decision": "approve"} | first_account(reply)
    if 'name="code"' in reply.text:
        fill["code"] = app_code(run, user)
    return run.send(ANYWHERE, send="POST /consent", fill=fill, follow=True, **place)


def app_code(run: Run, user: str = "alice") -> str:
    """What the person's authenticator app says, as if they had not used it before."""
    return fresh_code(run.world.services, run.person(user).user_id)


def _submit_login(
    run: Run, name: str, expect: dict[str, Any], place: dict[str, str], *, follow: bool = False
) -> Reply:
    person = run.person(name)
    fill = {"username": person.username, "password": person.password}
    return run.send(expect, send="POST /login", fill=fill, follow=follow, **place)
