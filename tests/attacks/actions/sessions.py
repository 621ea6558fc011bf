"""Sessions: planted, kept, ended, too many, and the cookies that name them."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode, urlsplit

from asking import answer, decide, follow, request_id
from plugins.factors import give_apps, sign_in
from plugins.people import PASSWORD, Browser, hidden_fields
from werkzeug.test import Client, TestResponse

from authserver import crypto

from ..runner import Run
from ._pages import (
    alike,
    browser,
    check_page,
    copy_of,
    nothing_changes,
    own_fields,
    person,
    reasons_of,
    routes,
    send,
)
from ._terminal import command
from ._walk import Walk, asked, payment, register

COOKIE = re.compile(
    r"(?P<prefix>__Host-)?(?P<name>sid|csrf|browser|device)=(?P<value>[\w-]{43}|k1\.[\w-]{43}\.[\w-]{22});"
    r"(?: Expires=[^;]+; Max-Age=7776000;)?(?P<secure> Secure;)? HttpOnly; Path=/; SameSite=(?:Lax|Strict)"
)


GONE = re.compile(
    r"(?:__Host-)?(?:sid|browser)=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0;(?: Secure;)? "
    r"HttpOnly; Path=/; SameSite=Lax"
)


def planted_session(run: Run) -> None:
    """A session, form cookie and request planted in a browser are worth nothing after a login."""
    alice = person(run)
    person(run, "mallory")
    register(run, "shop")
    mallory, held = browser(run, "mallory"), browser(run)
    waiting = mallory.get(f"/authorize?{urlencode(asked('shop'))}")
    id_ = request_id(waiting)
    mallory.get(waiting.headers["Location"])
    planted = {name: mallory.cookie(name) or "" for name in ("sid", "csrf", "browser")}
    form = hidden_fields(mallory.get(f"/login?request={id_}").text, "/login")
    for name, value in planted.items():
        assert value
        held.set_cookie(name, value)
    done = held.post("/login", form | {"username": "alice", "password": PASSWORD})
    assert (done.status_code, done.location) == (303, f"/authorize/resume?request={id_}")
    assert {"session.created/", "session.rotated/other_user"} <= set(reasons_of(run, done))
    assert held.cookie("sid") != planted["sid"]
    assert held.cookie("csrf") != planted["csrf"]
    assert "Alice" in held.get("/account").text
    # what mallory still holds is nobody's
    assert mallory.get("/account").location == "/login"
    thief = browser(run)
    for name, value in planted.items():
        thief.set_cookie(name, value)
    assert thief.get("/account").location == "/login"
    assert thief.get(f"/authorize/resume?request={id_}").status_code == 403
    with nothing_changes(run):
        for action, more in (
            ("/consent", {"txn": id_, "decision": "approve"}),
            ("/account/sessions/end", {}),
        ):
            assert thief.post(action, form | more).status_code in (303, 403)
    # her first form after the login is made anew
    with nothing_changes(run):
        refused = held.post("/logout", form)
        assert (refused.status_code, reasons_of(run, refused)) == (403, ["csrf.rejected/token"])
    assert len(run.world.services.sessions.list(alice)) == 1


def sessions_of_no_server(run: Run, values: list[str]) -> None:
    """A value that the server never gave is not kept, nor does it break anything."""
    person(run)
    for value in values:
        held = browser(run)
        for name in ("sid", "csrf", "browser"):
            held.set_cookie(name, value)
        assert held.get("/account").location == "/login", value
        assert held.get("/consent").status_code == 400
        assert held.log_in().status_code == 303
        assert (held.cookie("sid") or "") not in ("", value)
        assert held.get("/account").status_code == 200
        assert held.submit(held.get("/logout"), "/logout").status_code == 200


def renewed_at_every_login(run: Run) -> None:
    """Logging in again gives another cookie; the one before opens nothing, in any browser."""
    alice = person(run)
    held = browser(run, "alice")
    before = [held.cookie("sid") or ""]
    (first,) = run.world.services.sessions.list(alice)
    for _ in range(3):
        again = held.submit(
            held.get(f"/login?request={'r' * 43}"), "/login", username="alice", password=PASSWORD
        )
        assert again.status_code == 303
        assert "session.rotated/" in reasons_of(run, again)
        before.append(held.cookie("sid") or "")
    assert len(set(before)) == 4
    for value in before[:-1]:
        old = browser(run)
        old.set_cookie("sid", value)
        assert old.get("/account").location == "/login"
    (last,) = run.world.services.sessions.list(alice)
    assert (last.sid, last.digest != first.digest) == (first.sid, True)
    assert held.get("/account").status_code == 200


def plain_names_over_https(run: Run) -> None:
    """Over https a cookie without the prefix that binds it to this very host counts for nothing."""
    person(run)
    held = Browser(run.world.app)
    assert held.log_in().status_code == 303
    host = urlsplit(held.issuer).netloc
    kept = {name: _held(held, f"__Host-{name}", host) for name in ("sid", "csrf")}
    run.secrets |= set(kept.values())
    sid, bare = kept["sid"], Client(run.world.app, TestResponse, use_cookies=False)
    for lines in (
        f"sid={sid}", f"sid={sid}; csrf={kept['csrf']}", f"__host-sid={sid}", f"__Secure-sid={sid}",
        f"Host-sid={sid}", f"__Host-SID={sid}", f"__Host-sid=x; __Host-sid={sid}", f"__Host-sid {sid}",
        f'__Host-sid="{sid}x"', f"$Version=1; sid={sid}", f"__Host-sid={sid[:-1]}", f"__Host-sid={sid}x",
        f"__Host-sid={sid.swapcase()}", f"__Host-sid=%20{sid}",
    ):  # fmt: skip
        answered = bare.get("/account", base_url=held.issuer, headers={"Cookie": lines})
        assert answered.headers["Location"] == "/login", lines
    fine = bare.get("/account", base_url=held.issuer, headers={"Cookie": f"__Host-sid={kept['sid']}"})
    assert fine.status_code == 200


def _held(held: Browser, name: str, host: str) -> str:
    found = held.client.get_cookie(name, domain=host)
    assert found is not None, name
    return found.value


def cookies_over_https(run: Run) -> None:
    """Every Set-Cookie of every page: bound to this host, for no script, opaque, short."""
    _check_cookies(run, prefix="__Host-", secure=" Secure;")


def cookies_on_loopback(run: Run) -> None:
    """On the plain http of a developer's machine alone they lack Secure and the prefix that demands it."""
    _check_cookies(run, prefix=None, secure=None)


def _check_cookies(run: Run, prefix: str | None, secure: str | None) -> None:
    seen = Walk(run).all() + [
        send(browser(run), method, r.path) for r in routes(run) for method in ("GET", "POST")
    ]
    given: dict[str, set[str]] = {}
    for answered in seen:
        for line in answered.headers.getlist("Set-Cookie"):
            assert len(line) < 4096
            if GONE.fullmatch(line):
                continue
            fits = COOKIE.fullmatch(line)
            assert fits, line
            assert (fits["prefix"], fits["secure"]) == (prefix, secure), line
            # the one that a device is known by is the only one that outlives the browser
            assert ("Max-Age" in line) == (fits["name"] == "device"), line
            given.setdefault(fits["name"], set()).add(fits["value"])
    assert set(given) == {"sid", "csrf", "browser", "device"}
    assert len(given["csrf"]) > 2 and len(given["sid"]) > 1


def idle_and_absolute(run: Run) -> None:
    """Five minutes without a person, or twelve hours with one: the password again, for a payment too."""
    person(run)
    register(run, "shop")
    held = browser(run, "alice")
    give_apps(run.world.services)
    page = follow(held, held.get(f"/authorize?{urlencode(asked('shop', **payment()))}"))
    id_ = hidden_fields(page.text, "/consent")["txn"]
    run.clock.walk(301)
    with nothing_changes(run):
        approved = decide(held, page)
        assert approved.location == f"/authorize/resume?request={id_}"
        assert held.get(str(approved.location)).location == f"/login?request={id_}"
        assert held.get("/account").location == "/login"
    (over,) = run.world.events("session.expired")
    assert (over["reason"], over["outcome"]) == ("idle", "denied")
    sign_in(held)
    for _ in range(12 * 3600 // 280 + 1):
        if held.get("/account").status_code != 200:
            break
        run.clock.walk(280)
    assert held.get("/account").location == "/login"
    assert [row["reason"] for row in run.world.events("session.expired")] == ["idle", "absolute"]


def polling_is_no_activity(run: Run) -> None:
    """What a client's page asks for by itself does not keep a person signed in."""
    person(run)
    register(run, "shop")
    held = browser(run, "alice")
    page = follow(held, held.get(f"/authorize?{urlencode(asked('shop'))}"))
    assert "code" in answer(decide(held, page))
    silent = urlencode(asked("shop", prompt="none"))
    for _ in range(5):
        run.clock.walk(59)
        assert "code" in answer(follow(held, held.get(f"/authorize?{silent}")))
        for path in ("/", "/jwks", "/static/site.css", "/healthz", "/authorize/resume?request=x"):
            send(held, "GET", path)
        for dest in ("image", "iframe", "empty", "script"):
            assert send(held, "GET", "/account", Sec_Fetch_Dest=dest).status_code == 200
    run.clock.walk(10)
    assert answer(follow(held, held.get(f"/authorize?{silent}")))["error"] == "login_required"
    assert held.get("/account").location == "/login"
    assert [row["reason"] for row in run.world.events("session.expired")] == ["idle"]


def ending_sessions(run: Run) -> None:
    """A person ends one of their own, an operator all of them; somebody else none, and learns of none."""
    services = run.world.services
    alice = person(run)
    person(run, "mallory")
    held, elsewhere, third = (browser(run, "alice") for _ in range(3))
    mallory = browser(run, "mallory")
    page = held.get("/account/sessions")
    ends = re.findall(r'name="sid" value="([^"]+)"', page.text)
    assert len(ends) == 2
    own = {s.sid for s in services.sessions.list(alice)}
    assert all(re.fullmatch(r"[\w-]{22}", sid) for sid in own)
    shown = mallory.get("/account/sessions").text
    assert not any(sid in shown for sid in own)
    crossed = own_fields(page)["/account/sessions/end"]
    with nothing_changes(run):
        answers = set()
        for sid in [*own, "x" * 22, "", "x", "' OR 1=1 --", "%", "a" * 5000]:
            # mallory has no session besides her own, and so no form to end one: her token is for the purpose
            form = {"csrf": _token_for(mallory, services, "account"), "sid": sid}
            done = mallory.post("/account/sessions/end", form)
            assert done.status_code == 404, sid
            check_page(done)
            answers.add(alike(done))
        assert len(answers) == 1
        assert mallory.post("/account/sessions/end", crossed).status_code == 403
        assert browser(run).post("/account/sessions/end", crossed).status_code == 403
    target = next(
        s for s in services.sessions.list(alice) if s.digest == crypto.digest(elsewhere.cookie("sid") or "")
    )
    done = held.post("/account/sessions/end", crossed | {"sid": target.sid})
    assert (done.status_code, reasons_of(run, done)) == (303, ["session.revoked/by_user"])
    assert elsewhere.get("/account").location == "/login"
    assert third.get("/account").status_code == 200
    assert held.post("/account/sessions/end", crossed | {"sid": target.sid}).status_code == 404
    result = command(run, "users", "end-sessions", "alice")
    assert result.exit_code == 0, result.output
    assert held.get("/account").location == third.get("/account").location == "/login"
    assert mallory.get("/account").status_code == 200
    told = [(row["reason"], row["user_id"]) for row in run.world.events("session.revoked")]
    assert told == [("by_user", alice), ("by_operator", alice), ("by_operator", alice)]


def _token_for(held: Browser, services: Any, purpose: str) -> str:
    """A form token as the server makes it for this browser and ``purpose``."""
    parts = (held.cookie("csrf") or "", held.cookie("sid") or "", purpose)
    return crypto.b64u(crypto.mac(services.master.derive("csrf"), *(part.encode() for part in parts)))


def parallel_sessions(run: Run, logins: int, most: int) -> None:
    """However often a person logs in, ``most`` sessions live: the newest ones."""
    alice = person(run)
    person(run, "bob")
    bob = browser(run, "bob")
    browsers = []
    for _ in range(logins):
        run.clock.walk(1)
        browsers.append(browser(run, "alice"))
    assert len(run.world.services.sessions.list(alice)) == most
    assert [held.get("/account").status_code for held in browsers] == [303] * (logins - most) + [200] * most
    told = run.world.events("session.limit")
    assert {row["reason"] for row in told} == {"oldest_ended"}
    assert len(told) == logins - most
    assert bob.get("/account").status_code == 200


def sessions_at_once(run: Run, logins: int, most: int) -> None:
    """Also when they all log in at the same time."""
    alice = person(run)
    first = browser(run)
    form = hidden_fields(first.get("/login").text, "/login") | {"username": "alice", "password": PASSWORD}
    tabs = [copy_of(first) for _ in range(logins)]
    # not five: attempts under way count before they are judged, and the fifth locks until it turns out right
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda tab: tab.post("/login", form).status_code, tabs))
    assert statuses == [303] * logins
    assert len(run.world.services.sessions.list(alice)) == most
    alive = [tab for tab in tabs if tab.get("/account").status_code == 200]
    assert len(alive) == most


def signed_out(run: Run) -> None:
    """Signing out ends the session on the server: its cookie, kept elsewhere, opens nothing any more."""
    person(run)
    held = browser(run, "alice")
    kept = copy_of(held)
    page = held.get("/logout")
    assert kept.get("/account").status_code == 200
    done = held.submit(page, "/logout")
    assert (done.status_code, reasons_of(run, done)) == (200, ["logout.done/logout"])
    assert held.cookie("sid") is None
    assert kept.get("/account").location == "/login"
    with nothing_changes(run):
        assert kept.submit(page, "/logout").status_code == 200
        assert kept.get("/consent").status_code == 400


def disable(run: Run, user: str) -> None:
    """An operator disables the person."""
    run.world.services.users.disable(run.person(user).user_id)


def enable(run: Run, user: str) -> None:
    """An operator lets the person log in again."""
    run.world.services.users.enable(run.person(user).user_id)


def locked_once(run: Run, user: str, refused: dict[str, int]) -> None:
    """The person is locked, was locked once, and the log has these reasons for what failed."""
    person = run.person(user)
    assert run.world.services.users.must(person.user_id).locked_until is not None
    mine = [row for row in run.world.events() if row["user_id"] == person.user_id]
    assert [row["event"] for row in mine].count("account.blocked") == 1
    told = Counter(row["reason"] for row in mine if row["event"] == "login.failed")
    assert told == refused
