"""Attacks on logging in: names that may exist, guesses, sprays, links, forms of other sites."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from plugins.people import PASSWORD, hidden_fields

from ..runner import Run
from ._door import LOCK_SECONDS, MAX_FAILURES, WRONG, Door, query_of, set_password, user
from ._pages import (
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
from ._walk import NEW_PASSWORD

# --- who exists -------------------------------------------------------------------------------------


def one_answer(run: Run, people: dict[str, str]) -> None:
    """By name or e-mail address, with a wrong or the right password: everybody gets one and the same answer.

    ``people`` gives each name the reason that the audit log has for it.
    """
    door = Door(run)
    for name in ("alice", "locked", "disabled"):
        person(run, name)
    person(run, "unverified", None)
    door.lock("locked")
    run.world.services.users.disable(user(run, "disabled").user_id)
    known = {one.username: one.user_id for one in run.world.services.users.all()}
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
    door = Door(run)
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
    services.links.make(user(run, "replaced").user_id, "enrol")
    services.users.disable(user(run, "disabled").user_id)
    assert set_password(run, tokens["used"], NEW_PASSWORD).status_code == 303
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
            query = f"/enrol?{query_of(token=token)}"
            for answer in (held.get(query), held.post("/enrol", form | new | {"token": token})):
                assert answer.status_code == 410, token
                check_page(answer)
                assert reasons_of(run, answer) == ["user.link.rejected/link_over"]
                answers.add(alike(answer))
    assert len(answers) == 1
    assert set_password(run, live, NEW_PASSWORD).status_code == 303


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
                    held.get(f"{path}?{query_of(username=name)}", Accept="text/html"),
                    held.post(path, asked),
                ):
                    assert answer.status_code == 404, path
                    assert name not in answer.text


# --- guesses ----------------------------------------------------------------------------------------


def five_failures(run: Run) -> None:
    """The fifth failure locks for half an hour, the right password included; then all is as before."""
    person(run)
    door = Door(run)
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
    assert (user(run).failures, user(run).locked_until) == (0, None)


def failures_add_up(run: Run, spellings: list[str], addresses: list[str]) -> None:
    """Another spelling, address, browser or request is no way around the count; a lock does not grow."""
    person(run)
    person(run, "bob")
    for number, (spelling, address) in enumerate(zip(spellings, addresses, strict=True)):
        reason = "bad_password" if number < MAX_FAILURES else "blocked"
        Door(run, address=address).refused(spelling, reason)
    assert len(run.world.events("account.blocked")) == 1
    run.clock.walk(60)
    with nothing_changes(run, "replay"):  # what an attempt writes where it may not count
        for spelling, address in zip(spellings, addresses, strict=True):
            Door(run, address=address).refused(spelling, "blocked", PASSWORD)
    assert Door(run).attempt("bob", PASSWORD).status_code == 303
    run.clock.walk(LOCK_SECONDS - 60)
    assert Door(run).attempt("alice", PASSWORD).status_code == 303


def guesses_at_once(run: Run, guesses: int) -> None:
    """Of many at the same time five are looked at; the right password among those after them is not."""
    person(run)
    first = Door(run)
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
    assert run.world.services.sessions.list(user(run).user_id) == []


def a_right_one_in_between(run: Run) -> None:
    """Only a right password of the same person begins the count anew."""
    person(run)
    person(run, "mallory")
    for _ in range(2):
        for _ in range(MAX_FAILURES - 1):
            Door(run).refused("alice", "bad_password")
        # the attacker's own account changes nothing for alice
        assert Door(run).attempt("mallory", PASSWORD).status_code == 303
        assert user(run).failures == MAX_FAILURES - 1
        assert Door(run).attempt("alice", PASSWORD).status_code == 303
        assert user(run).failures == 0
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
    door = Door(run)
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
    assert (user(run).failures, user(run, "bob").failures) == (1, 1)
    assert Door(run, address="203.0.113.1").attempt("alice", PASSWORD).status_code == 303


def one_address_by_many_names(run: Run, addresses: list[str], headers: dict[str, str]) -> None:
    """Every address of ``addresses`` counts as the same one, whatever ``headers`` say of it."""
    door = Door(run)
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
        door = Door(run)
        statuses.append(door.attempt(f"user{number}").status_code)
        if number < 15:
            assert door.attempt("mallory", PASSWORD).status_code == 303
    assert statuses == [401] * 20 + [429] * 10


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
                answer = send(held, method, f"/login?{query_of(username='alice', password=password)}")
                assert answer.status_code == 400
                assert reasons_of(run, answer) == ["http.rejected/password_in_url"]
                check_page(answer, PASSWORD, secret)
        for path in ("/account", "/logout", "/enrol", "/consent", "/", "/nothing", "/authorize/resume"):
            send(held, "GET", f"{path}?{query_of(username='alice', password=secret)}")
    # in the address of a form that is sent by POST it is not looked at either
    door = Door(run)
    answer = door.browser.post(f"/login?{query_of(username='alice', password=PASSWORD)}", door.fields)
    assert answer.status_code == 401
    assert door.browser.cookie("sid") is None


def forms_of_other_sites(run: Run, types: list[str], bodies: list[str], origins: list[str]) -> None:
    """What a page of another site can make a browser send logs nobody in, whatever it calls itself."""
    person(run)
    door = Door(run)
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
        answer = Door(run).attempt("alice", PASSWORD, request=request)
        assert (answer.status_code, answer.location) == (303, "/account"), request
    for name in names:
        for value in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"):
            door = Door(run)
            door.browser.get(f"/login?{query_of(**{name: value})}")
            answer = door.attempt("alice", PASSWORD, **{name: value})
            assert (answer.status_code, answer.location) == (303, "/account"), (name, value)
    answer = Door(run).attempt("alice", PASSWORD, request="r" * 43)
    assert answer.location == f"/authorize/resume?request={'r' * 43}"


def names_that_are_one(run: Run, spellings: list[str], others: list[str]) -> None:
    """Spellings of a name that is there cannot be given out again; ``others`` find nobody."""
    person(run)
    for spelling in spellings:
        result = command(run, "users", "create", "--username", spelling)
        assert result.exit_code == 1, (spelling, result.output)
    assert [one.username for one in run.world.services.users.all()].count("alice") == 1
    door = Door(run)
    for other in others:
        door.refused(other, "unknown_user", PASSWORD)
    assert user(run).failures == 0
