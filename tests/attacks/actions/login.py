"""Attacks on logging in: names that may exist, guesses, sprays, links, passwords as people choose them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

from plugins.app import basic, make_settings
from plugins.people import PASSWORD, hidden_fields
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from authserver import migrate
from authserver.app import create_app, services_of
from authserver.db import Base
from authserver.users import LOCK_SECONDS, MAX_FAILURES, UserRecord
from authserver.users.registry import users

from ..runner import Run
from ._pages import (
    FORGED,
    alike,
    browser,
    check_page,
    copy_of,
    nothing_changes,
    person,
    reasons_of,
    rows_of,
    send,
)
from ._terminal import command

WRONG = "wrong-password-1"
NEW_PASSWORD = "seven brown foxes sleep"
ROOT = Path(__file__).resolve().parents[3]


class _Door:
    """The login form in one browser, tried again and again."""

    def __init__(self, run: Run, **values: Any) -> None:
        self.run = run
        self.browser = browser(run, **values)
        self.fields = hidden_fields(self.browser.get("/login").text, "/login")

    def attempt(self, name: str, password: str = WRONG, /, **more: str) -> TestResponse:
        return self.browser.post("/login", self.fields | {"username": name, "password": password} | more)

    def refused(self, name: str, reason: str, password: str = WRONG) -> TestResponse:
        """The answer to an attempt that failed for ``reason``, which the log alone knows."""
        answer = self.attempt(name, password)
        assert answer.status_code == 401, (name, answer.status_code)
        check_page(answer, password)
        told = [text for text in reasons_of(self.run, answer) if text.startswith("login.")]
        assert told == [f"login.failed/{reason}"], (name, told)
        assert self.browser.cookie("sid") is None
        return answer

    def lock(self, name: str) -> None:
        """Five wrong passwords have locked ``name``."""
        for _ in range(MAX_FAILURES):
            self.refused(name, "bad_password")


# --- who exists -------------------------------------------------------------------------------------


def one_answer(run: Run, people: dict[str, str]) -> None:
    """By name or e-mail address, with a wrong or the right password: everybody gets one and the same answer.

    ``people`` gives each name the reason that the audit log has for it.
    """
    door = _Door(run)
    for name in ("alice", "locked", "disabled"):
        person(run, name)
    person(run, "unverified", None)
    door.lock("locked")
    run.world.services.users.disable(_user(run, "disabled").user_id)
    known = {user.username: user.user_id for user in run.world.services.users.all()}
    answers = set()
    for name, reason in people.items():
        for spelling in (name, f"{name}@example.com", name.upper(), f" {name} "):
            for password in (WRONG, PASSWORD):
                if (name, password) == ("alice", PASSWORD):
                    continue  # she gets in
                answer = door.refused(spelling, reason, password)
                answers.add(alike(answer))
                assert {row["user_id"] for row in rows_of(run, answer)} == {known.get(name, "")}
                assert name not in answer.text.lower()
    assert len(answers) == 1


def one_answer_without_password(run: Run) -> None:
    """Blank, left out, endless: whoever is named gets one answer, and nobody's failures rise."""
    person(run)
    door = _Door(run)
    answers = set()
    with nothing_changes(run):
        for form in ({}, {"password": ""}, {"password": "x" * 1025}, {"password": "\u00e9" * 2000}):
            for name in ({}, {"username": ""}, {"username": "alice"}, {"username": "ghost"}):
                answer = door.browser.post("/login", door.fields | form | name)
                check_page(answer)
                assert reasons_of(run, answer) == ["login.failed/bad_password"]
                answers.add(alike(answer))
    assert len(answers) == 1


def one_answer_to_links(run: Run) -> None:
    """Used, replaced, expired, of somebody disabled, never made: one page, by GET and by POST."""
    services, held = run.world.services, browser(run)
    tokens = {name: services.links.make(person(run, name, None), "enrol") for name in _LINKS}
    services.links.make(_user(run, "replaced").user_id, "enrol")
    services.users.disable(_user(run, "disabled").user_id)
    assert _set_password(run, tokens["used"], NEW_PASSWORD).status_code == 303
    run.clock.walk(7 * 86_400)
    live = services.links.make(person(run, "live", None), "enrol")
    form = hidden_fields(held.get(f"/enrol?token={live}").text, "/enrol")
    new = {"password": NEW_PASSWORD, "password_again": NEW_PASSWORD}
    run.secrets |= {*tokens.values(), live}
    never = [
        "x" * 43,
        "x",
        "",
        "' OR 1=1 --",
        live.swapcase(),
        f"{live} ",
        live[:-1],
        "%",
        "\u00e9",
        "{A*43}",
    ]
    answers = set()
    with nothing_changes(run):
        for token in [*tokens.values(), *never]:
            query = f"/enrol?{_query(token=token)}"
            for answer in (held.get(query), held.post("/enrol", form | new | {"token": token})):
                assert answer.status_code == 410, token
                check_page(answer)
                assert reasons_of(run, answer) == ["user.link.rejected/link_over"]
                answers.add(alike(answer))
    assert len(answers) == 1
    assert _set_password(run, live, NEW_PASSWORD).status_code == 303


_LINKS = ("used", "replaced", "expired", "disabled")


def no_way_to_ask(run: Run, paths: list[str]) -> None:
    """Nobody registers, and nobody has a link sent, by any address of the server: there is none."""
    person(run)
    held = browser(run)
    form = {"email": "alice@example.com", "username": "alice", "password": NEW_PASSWORD}
    with nothing_changes(run):
        for path in paths:
            for name in ("alice", "ghost"):
                asked = form | {"username": name, "email": f"{name}@example.com"}
                for answer in (
                    held.get(f"{path}?{_query(username=name)}", Accept="text/html"),
                    held.post(path, asked),
                ):
                    assert answer.status_code == 404, path
                    assert name not in answer.text


# --- guesses ----------------------------------------------------------------------------------------


def five_failures(run: Run) -> None:
    """The fifth failure locks for half an hour, the right password included; then all is as before."""
    person(run)
    door = _Door(run)
    first = door.refused("alice", "bad_password")
    for _ in range(MAX_FAILURES - 2):
        door.refused("alice", "bad_password")
    fifth = door.refused("alice", "bad_password")
    (blocked,) = [row for row in rows_of(run, fifth) if row["event"] == "account.blocked"]
    assert (blocked["reason"], blocked["outcome"]) == ("five_failures", "denied")
    assert blocked["detail"] == {"seconds": LOCK_SECONDS}
    sixth = door.refused("alice", "blocked", PASSWORD)
    assert alike(first) == alike(fifth) == alike(sixth)
    run.clock.walk(29 * 60 + 59)
    door.refused("alice", "blocked", PASSWORD)
    run.clock.walk(1)
    assert door.attempt("alice", PASSWORD).status_code == 303
    assert (_user(run).failures, _user(run).locked_until) == (0, None)


def failures_add_up(run: Run, spellings: list[str], addresses: list[str]) -> None:
    """Another spelling, address, browser or request is no way around the count; a lock does not grow."""
    person(run)
    person(run, "bob")
    for number, (spelling, address) in enumerate(zip(spellings, addresses, strict=True)):
        reason = "bad_password" if number < MAX_FAILURES else "blocked"
        _Door(run, address=address).refused(spelling, reason)
    assert len(run.world.events("account.blocked")) == 1
    run.clock.walk(60)
    with nothing_changes(run, "replay"):  # what an attempt writes where it may not count
        for spelling, address in zip(spellings, addresses, strict=True):
            _Door(run, address=address).refused(spelling, "blocked", PASSWORD)
    assert _Door(run).attempt("bob", PASSWORD).status_code == 303
    run.clock.walk(LOCK_SECONDS - 60)
    assert _Door(run).attempt("alice", PASSWORD).status_code == 303


def guesses_at_once(run: Run, guesses: int) -> None:
    """Of many at the same time five are looked at; the right password among those after them is not."""
    person(run)
    first = _Door(run)
    tabs = [copy_of(first.browser) for _ in range(guesses)]

    def guess(tab: Any, password: str) -> int:
        form = first.fields | {"username": "alice", "password": password}
        return int(tab.post("/login", form).status_code)

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda tab: guess(tab, WRONG), tabs))
        late = list(pool.map(lambda tab: guess(tab, PASSWORD), tabs[:10]))
    assert Counter(statuses + late) == {401: guesses + 10}
    told = Counter(row["reason"] for row in run.world.events("login.failed"))
    assert told == {"bad_password": MAX_FAILURES, "blocked": guesses + 10 - MAX_FAILURES}
    assert len(run.world.events("account.blocked")) == 1
    assert run.world.services.sessions.list(_user(run).user_id) == []


def a_right_one_in_between(run: Run) -> None:
    """Only a right password of the same person begins the count anew."""
    person(run)
    person(run, "mallory")
    for _ in range(2):
        for _ in range(MAX_FAILURES - 1):
            _Door(run).refused("alice", "bad_password")
        # the attacker's own account changes nothing for alice
        assert _Door(run).attempt("mallory", PASSWORD).status_code == 303
        assert _user(run).failures == MAX_FAILURES - 1
        assert _Door(run).attempt("alice", PASSWORD).status_code == 303
        assert _user(run).failures == 0
    assert run.world.events("account.blocked") == []


def guessing_with_a_session(run: Run) -> None:
    """Whoever is asked for the password again counts as whoever is asked the first time."""
    person(run)
    held = browser(run, "alice")
    request = "r" * 43
    page = held.get(f"/login?request={request}")
    for number in range(MAX_FAILURES + 1):
        answer = held.submit(page, "/login", username="alice", password=WRONG)
        assert answer.status_code == 401
        assert (reasons_of(run, answer)[0] == "login.failed/blocked") == (number == MAX_FAILURES)
    assert held.submit(page, "/login", username="alice", password=PASSWORD).status_code == 401
    assert len(run.world.events("account.blocked")) == 1
    # the session that was there before is nobody's guess: it lives on
    assert held.get("/account").status_code == 200


def spraying(run: Run, users_tried: int, addresses: int) -> None:
    """One password for many names: an address is stopped after twenty, a swarm of them raises the alarm."""
    person(run)
    person(run, "bob")
    door = _Door(run)
    names = [
        *(f"user{n}" for n in range(19)),
        "alice",
        "bob",
        *(f"user{n}" for n in range(19, users_tried - 2)),
    ]
    answers = [door.attempt(name) for name in names]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * (users_tried - 20)
    assert len({alike(answer) for answer in answers[20:]}) == 1
    check_page(answers[20], WRONG)
    assert answers[20].headers["Retry-After"] == "300"
    (hit,) = run.world.events("ratelimit.hit")
    assert (hit["reason"], hit["outcome"], hit["client_ip"]) == ("login_ip", "denied", door.browser.address)
    assert run.world.events("alert.spraying") == []
    for n in range(addresses):
        door.browser.address = f"198.51.100.{n}"
        assert door.attempt("bob" if n == 50 else f"other{n}").status_code == 401
    (alarm,) = run.world.events("alert.spraying")
    assert (alarm["reason"], alarm["detail"]) == ("failures", {"failures": 100, "seconds": 300})
    assert run.world.events("account.blocked") == []
    assert (_user(run).failures, _user(run, "bob").failures) == (1, 1)
    assert _Door(run, address="203.0.113.1").attempt("alice", PASSWORD).status_code == 303


def one_address_by_many_names(run: Run, addresses: list[str], headers: dict[str, str]) -> None:
    """Every address of ``addresses`` counts as the same one, whatever ``headers`` say of it."""
    door = _Door(run)
    statuses = []
    for number in range(30):
        door.browser.address = addresses[number % len(addresses)]
        told = {name: value.replace("N", str(number)) for name, value in headers.items()}
        form = door.fields | {"username": f"user{number}", "password": WRONG}
        statuses.append(door.browser.post("/login", form, **told).status_code)
    assert statuses == [401] * 20 + [429] * 10
    assert len(run.world.events("ratelimit.hit")) == 1


def own_logins_wash_nothing(run: Run) -> None:
    """An attacker's own account gives no guess back to its address."""
    person(run, "mallory")
    statuses = []
    for number in range(30):
        door = _Door(run)
        statuses.append(door.attempt(f"user{number}").status_code)
        if number < 15:
            assert door.attempt("mallory", PASSWORD).status_code == 303
    assert statuses == [401] * 20 + [429] * 10


# --- passwords --------------------------------------------------------------------------------------


def unusual_passwords(run: Run) -> None:
    """128 characters with spaces, emoji and loose accents: the whole of it opens, no part of it does."""
    word = "  Caf\u0065\u0301 \U0001f511\U0001f30a na\u0069\u0308ve \u00df \u05e9\u05dc\u05d5\u05dd "
    password = (word * 6)[:126] + "Z "
    assert len(password) == 128
    assert unicodedata.normalize("NFC", password) != password
    links = run.world.services.links
    assert _set_password(run, links.make(person(run, "alice", None), "enrol"), password).status_code == 303
    others = [
        password.encode()[:72].decode(errors="ignore"), password[:127], password[:64], password.swapcase(),
        password.lower(), password.upper(), password.strip(), password.rstrip(), password + " ",
        " ".join(password.split()), password.replace("\U0001f511", ""), password.replace("\u0301", ""),
        unicodedata.normalize("NFKD", password.replace("\u00df", "ss")), password.replace("\u00df", "ss"),
        password[::-1], password * 2, password[1:],
    ]  # fmt: skip
    run.secrets |= {password, *others}
    door = _Door(run)
    for other in others:
        door.refused("alice", "bad_password", other)
        # a right one in between keeps the account open
        assert _Door(run).attempt("alice", password).status_code == 303
    # two keyboards' spellings of an accent are one
    assert _Door(run).attempt("alice", unicodedata.normalize("NFC", password)).status_code == 303


def weak_passwords(run: Run, weak: list[str], fine: list[str]) -> None:
    """Each of ``weak`` is refused and spends no link, first password or later one; ``fine`` are taken."""
    links, user_id = run.world.services.links, person(run, "alice", None)
    for purpose in ("enrol", "reset"):
        token = links.make(user_id, purpose)
        for password in weak:
            answer = _set_password(run, token, password)
            assert answer.status_code == 400, password
            check_page(answer, *([password] if len(password) > 8 else []))
            assert reasons_of(run, answer) == ["password.rejected/policy"], password
        assert _set_password(run, token, fine[0]).status_code == 303
    for password in fine:
        answer = _set_password(run, links.make(user_id, "reset"), password)
        assert answer.status_code == 303, password
        assert _Door(run).attempt("alice", password).status_code == 303


def a_new_password_ends_the_old(run: Run) -> None:
    """Set by a link, it ends every session of before, and the old one opens nothing."""
    user_id = person(run)
    before = browser(run, "alice")
    token = run.world.services.links.make(user_id, "reset")
    _Door(run).refused("alice", "bad_password")
    assert _set_password(run, token, NEW_PASSWORD).status_code == 303
    assert before.get("/account").location == "/login"
    (row,) = run.world.events("session.revoked")
    assert (row["reason"], row["user_id"]) == ("password_changed", user_id)
    assert len(run.world.events("password.changed")) == 2
    _Door(run).refused("alice", "bad_password", PASSWORD)
    assert _Door(run).attempt("alice", NEW_PASSWORD).status_code == 303
    assert _set_password(run, token, PASSWORD).status_code == 410


def a_form_says_who(run: Run) -> None:
    """What a form adds of its own (names, states, levels) counts for nothing: the link says whose it is."""
    services = run.world.services
    alice, bob = person(run), person(run, "bob", None)
    token = services.links.make(bob, "enrol")
    before = services.users.must(alice)
    more = {
        "username": "alice", "user_id": alice, "email": "evil@example.com", "name": "Evil", "state": "active",
        "role": "operator", "purpose": "reset", "acr": "phr", "failures": "0", "is_admin": "true",
    }  # fmt: skip
    assert _set_password(run, token, NEW_PASSWORD, **more).status_code == 303
    assert services.users.must(alice) == before
    user = services.users.must(bob)
    assert (user.username, user.email, user.name, user.state) == ("bob", "bob@example.com", "Bob", "active")
    door = _Door(run)
    assert door.attempt("bob", NEW_PASSWORD, **more, password_again=PASSWORD).status_code == 401
    assert (
        door.attempt("bob", NEW_PASSWORD, **{k: v for k, v in more.items() if k != "username"}).status_code
        == 303
    )
    (session,) = services.sessions.list(bob)
    assert (session.acr, session.amr) == ("urn:authserver:acr:password", ("pwd",))


def _set_password(run: Run, token: str, password: str, /, **more: str) -> TestResponse:
    """What a link's form answers to a new password."""
    run.secrets.add(token)
    held = browser(run)
    page = held.get(f"/enrol?token={token}")
    if page.status_code != 200:
        return page
    return held.submit(page, "/enrol", **{"password": password, "password_again": password} | more)


# --- accounts that nobody made ----------------------------------------------------------------------


def no_default_accounts(run: Run, names: list[str], passwords: list[str]) -> None:
    """None of the usual names opens with any usual password, nor with anything that the project prints."""
    with run.world.services.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(users)).scalar_one() == 0
    door = _Door(run)
    printed = sorted(_printed())
    assert len(printed) > 5
    pairs = [(name, word) for name in names for word in [name, f"{name}1", *passwords]]
    for name, word in [*pairs, *(("admin", word) for word in printed)]:
        answer = door.attempt(name, word)
        assert (answer.status_code, reasons_of(run, answer)) == (401, ["login.failed/unknown_user"])
    for word in [*passwords, *printed]:
        answer = run.world.http.post(
            "/token",
            base_url=run.world.services.settings.issuer,
            data={"grant_type": "client_credentials"},
            headers={"Authorization": basic("demo-merchant", word)},
        )
        assert answer.status_code == 401
    assert door.browser.cookie("sid") is None


def _printed() -> Iterator[str]:
    """What stands for a password or a secret in the documents, examples and settings of the project."""
    found = set()
    kinds = r"(?:password|secret|passwd|pwd|token)[\"']?\s*(?:[:=]|is)\s*[\"'`]?([^\s\"'`,;)}\]]{4,64})"
    for pattern in (
        "*.md",
        "docs/*.md",
        "examples/**/*.py",
        "authserver/cli/*.py",
        "deploy/**/*",
        "Makefile",
    ):
        for path in ROOT.glob(pattern):
            if path.is_file():
                found |= set(re.findall(kinds, path.read_text("utf-8", "replace"), re.I))
    yield from found


def fresh_database(run: Run) -> None:
    """A database just migrated knows no person, client, API, key or credential."""
    with TemporaryDirectory() as name:
        settings = make_settings(Path(name), f"sqlite:///{name}/fresh.db")
        services = services_of(create_app(settings))
        migrate.upgrade(services.database)
        with services.database.reading() as connection:
            counts = {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in Base.metadata.sorted_tables
            }
        services.database.engine.dispose()
    assert {name for name, count in counts.items() if count} <= {
        "cache_version",
        "rate_tier",
        "scope",
        "audit_head",
    }


def link_names_the_issuer(run: Run) -> None:
    """An operator's link begins with the configured issuer; forged headers change no answer."""
    issuer = run.world.services.settings.issuer
    result = command(run, "users", "create", "--username", "carol", "--email", "carol@example.com")
    assert result.exit_code == 0, result.output
    (link,) = re.findall(r"link: (\S+)", result.output)
    assert re.fullmatch(re.escape(issuer) + r"/enrol\?token=[\w-]{43}", link)
    token = link.partition("token=")[2]
    run.secrets.add(token)
    for header, value in FORGED.items():
        for path in ("/login", link.removeprefix(issuer), "/account", "/"):
            answer = send(browser(run), "GET", path, **{header: value})
            assert "evil" not in answer.text + str(answer.headers), (header, path)
    assert _set_password(run, token, NEW_PASSWORD).status_code == 303


# --- the form itself --------------------------------------------------------------------------------


def password_in_address(run: Run) -> None:
    """A password in an address logs nobody in, and no log keeps it."""
    person(run)
    secret = "query-string-secret-1"
    run.secrets.add(secret)
    held = browser(run)
    with nothing_changes(run):
        for method in ("GET", "HEAD"):
            for password in (PASSWORD, secret):
                answer = send(held, method, f"/login?{_query(username='alice', password=password)}")
                assert answer.status_code == 400
                assert reasons_of(run, answer) == ["http.rejected/password_in_url"]
                check_page(answer, PASSWORD, secret)
        for path in ("/account", "/logout", "/enrol", "/consent", "/", "/nothing", "/authorize/resume"):
            send(held, "GET", f"{path}?{_query(username='alice', password=secret)}")
    # in the address of a form that is sent by POST it is not looked at either
    door = _Door(run)
    answer = door.browser.post(f"/login?{_query(username='alice', password=PASSWORD)}", door.fields)
    assert answer.status_code == 401
    assert door.browser.cookie("sid") is None


def forms_of_other_sites(run: Run, types: list[str], bodies: list[str], origins: list[str]) -> None:
    """What a page of another site can make a browser send logs nobody in, whatever it calls itself."""
    person(run)
    door = _Door(run)
    good = door.fields | {"username": "alice", "password": PASSWORD}
    with nothing_changes(run):
        for kind in types:
            for body in bodies:
                answer = door.browser.post("/login", body.encode(), **{"Content-Type": kind})
                assert answer.status_code == 415, (kind, answer.status_code)
                check_page(answer, PASSWORD)
                assert reasons_of(run, answer) == ["http.rejected/content_type"]
        for origin in origins:
            for kind in ("application/x-www-form-urlencoded", *types):
                answer = door.browser.post("/login", good, Origin=origin, **{"Content-Type": kind})
                assert answer.status_code == 403, (origin, kind)
                check_page(answer, PASSWORD)
                assert reasons_of(run, answer) == ["csrf.rejected/origin"]
        for site in ("cross-site", "same-site", "", "CROSS-SITE", "x"):
            answer = door.browser.post("/login", good, Sec_Fetch_Site=site)
            assert (answer.status_code, reasons_of(run, answer)) == (403, ["csrf.rejected/fetch_site"])
    assert door.browser.post("/login", good, Origin=door.browser.issuer).status_code == 303


def nowhere_else_after_login(run: Run, requests: list[str], names: list[str]) -> None:
    """After a login a browser goes home or resumes a request: never to an address that the form names."""
    person(run)
    for request in requests:
        answer = _Door(run).attempt("alice", PASSWORD, request=request)
        assert (answer.status_code, answer.location) == (303, "/account"), request
    for name in names:
        for value in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"):
            door = _Door(run)
            door.browser.get(f"/login?{_query(**{name: value})}")
            answer = door.attempt("alice", PASSWORD, **{name: value})
            assert (answer.status_code, answer.location) == (303, "/account"), (name, value)
    answer = _Door(run).attempt("alice", PASSWORD, request="r" * 43)
    assert answer.location == f"/authorize/resume?request={'r' * 43}"


def names_that_are_one(run: Run, spellings: list[str], others: list[str]) -> None:
    """Spellings of a name that is there cannot be given out again; ``others`` find nobody."""
    person(run)
    for spelling in spellings:
        result = command(run, "users", "create", "--username", spelling)
        assert result.exit_code == 2, (spelling, result.output)
    assert [user.username for user in run.world.services.users.all()].count("alice") == 1
    door = _Door(run)
    for other in others:
        door.refused(other, "unknown_user", PASSWORD)
    assert _user(run).failures == 0


def _user(run: Run, name: str = "alice") -> UserRecord:
    found = run.world.services.users.find(name)
    assert found is not None
    return found


def _query(**values: str) -> str:
    return urlencode(values)
