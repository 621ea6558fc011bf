"""Text that is code elsewhere: SQL, markup, templates, header lines, log lines, paths, terminals."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

from asking import CALLBACK, answer, decide, follow
from markupsafe import escape
from plugins.app import basic
from plugins.factors import give_apps
from plugins.people import PASSWORD, Browser, hidden_fields
from werkzeug.test import Client, TestResponse

from ..invariants import check_error
from ..runner import Run
from ..wire import LiveWire, Request
from ._pages import (
    INSIDE,
    Markup,
    browser,
    check_bare,
    check_page,
    forms,
    log_lines,
    nothing_changes,
    own_fields,
    person,
    reasons_of,
    routes,
    rows_of,
    send,
    statements,
)
from ._terminal import command
from ._walk import Walk, asked, payment, register

# every parameter that some address of this server knows, or may know one day
NAMES = (
    "client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
    "prompt", "max_age", "login_hint", "id_token_hint", "acr_values", "ui_locales", "claims",
    "display", "resource", "audience", "authorization_details", "code_challenge", "code_challenge_method",
    "request", "request_uri", "registration", "grant_type", "code", "code_verifier", "refresh_token", "token",
    "token_type_hint", "assertion", "client_assertion", "client_assertion_type", "username", "password",
    "password_again", "csrf", "txn", "decision", "account", "sid", "notice", "grant_id", "user_code",
    "device_code", "auth_req_id", "page", "cursor", "sort", "order", "filter", "q", "id", "limit", "offset",
)  # fmt: skip
HEADERS = (
    "User_Agent", "Referer", "Origin", "Accept", "Accept_Language", "If_None_Match", "Range", "Authorization",
    "X_Forwarded_For", "X_Request_Id", "Sec_Fetch_Site", "Sec_Fetch_Dest", "DPoP", "Content_Type",
)  # fmt: skip
COOKIES = ("sid", "csrf", "browser", "lang")
FIELDS = (
    "username", "password", "password_again", "new_password", "token", "decision", "account", "sid", "txn",
    "client_id", "request", "payment", "payee", "next_time", "x",
)  # fmt: skip
NAMED = (
    "/consent", "/authorize/cancel", "/account/sessions/end", "/account/consents/withdraw",
    "/account/payments/withdraw", "/account/payees/end",
)  # fmt: skip
# in every payload, and in no statement of this server
MARK = "zq7k"


def sql_everywhere(run: Run, payloads: list[str]) -> None:
    """Quotes that end a string end none here: no payload is part of a statement, and none changes a row."""
    alice = person(run)
    register(run, "shop")
    held = browser(run, "alice")
    browser(run, "alice")  # a session that the account page offers to end
    give_apps(run.world.services)
    paid = follow(held, held.get(f"/authorize?{urlencode(asked('shop', **payment()))}"))
    assert "code" in answer(decide(held, paid))
    shown = [held.get(path) for path in ("/account", "/account/password", f"/login?request={'r' * 43}")]
    shown.append(follow(held, held.get(f"/authorize?{urlencode(asked('shop', **payment()))}")))
    fields = {action: form for page in shown for action, form in own_fields(page).items()}
    marked = [f"{MARK}{payload}" for payload in payloads]
    before = len(run.world.services.sessions.list(alice))
    with statements(run.world.services) as seen, nothing_changes(run, "interaction", "replay"):
        for payload in marked:
            for done in _with_payload(run, held, fields, payload):
                assert done.status_code < 500, (payload, done.request.path)
                told = f"{done.text} {done.headers}".lower()
                assert not any(word.lower() in told for word in INSIDE), (payload, done.request.path)
                done.close()
        assert len(run.world.services.sessions.list(alice)) == before
    assert len(seen) > 100 * len(payloads)
    assert not [text for text in seen if MARK in text.lower()]
    told = [row for row in run.world.events() if row["client_id"].startswith(MARK)]
    assert told, "no payload got as far as the audit log"


def _with_payload(
    run: Run, held: Browser, fields: dict[str, dict[str, str]], payload: str
) -> Iterator[TestResponse]:
    """Answers to requests with ``payload`` in every parameter, field, header, cookie and path segment."""
    usual = asked("shop")
    bare = Client(run.world.app, TestResponse, use_cookies=False)
    for name in NAMES:
        yield held.get(f"/authorize?{urlencode(usual | {name: payload})}")
    yield held.get(f"/authorize/resume?{urlencode({'request': payload})}")
    everything = dict.fromkeys(NAMES, payload)
    for route in routes(run):
        # a password in the login page's address is refused before anything else is looked at
        mine = {n: v for n, v in everything.items() if (route.path, n) != ("/login", "password")}
        yield send(held, "GET", f"{route.path}?{urlencode(mine)}")
        yield send(held, "GET", f"{route.path.rstrip('/')}/{quote(payload, safe='')}")
    for path in ("/token", "/introspect", "/revoke"):
        for name in NAMES:
            form = {"grant_type": "client_credentials", "token": "x"} | {name: payload}
            yield run.world.post(path, as_="web1", form=form)
        for pair in ((payload, "x"), ("web1", payload)):
            yield run.world.post(
                path, form={"grant_type": "client_credentials"}, headers={"Authorization": basic(*pair)}
            )
    for route in forms(run):
        form = fields.get(route.path, {})
        if route.path in ("/logout", "/account/sessions/end-all"):
            continue  # they take no field but their token
        # where a page names what the form is about, the rest left as it is would be an honest wish
        typed = () if route.path in NAMED else FIELDS
        for name in sorted({*form, *typed} - {"csrf"}):
            yield held.post(route.path, form | {"username": "nobody", "password": "wrong", name: payload})
    plain = "".join(c for c in payload if 0x20 <= ord(c) < 0x7F)
    for name in HEADERS:
        yield send(held, "GET", "/account", **{name: plain})
        yield send(held, "GET", "/userinfo", **{name: plain})
    for name in COOKIES:
        for value in (plain, plain.ljust(43, "x")[:43]):
            yield bare.get(
                "/account", base_url=held.issuer, headers={"Cookie": f"{name}={quote(value, safe='')}"}
            )
            yield bare.get("/consent?request=x", base_url=held.issuer, headers={"Cookie": f"{name}={value}"})


# --- markup and templates ---------------------------------------------------------------------------


def text_stays_text(run: Run, texts: list[str]) -> None:
    """Wherever somebody may put a text, every page differs from one with a plain word by that text alone."""
    plain = Walk(run, "plain")
    expected = [_normal(plain, done) for done in plain.all()]
    for text in texts:
        walk = Walk(run, text)
        seen = walk.all()
        assert len(seen) == len(expected)
        for done, (place, structure, page) in zip(seen, expected, strict=True):
            mine = _normal(walk, done)
            assert mine[0] == place, (text, mine[0], place)
            assert mine[1] == structure, (text, place)
            different = [
                pair
                for pair in zip(mine[2].split("\n"), page.split("\n"), strict=False)
                if pair[0] != pair[1]
            ]
            assert not different, (text, place, different)
            if set(text) & set("<>\"'"):
                assert text not in done.text, (text, place)
            if done.status_code != 303:
                check_page(done)


def _normal(walk: Walk, done: TestResponse) -> tuple[str, list[Any], str]:
    """Method, path and status; elements; and the page with plain words for what differs from walk to walk."""
    text = done.text
    spellings = {quote_plus(walk.text), quote(walk.text, safe=""), walk.text, quote(walk.text)}
    for name in (walk.username, quote(walk.username, safe="")):
        text = text.replace(html.escape(name), "someone").replace(str(_escaped(name)), "someone")
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(_escaped(spelling), "plain").replace(html.escape(spelling), "plain")
    text = text.replace(walk.client_id, "client")
    text = re.sub(r"[A-Za-z0-9_-]{22,}", "~", text)
    # a walk may last from one minute into the next
    text = re.sub(r"<time .*?</time>", "then", text)
    text = re.sub(r"\d{1,2} \w+ \d{4}, \d\d:\d\d UTC", "then", text)
    text = re.sub(r"DE\d{2}(?: ?\d{4})+ ?\d{2}", "IBAN", text)
    structure = Markup(done.text).elements
    return f"{done.request.method} {done.request.path} {done.status_code}", structure, text


def _escaped(text: str) -> str:
    return str(escape(text))


# --- header lines -----------------------------------------------------------------------------------


def no_new_header_lines(run: Run, breaks: list[str]) -> None:
    """Whatever ends a line elsewhere ends none here: an answer has the header lines that it always has."""
    person(run)
    register(run, "shop")
    for line_break in breaks:
        text = line_break.join(("x", f"X-Injected: {MARK}", f"Set-Cookie: {MARK}=1", "", f"<p>{MARK}"))
        held = browser(run)
        for name in NAMES:
            _one_header_each(held.get(f"/authorize?{urlencode(asked('shop') | {name: text})}"))
        everything = dict.fromkeys(NAMES, text)
        _one_header_each(run.world.post("/token", form=everything))
        without = {name: value for name, value in everything.items() if name != "password"}
        _one_header_each(held.get(f"/login?{urlencode(without)}"))
        raw = quote(text, safe="%:=<>")
        for path in (
            "/authorize/resume?request=",
            "/login?request=",
            "/login?notice=",
            "/",
            "/static/",
            "/enrol?token=",
        ):
            _one_header_each(send(held, "GET", f"{path}{raw}"))
        door = hidden_fields(held.get("/login").text, "/login")
        _one_header_each(
            held.post("/login", door | {"username": "alice", "password": PASSWORD, "request": text})
        )


def _one_header_each(done: TestResponse) -> None:
    assert done.status_code < 500
    assert "X-Injected" not in done.headers
    lines = done.headers.getlist("Set-Cookie")
    assert not any(MARK in line for line in lines), lines
    for name, value in done.headers:
        assert not set(name + value) & set("\r\n\x00\x0b\x0c\x1c\x85\u2028"), (name, value)
    assert f"<p>{MARK}" not in done.text
    location = done.headers.get("Location", "")
    assert location.isascii() and location.isprintable()
    assert location.startswith(("/", CALLBACK)) or not location
    done.close()


def live_header_lines(run: Run, breaks: list[str]) -> None:
    """The same of a server process, as its bytes come down the connection."""
    assert isinstance(run.wire, LiveWire)
    for line_break in breaks:
        text = f"x{line_break}X-Injected:{MARK}{line_break}{line_break}<p>{MARK}"
        for target in (
            f"/authorize?client_id={text}", f"/authorize?state={text}&redirect_uri={text}", f"/{text}",
            f"/login?request={text}", f"/login?notice={text}", f"/static/{text}", f"/consent?request={text}",
        ):  # fmt: skip
            reply = run.wire.send(Request("GET", quote(target, safe="%/?&=:<>")))
            assert reply.status < 500, target
            assert "x-injected" not in reply.headers
            assert f"<p>{MARK}".encode() not in reply.body


def unicode_state_comes_back(run: Run, states: list[str]) -> None:
    """A state that only looks like a line break is a state like any other: the client gets it as it was."""
    person(run)
    register(run, "shop")
    held = browser(run, "alice")
    for state in states:
        done = held.get(f"/authorize?{urlencode(asked('shop', state=state, scope='admin'))}")
        assert done.status_code == 303
        assert f"&state={quote_plus(state)}&" in done.headers["Location"] + "&"
        _one_header_each(done)


# --- log lines --------------------------------------------------------------------------------------


def one_line_each(run: Run, texts: list[str]) -> None:
    """One request is one row and one line, whatever is in its names: escaped, cut, and no line of its own."""
    person(run)
    texts = [text.replace("{A*100000}", "A" * 100_000) for text in texts]
    for text in texts:
        for done in _logged(run, text):
            rows, lines = rows_of(run, done), log_lines(run, done)
            assert len(rows) == 1, (text[:60], [(row["event"], row["reason"]) for row in rows])
            (row,) = rows
            assert row["outcome"] == "denied"
            answered = [line for line in lines if line.get("message") == "answered"]
            assert len(answered) == 1
            assert [line["event"] for line in lines if "event" in line] == [row["event"]]
            for name, most in (("client_id", 128), ("actor", 128), ("resource", 200), ("reason", 40)):
                assert len(row[name]) <= most, (name, row[name])
                assert row[name].isascii() and row[name].isprintable(), (name, row[name])
            if len(text) > 200 and row["client_id"]:
                assert re.search(r"~[\w-]{12}$", row["client_id"])
    assert run.world.events("login.succeeded") == []
    for line in run.logbook.lines:
        assert line.isascii() and line.isprintable()
        assert isinstance(json.loads(line), dict)
        assert len(line) < 4000


def _logged(run: Run, text: str) -> Iterator[TestResponse]:
    """Requests that are refused, and told of, with ``text`` where a name belongs."""
    held = browser(run)
    form = hidden_fields(held.get("/login").text, "/login")
    yield held.post("/login", form | {"username": text, "password": "wrong-password-1"})
    if len(text) < 60_000:
        yield run.world.post(
            "/token", form={"grant_type": "client_credentials", "client_id": text, "client_secret": "x"}
        )
        yield run.world.post(
            "/token",
            form={"grant_type": "client_credentials"},
            headers={"Authorization": basic(quote(text), "x")},
        )
    if len(text) < 6000:
        yield held.get(f"/authorize?{urlencode({'client_id': text})}")
        yield send(held, "GET", "/" + quote(text, safe=""))
        agent = "".join(c for c in text if c.isprintable() and ord(c) < 256)
        yield send(held, "GET", "/nothing", User_Agent=agent, Referer=agent)


def nothing_for_the_terminal(run: Run, agents: list[str]) -> None:
    """What callers sent is shown to operators as text: no character of it moves a cursor or paints a line."""
    person(run)
    for agent in agents:
        held = browser(run)
        page = held.get("/login")
        form = hidden_fields(page.text, "/login") | {"username": "alice", "password": PASSWORD}
        assert held.post("/login", form, User_Agent=agent).status_code == 303
        check_page(held.get("/account"))
    for arguments in (("users", "sessions", "alice"), ("users", "list"), ("audit", "tail", "-n", "50")):
        for more in ((), ("--json",)):
            if arguments[0] == "audit" and more:
                continue
            result = command(run, *arguments, *more)
            assert result.exit_code == 0, result.output
            assert all(line.isprintable() for line in result.output.splitlines()), arguments
    assert "\\x9b" in command(run, "users", "sessions", "alice").output


# --- paths ------------------------------------------------------------------------------------------


def outside_static(run: Run, paths: list[str]) -> None:
    """Nothing but the files of the static folder is at its address, however a path is spelt."""
    root = run.world.app.static_folder
    assert root is not None
    held = browser(run)
    for path in paths:
        done = send(held, "GET", path, Accept="*/*")
        assert done.status_code in (400, 404), (path, done.status_code)
        assert [text.partition("/")[0] for text in reasons_of(run, done)] == ["http.rejected"], path
        check_bare(done)
        assert not re.search(r"root:|import |\[project\]|AUTHSERVER", done.text), path
    fine = send(held, "GET", "/static/site.css")
    assert (fine.status_code, fine.mimetype) == (200, "text/css")


def live_paths(run: Run, paths: list[str]) -> None:
    """The same of a server process, which takes a path apart before this server sees it."""
    for path in paths:
        reply = run.wire.send(Request("GET", path))
        assert reply.status in (400, 404), (path, reply.status)
        if reply.request_id:
            check_error(reply)
        assert b"root:" not in reply.body and b"import " not in reply.body


# --- shapes of other systems ------------------------------------------------------------------------


def shapes_are_text(run: Run, shapes: list[str]) -> None:
    """Filters, entities, operators and objects as names are the names of nobody."""
    person(run)
    held = browser(run)
    form = hidden_fields(held.get("/login").text, "/login")
    with nothing_changes(run, "replay"):
        for shape in shapes:
            bodies = [
                form | {"username": shape, "password": "wrong-password-1"},
                form | {f"username{shape}": "alice", "password": PASSWORD},
                form | {"username[$ne]": "x", "password[$ne]": "x"},
                form | {"username": "alice", f"password{shape}": PASSWORD},
                form | {"user": "alice", "username[]": "alice", "password": PASSWORD},
            ]
            for body in bodies:
                done = held.post("/login", body)
                assert done.status_code == 401, (shape, body)
                assert reasons_of(run, done)[0] in ("login.failed/unknown_user", "login.failed/bad_password")
                check_page(done, shape) if len(shape) > 4 else check_page(done)
            for answered in (
                run.world.post(
                    "/token",
                    form={"grant_type": "client_credentials", "client_id": shape, "client_secret": "x"},
                ),
                run.world.post(
                    "/token", form={"grant_type": "client_credentials", f"client_id{shape}": "web1"}
                ),
                run.world.post(
                    "/token",
                    form={"grant_type": "client_credentials"},
                    headers={"Authorization": basic(quote(shape), shape)},
                ),
            ):
                assert (answered.status_code, answered.json["error"]) == (401, "invalid_client"), (
                    shape,
                    answered.text,
                )
            refused = held.get(f"/authorize?{urlencode({'client_id': shape, 'response_type': 'code'})}")
            assert refused.status_code == 400
            assert reasons_of(run, refused) == ["authz.rejected/client_unknown"]
