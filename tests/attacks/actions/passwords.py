"""Passwords as people choose, lose and change them, and accounts that nobody made."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from asking import CALLBACK, VERIFIER, decide, follow
from asking import answer as answer_of
from plugins.app import basic, make_settings
from plugins.people import PASSWORD, Browser, hidden_fields
from sqlalchemy import func, select

from authserver import migrate
from authserver.app import create_app, services_of
from authserver.db import Base
from authserver.users.registry import users

from ..runner import Run
from ._door import LOCK_SECONDS, MAX_FAILURES, WRONG, Door, query_of, set_password, user
from ._pages import FORGED, alike, browser, check_page, nothing_changes, person, reasons_of, send
from ._terminal import command
from ._walk import NEW_PASSWORD, asked, register

ROOT = Path(__file__).resolve().parents[3]


def unusual_passwords(run: Run) -> None:
    """128 characters with spaces, emoji and loose accents: the whole of it opens, no part of it does."""
    word = "  Caf\u0065\u0301 \U0001f511\U0001f30a na\u0069\u0308ve \u00df \u05e9\u05dc\u05d5\u05dd "
    password = (word * 6)[:126] + "Z "
    assert len(password) == 128
    assert unicodedata.normalize("NFC", password) != password
    links = run.world.services.links
    assert set_password(run, links.make(person(run, "alice", None), "enrol"), password).status_code == 303
    others = [
        password.encode()[:72].decode(errors="ignore"), password[:127], password[:64], password.swapcase(),
        password.lower(), password.upper(), password.strip(), password.rstrip(), password + " ",
        " ".join(password.split()), password.replace("\U0001f511", ""), password.replace("\u0301", ""),
        unicodedata.normalize("NFKD", password.replace("\u00df", "ss")), password.replace("\u00df", "ss"),
        password[::-1], password * 2, password[1:],
    ]  # fmt: skip
    run.secrets |= {password, *others}
    door = Door(run)
    for other in others:
        door.refused("alice", "bad_password", other)
        # a right one in between keeps the account open
        assert Door(run).attempt("alice", password).status_code == 303
    # two keyboards' spellings of an accent are one
    assert Door(run).attempt("alice", unicodedata.normalize("NFC", password)).status_code == 303


def weak_passwords(run: Run, weak: list[str], fine: list[str]) -> None:
    """Each of ``weak`` is refused and spends no link, first password or later one; ``fine`` are taken."""
    links, user_id = run.world.services.links, person(run, "alice", None)
    for purpose in ("enrol", "reset"):
        token = links.make(user_id, purpose)
        for password in weak:
            answer = set_password(run, token, password)
            assert answer.status_code == 400, password
            check_page(answer, *([password] if len(password) > 8 else []))
            assert reasons_of(run, answer) == ["password.rejected/policy"], password
        assert set_password(run, token, fine[0]).status_code == 303
    held = browser(run)
    assert held.log_in("alice", fine[0]).status_code == 303
    page = held.get("/account/password")
    for password in weak:
        typed = {"password": fine[0], "new_password": password, "new_password_again": password}
        answer = held.submit(page, "/account/password", **typed)
        assert (answer.status_code, reasons_of(run, answer)) == (400, ["password.rejected/policy"]), password
    for password in fine:
        answer = set_password(run, links.make(user_id, "reset"), password)
        assert answer.status_code == 303, password
        assert Door(run).attempt("alice", password).status_code == 303


def a_new_password_ends_the_old(run: Run) -> None:
    """Set by a link, it ends every session of before, and the old one opens nothing."""
    user_id = person(run)
    before = browser(run, "alice")
    token = run.world.services.links.make(user_id, "reset")
    Door(run).refused("alice", "bad_password")
    assert set_password(run, token, NEW_PASSWORD).status_code == 303
    assert before.get("/account").location == "/login"
    (row,) = run.world.events("session.revoked")
    assert (row["reason"], row["user_id"]) == ("password_changed", user_id)
    assert len(run.world.events("password.changed")) == 2
    Door(run).refused("alice", "bad_password", PASSWORD)
    assert Door(run).attempt("alice", NEW_PASSWORD).status_code == 303
    assert set_password(run, token, PASSWORD).status_code == 410


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
    assert set_password(run, token, NEW_PASSWORD, **more).status_code == 303
    assert services.users.must(alice) == before
    user = services.users.must(bob)
    assert (user.username, user.email, user.name, user.state) == ("bob", "bob@example.com", "Bob", "active")
    door = Door(run)
    assert door.attempt("bob", NEW_PASSWORD, **more, password_again=PASSWORD).status_code == 401
    assert (
        door.attempt("bob", NEW_PASSWORD, **{k: v for k, v in more.items() if k != "username"}).status_code
        == 303
    )
    (session,) = services.sessions.list(bob)
    assert (session.acr, session.amr) == ("urn:authserver:acr:password", ("pwd",))


def no_default_accounts(run: Run, names: list[str], passwords: list[str]) -> None:
    """None of the usual names opens with any usual password, nor with anything that the project prints."""
    with run.world.services.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(users)).scalar_one() == 0
    door = Door(run)
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
    assert set_password(run, token, NEW_PASSWORD).status_code == 303


def change_while_signed_in(run: Run) -> None:
    """The current password once more, five times at most; then everything else that was signed in is out."""
    alice = person(run)
    register(run, "shop")
    held, elsewhere = browser(run, "alice"), browser(run, "alice")
    tokens = [_tokens(run, held, scope) for scope in ("openid profile", "openid profile offline_access")]
    stale = held.get("/account/password")
    new = {"new_password": NEW_PASSWORD, "new_password_again": NEW_PASSWORD}
    with nothing_changes(run):
        for current in ({}, {"password": ""}, {"password": "x" * 2000}):
            answer = held.submit(stale, "/account/password", **new | current)
            assert (answer.status_code, reasons_of(run, answer)) == (403, ["password.rejected/bad_password"])
            check_page(answer, NEW_PASSWORD)
        for weak in ("short", "passwordpassword", "alice@example.com"):
            typed = {"password": PASSWORD, "new_password": weak, "new_password_again": weak}
            answer = held.submit(stale, "/account/password", **typed)
            assert (answer.status_code, reasons_of(run, answer)) == (400, ["password.rejected/policy"])
        for again in ("", "seven brown foxes slept"):
            typed = {"password": PASSWORD, "new_password": NEW_PASSWORD, "new_password_again": again}
            assert held.submit(stale, "/account/password", **typed).status_code == 400
        same = {"password": PASSWORD, "new_password": PASSWORD, "new_password_again": PASSWORD}
        assert held.submit(stale, "/account/password", **same).status_code == 400
    for number in range(MAX_FAILURES + 1):
        answer = held.submit(stale, "/account/password", password=WRONG, **new)
        told = "bad_password" if number < MAX_FAILURES else "blocked"
        assert (answer.status_code, reasons_of(run, answer)[0]) == (403, f"password.rejected/{told}")
        if number in (0, MAX_FAILURES):
            run.saved[f"refused{number}"] = alike(answer)
    assert run.saved["refused0"] == run.saved[f"refused{MAX_FAILURES}"]
    assert held.submit(stale, "/account/password", password=PASSWORD, **new).status_code == 403
    Door(run).refused("alice", "blocked", PASSWORD)
    # the guesses of whoever found an open session have not ended it, nor what hangs on it
    assert held.get("/account").status_code == 200
    run.clock.walk(LOCK_SECONDS)
    for one in (held, elsewhere):
        # and half an hour without anybody has
        assert one.get("/account/password").location == "/login"
    done = held.submit(stale, "/account/password", password=PASSWORD, **new)
    assert (done.status_code, done.location) == (303, "/login")
    assert run.world.services.users.must(alice).failures == MAX_FAILURES
    assert held.log_in().status_code == elsewhere.log_in().status_code == 303
    tokens.append(_tokens(run, held, "openid"))
    before = held.cookie("sid")
    done = held.submit(held.get("/account/password"), "/account/password", password=PASSWORD, **new)
    assert (done.status_code, done.location) == (303, "/account?notice=password_changed")
    assert "password.changed/" in reasons_of(run, done)
    assert held.cookie("sid") not in (None, before)
    assert held.get("/account").status_code == 200
    assert elsewhere.get("/account").location == "/login"
    assert len(run.world.services.sessions.list(alice)) == 1
    for given in tokens:
        form = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
        answer = run.world.post("/token", as_="shop", form=form)
        assert (answer.status_code, answer.json["error"]) == (400, "invalid_grant")
    Door(run).refused("alice", "bad_password", PASSWORD)
    assert Door(run).attempt("alice", NEW_PASSWORD).status_code == 303


def change_by_somebody_else(run: Run) -> None:
    """A form of another person, of before a login or without a session changes nobody's password."""
    person(run)
    person(run, "mallory")
    held, mallory = browser(run, "alice"), browser(run, "mallory")
    page = held.get("/account/password")
    form = hidden_fields(page.text, "/account/password")
    more = {"password": PASSWORD, "new_password": NEW_PASSWORD, "new_password_again": NEW_PASSWORD}
    with nothing_changes(run):
        assert mallory.post("/account/password", form | more).status_code == 403
        assert browser(run).post("/account/password", form | more).status_code == 403
        own = hidden_fields(mallory.get("/account/password").text, "/account/password")
        assert held.post("/account/password", own | more).status_code == 403
    # her own form changes her own password, whomever it names
    names = {"username": "alice", "user_id": user(run).user_id, "user": "alice", "sub": "alice"}
    assert mallory.post("/account/password", own | more | names).status_code == 303
    assert Door(run).attempt("alice", PASSWORD).status_code == 303
    Door(run).refused("alice", "bad_password", NEW_PASSWORD)
    assert Door(run).attempt("mallory", NEW_PASSWORD).status_code == 303


def _tokens(run: Run, held: Browser, scope: str) -> dict[str, str]:
    """A token response for what the person of the browser allows now."""
    shown = follow(held, held.get(f"/authorize?{query_of(**asked('shop', scope=scope))}"))
    given = answer_of(shown if shown.status_code == 303 else decide(held, shown))
    redeemed = run.world.post(
        "/token",
        as_="shop",
        form={
            "grant_type": "authorization_code",
            "code": given["code"],
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        },
    )
    assert redeemed.status_code == 200, redeemed.text
    run.secrets |= {redeemed.json["access_token"], redeemed.json["refresh_token"]}
    return dict(redeemed.json)
