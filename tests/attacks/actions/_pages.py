"""Pages as an attacker walks them: every address there is, and what asking for one must not change."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from plugins.people import PASSWORD, Browser, add_user, hidden_fields
from sqlalchemy import event, select
from werkzeug.test import TestResponse

from authserver.db import Base
from authserver.documents import METADATA_PATHS
from authserver.services import Services

from ..runner import Run

FORM = "application/x-www-form-urlencoded"
# told by every request, or by background work: no state of anybody
TOLD = {"audit_event", "audit_head", "audit_checkpoint", "lease"}
# where programs ask; people see pages everywhere else
PROGRAMS = {"oauth", "health", "static", "documents"}
POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
# what a page of an error would show of the inside
INSIDE = (
    "Traceback", "sqlalchemy", "psycopg", "sqlite3", "werkzeug", "authlib", 'File "/', "SELECT ", "INSERT ",
    "redis.exceptions", "site-packages", "/authserver/", "OperationalError", "<!-- ",
)  # fmt: skip

# headers by which somebody might make the server believe that it is another, or elsewhere
FORGED = {
    "X_Forwarded_Host": "evil.example",
    "X_Forwarded_Server": "evil.example",
    "X_Forwarded_Proto": "evil",
    "X_Forwarded_Port": "6666",
    "X_Forwarded_Prefix": "/evil.example",
    "X_Script_Name": "/evil.example",
    "Forwarded": "host=evil.example;proto=evil",
    "X_Original_URL": "/evil.example",
    "X_Original_Host": "evil.example",
    "X_Rewrite_URL": "/evil.example",
    "X_Host": "evil.example",
    "Origin": "https://evil.example",
    "Referer": "https://evil.example/",
}


@dataclass(frozen=True)
class Route:
    """An address that the app serves. ``room`` is the name of its blueprint."""

    path: str
    methods: frozenset[str]
    room: str

    @property
    def for_people(self) -> bool:
        return self.room not in PROGRAMS


def routes(run: Run) -> list[Route]:
    """Every address of the app, new ones too; something stands where an address has a variable part."""
    found: dict[str, Route] = {}
    for rule in run.world.app.url_map.iter_rules():
        path = "/static/site.css" if rule.endpoint == "static" else re.sub(r"<[^>]+>", "x", rule.rule)
        room = rule.endpoint.rpartition(".")[0] or rule.endpoint
        methods = frozenset(rule.methods or ()) | (found[path].methods if path in found else frozenset())
        found[path] = Route(path, methods, room)
    for path in ("/jwks", *METADATA_PATHS):
        found[path] = Route(path, frozenset({"GET", "HEAD"}), "documents")
    assert {"/login", "/consent", "/token", "/authorize"} <= set(found)
    return [found[path] for path in sorted(found)]


def pages(run: Run) -> list[Route]:
    """The addresses that answer people."""
    return [route for route in routes(run) if route.for_people]


def forms(run: Run) -> list[Route]:
    """The addresses that take a form of this server's own; two take forms of others."""
    theirs = ("/authorize", "/end_session")
    return [route for route in pages(run) if "POST" in route.methods and route.path not in theirs]


def person(run: Run, name: str = "alice", password: str | None = PASSWORD) -> str:
    """The user id of somebody new; the password must be in no log."""
    if password is not None:
        run.secrets.add(password)
    return add_user(run.world.services, name, password)


def browser(run: Run, logged_in: str | None = None, **values: Any) -> Browser:
    """A browser at the app of a run."""
    made = Browser(run.world.app, **values)
    if logged_in is not None:
        assert made.log_in(logged_in).status_code == 303
        keep_cookies_secret(run, made)
    return made


def keep_cookies_secret(run: Run, held: Browser) -> None:
    """What the browser holds must be in no log."""
    for name in ("sid", "csrf", "browser", "device"):
        if value := held.cookie(name):
            run.secrets.add(value)


def copy_of(held: Browser) -> Browser:
    """The same cookies on a connection of its own."""
    made = Browser(held.app, address=held.address)
    for name in ("sid", "csrf", "browser", "device"):
        if value := held.cookie(name):
            made.set_cookie(name, value)
    return made


def send(held: Browser, method: str, path: str, **headers: str) -> TestResponse:
    """A request of any method without a body; header names with _ for -."""
    done = held._open(method, path, headers)
    done.get_data()
    done.close()
    return done


def rows_of(run: Run, answer: TestResponse) -> list[dict[str, Any]]:
    """The audit rows of the request that was answered so."""
    return run.world.events(request_id=answer.headers["X-Request-Id"])


def reasons_of(run: Run, answer: TestResponse) -> list[str]:
    """``event/reason`` of each of them."""
    return [f"{row['event']}/{row['reason']}" for row in rows_of(run, answer)]


def alike(answer: TestResponse) -> tuple[int, tuple[tuple[str, str], ...], str]:
    """All that tells one answer from another, its request id, form tokens and times aside."""
    headers = sorted((k, v) for k, v in answer.headers.items() if k not in ("X-Request-Id", "Date"))
    text = answer.text.replace(answer.headers["X-Request-Id"], "")
    text = re.sub(r'(name="csrf" value=")[^"]+', r"\1", text)
    # what a logout carries says when it was asked for; rows of the log are named by sealed numbers
    text = re.sub(r"<time .*?</time>|eyJ[\w.-]+|(?<=\?)(entry|before)=[\w.-]+", "", text)
    return answer.status_code, tuple(headers), text


def check_page(answer: TestResponse, *hostile: str) -> None:
    """A page for people: its headers, nothing of the inside, nothing of ``hostile`` as it was sent."""
    headers = answer.headers
    assert answer.mimetype == "text/html", (answer.status_code, headers, answer.text[:300])
    policy, _, rest = headers["Content-Security-Policy"].partition("; form-action ")
    assert (policy, rest) in ((POLICY, ""), (POLICY, "'self'")), policy
    assert headers["Cache-Control"] == "no-store"
    assert "Cookie" in headers["Vary"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert not [name for name, _ in headers if name.lower().startswith("access-control-")]
    check_bare(answer)
    for text in hostile:
        assert text not in answer.text, text
    if answer.status_code >= 400:
        assert "Location" not in headers


def check_bare(answer: TestResponse) -> None:
    """An answer that says nothing of the inside, and has an opaque id to ask for."""
    text = answer.text
    for word in INSIDE:
        assert word.lower() not in text.lower(), (word, text[:500])
    assert re.fullmatch(r"[\w-]{22}", answer.headers["X-Request-Id"])
    assert not {"Server", "X-Powered-By"} & {name for name, _ in answer.headers}


def check_json_error(answer: TestResponse) -> None:
    """An error for programs."""
    assert answer.mimetype == "application/json", (answer.headers, answer.text[:300])
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert set(answer.json) == {"error", "error_description"}
    check_bare(answer)


def state(services: Services) -> dict[str, Counter[str]]:
    """All that the database holds, but what is told by every request; when a session was seen is no state."""
    found = {}
    with services.database.reading() as connection:
        for table in Base.metadata.sorted_tables:
            if table.name in TOLD:
                continue
            columns = [column for column in table.columns if column.name != "last_seen_at"]
            found[table.name] = Counter(repr(tuple(row)) for row in connection.execute(select(*columns)))
    return found


@contextmanager
def nothing_changes(run: Run, *but: str) -> Iterator[None]:
    """No row of any table is another after the block than before it, those of the tables ``but`` aside."""
    before = state(run.world.services)
    yield
    after = state(run.world.services)
    for name, rows in after.items():
        if name not in but:
            assert rows == before[name], f"{name}: {rows - before[name]} for {before[name] - rows}"


@contextmanager
def statements(services: Services) -> Iterator[list[str]]:
    """The text of every statement that reaches the database meanwhile, without its parameters."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(services.database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(services.database.engine, "before_cursor_execute", note)


class Markup(HTMLParser):
    """What a browser makes of a page: its elements, what it loads and where it leads; nothing that runs."""

    LOADS = frozenset({"src", "srcset", "data", "poster", "background", "manifest", "ping", "icon"})
    NEVER = frozenset({"iframe", "frame", "object", "embed", "base", "style", "svg", "math", "template"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.loads: set[str] = set()
        self.leads: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(sorted(name for name, _ in attrs))))
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name not in ("style", "http-equiv"), tag
            if name in self.LOADS or (tag == "link" and name == "href"):
                self.loads.add(value or "")
            elif name in ("href", "action", "formaction"):
                self.leads.add(value or "")
        for address in self.loads | self.leads:
            assert not re.match(r"[\s\x00]*(javascript|data|vbscript)\s*:", address, re.I), address
        assert tag not in self.NEVER, tag
        assert tag != "script" or any(name == "src" for name, _ in attrs)


def own_fields(page: TestResponse) -> dict[str, dict[str, str]]:
    """The hidden fields of every form of a page that goes to this server, by action."""
    actions = re.findall(r'<form[^>]* action="(/[^"]*)"', page.text)
    return {action: hidden_fields(page.text, action) for action in actions}


def log_lines(run: Run, answer: TestResponse) -> list[dict[str, Any]]:
    """The lines of the log that belong to the request that was answered so."""
    lines = [json.loads(line) for line in run.logbook.lines]
    return [line for line in lines if line.get("request_id") == answer.headers["X-Request-Id"]]
