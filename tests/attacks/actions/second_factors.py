"""Attacks on second factors: codes used twice, guessed and drawn out, enrolments and removals by others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from plugins.factors import SECURITY, Enrolled, begin, codes_of, give_totp, prove, told
from plugins.people import PASSWORD, Browser, hidden_fields
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver.db import Base
from authserver.login.mfa import FRESH_SECONDS

from ..runner import Run
from ._pages import browser, check_page, person, reasons_of, send


def _enrolled(run: Run, name: str = "alice") -> Enrolled:
    """Somebody with a confirmed authenticator app, a step ago, and ten recovery codes."""
    given = give_totp(run.world.app, person(run, name))
    run.secrets |= {given.app.secret, *given.codes}
    run.clock.walk(30)
    return given


def _judged(run: Run, code: str, factor: str = "totp", name: str = "alice") -> tuple[int, list[str]]:
    """What a code gives after the password: the status, and what is on record of it."""
    answer = prove(browser(run, name), code, factor)
    check_page(answer)
    assert "code=" not in answer.headers.get("Location", "")
    return answer.status_code, [reason for reason in reasons_of(run, answer) if reason.startswith("mfa.")]


def _told(run: Run, name: str = "alice") -> list[str]:
    """What the person was told by mail."""
    user = run.world.services.users.find(name)
    assert user is not None
    # each browser of a case is new to the person, who hears of that too
    return [what for what in told(run.world.app, user.user_id) if what != "new_sign_in"]


def totp_twice(run: Run, at_once: int) -> None:
    """A code in its step a second time, ``at_once`` times together, and that of the step before it."""
    given = _enrolled(run)
    code, before = given.app.code(), given.app.code(-1)
    held = [browser(run, "alice") for _ in range(at_once)]
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(lambda one: prove(one, code), held))
    assert sorted(answer.status_code for answer in answers) == [303] + [401] * (at_once - 1)
    for spent in (code, before):
        assert _judged(run, spent) == (401, ["mfa.replay/totp"])
    run.clock.walk(30)
    assert _judged(run, given.app.code())[0] == 303


def drift(run: Run) -> None:
    """Codes of the steps around the present one: one to either side is right, whatever a client says."""
    given, seen = _enrolled(run), {}
    for step in (-2, 2, 3, -1, 0, 1):
        held = browser(run, "alice")
        page = held.get("/mfa")
        fields = hidden_fields(page.text, "/mfa") | {
            "code": given.app.code(step),
            "time": "0",
            "step": str(step),
        }
        answer = held.post("/mfa", fields, Date="Thu, 01 Jan 1970 00:00:00 GMT")
        seen[step] = answer.status_code
        if answer.status_code == 401:
            assert reasons_of(run, answer) == ["mfa.failed/totp"]
    assert seen == {-2: 401, 2: 401, 3: 401, -1: 303, 0: 303, 1: 303}


def enrolment_by_others(run: Run) -> None:
    """With an old session, never confirmed, by a code of another secret, or without proving the old one."""
    given = _enrolled(run)
    user = run.world.services.users.find("alice")
    assert user is not None
    first = run.world.services.mfa.factors(user.user_id)
    half = browser(run, "alice")
    token = hidden_fields(half.get("/mfa").text, "/mfa")["csrf"]
    # the password alone: the form's token is of another purpose, and there is no page with the right one
    assert half.get(SECURITY).status_code == 303
    assert half.post("/account/totp", {"csrf": token}).status_code == 403
    held = browser(run, "alice")
    prove(held, given.app.code())
    page, unused = begin(held)
    page, new = begin(held)
    for wrong in (unused.code(), given.app.code(), "000000", ""):
        answer = held.submit(page, "/account/totp/confirm", code=wrong)
        assert (answer.status_code, reasons_of(run, answer)) == (400, ["mfa.enrol.rejected/code"])
    stranger = _enrolled(run, "bob")
    theirs = browser(run, "bob")
    prove(theirs, stranger.app.code())
    others, _ = begin(theirs)
    fields = hidden_fields(others.text, "/account/totp/confirm") | {"code": new.code()}
    fields["totp_id"] = hidden_fields(page.text, "/account/totp/confirm")["totp_id"]
    answer = theirs.post("/account/totp/confirm", fields)
    assert (answer.status_code, reasons_of(run, answer)) == (403, ["mfa.enrol.rejected/unknown_secret"])
    assert run.world.services.mfa.factors(user.user_id) == first
    _grow_old(run, held)
    fields = hidden_fields(page.text, "/account/totp/confirm")
    for action in ("/account/totp/confirm", "/account/totp"):
        answer = held.post(action, fields | {"code": new.code()})
        assert (answer.status_code, reasons_of(run, answer)) == (403, ["mfa.enrol.rejected/session_stale"])
    assert run.world.services.mfa.factors(user.user_id) == first
    assert _told(run) == ["factor_added"]
    run.secrets |= {unused.secret, new.secret}
    # and confirmed in time, by its own code: the old one is replaced, and she is told
    fresh = browser(run, "alice")
    prove(fresh, given.app.code())
    page, new = begin(fresh)
    answer = fresh.submit(page, "/account/totp/confirm", code=new.code())
    assert "mfa.enrolled/totp" in reasons_of(run, answer)
    assert run.world.services.mfa.factors(user.user_id).totp not in (None, first.totp)
    assert _told(run) == ["factor_added"] * 2
    run.secrets.add(new.secret)


def _grow_old(run: Run, held: Browser) -> None:
    """The session lives on, and its proof is too old for changes."""
    for _ in range(2):
        run.clock.walk(FRESH_SECONDS // 2 + 1)
        assert held.get("/account").status_code == 200


def shown_once(run: Run) -> None:
    """The secret, its picture and its address: on one page, and nowhere after it."""
    person(run)
    held = browser(run, "alice")
    page, app = begin(held)
    _check_no_store(page)
    done = held.submit(page, "/account/totp/confirm", code=app.code())
    _check_no_store(done)
    secrets = {app.secret, " ".join(app.secret[at : at + 4] for at in range(0, 32, 4)), "otpauth:", "<svg"}
    secrets |= {*codes_of(done), *(code.replace("-", "") for code in codes_of(done))}
    assert len(secrets) == 24
    again = held.submit(page, "/account/totp/confirm", code=app.code())
    texts = [again.text] + [
        held.get(path).text for path in ("/account", SECURITY, "/account/password", "/mfa")
    ]
    for path in ("/account/totp", "/account/totp/confirm", "/account/recovery-codes"):
        answer = send(held, "GET", path)
        assert answer.status_code == 405
        texts.append(answer.text)
    with run.world.services.database.reading() as connection:
        tables = Base.metadata.sorted_tables
        texts.append(str([connection.execute(select(table)).all() for table in tables]))
    for secret in secrets:
        assert not [text for text in texts if secret in text]
    run.secrets |= secrets


def _check_no_store(page: TestResponse) -> None:
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")


def recovery_code_twice(run: Run, at_once: int) -> None:
    """A recovery code a second time, also ``at_once``."""
    given = _enrolled(run)
    held = [browser(run, "alice") for _ in range(at_once)]
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(lambda one: prove(one, given.codes[0], "recovery_code"), held))
    assert sorted(answer.status_code for answer in answers) == [303] + [401] * (at_once - 1)
    assert _judged(run, given.codes[0], "recovery_code") == (401, ["mfa.replay/recovery_code"])
    assert _told(run) == ["factor_added", "recovery_code_used"]


def recovery_codes_renewed(run: Run) -> None:
    """Old codes after new ones were made, and new ones in every spelling and with letters that look alike."""
    given = _enrolled(run)
    held = browser(run, "alice")
    prove(held, given.app.code())
    codes = codes_of(held.submit(held.get(SECURITY), "/account/recovery-codes"))
    run.secrets |= set(codes)
    assert _judged(run, given.codes[0], "recovery_code") == (401, ["mfa.failed/recovery_code"])
    spellings = (codes[0], codes[1].lower(), codes[2].replace("-", ""), codes[3].lower().replace("-", " "))
    for spelling in spellings:
        assert _judged(run, spelling, "recovery_code")[0] == 303
    twins = {"0": "O", "1": "I", "V": "U", "8": "B", "5": "S", "2": "Z", "A": "\u0410", "E": "\u0415"}
    alike = [codes[4].replace(is_, seems) for is_, seems in twins.items() if is_ in codes[4]][:3]
    for spelling in (*alike, codes[4][:-1], f"{codes[4]}0", "")[:4]:
        assert _judged(run, spelling, "recovery_code")[1] == ["mfa.failed/recovery_code"]
    assert _judged(run, codes[4], "recovery_code")[0] == 303


def factors_removed_by_others(run: Run) -> None:
    """By an old session, by the password alone, of somebody else, by GET, and the last one of all."""
    given, other = _enrolled(run), _enrolled(run, "bob")
    services = run.world.services
    ids = {}
    for name in ("alice", "bob"):
        user = services.users.find(name)
        assert user is not None
        ids[name] = user.user_id
    before = {name: services.mfa.factors(id_) for name, id_ in ids.items()}
    held = browser(run, "alice")
    prove(held, given.app.code())
    page = held.get(SECURITY)
    theirs = before["bob"].totp or ""
    for totp_id in (theirs, before["alice"].totp or "", "", "x" * 22):
        answer = held.submit(page, "/account/totp/remove", totp_id=totp_id)
        assert (answer.status_code, reasons_of(run, answer)) == (403, ["mfa.remove.rejected/last_factor"])
    for path in ("/account/totp/remove", "/account/recovery-codes"):
        assert send(held, "GET", f"{path}?totp_id={theirs}").status_code == 405
    _grow_old(run, held)
    for answer in (
        held.submit(page, "/account/totp/remove"),
        _by_password_alone(run, held, page),
    ):
        assert (answer.status_code, reasons_of(run, answer)) == (403, ["mfa.remove.rejected/session_stale"])
    assert {name: services.mfa.factors(id_) for name, id_ in ids.items()} == before
    assert other.codes


def _by_password_alone(run: Run, held: Browser, page: TestResponse) -> TestResponse:
    """The form, sent with a session that has proved the password anew and nothing else."""
    fields = hidden_fields(page.text, "/account/totp/remove")
    again = held.submit(held.get("/login?then=security"), "/login", username="alice", password=PASSWORD)
    assert again.status_code == 303
    # a token for this purpose in this session, as a page of it would have
    with run.world.app.test_request_context(headers={"Cookie": _cookies(held)}):
        from authserver.web import csrf

        fields["csrf"] = hidden_fields(f'<form action="/x">{csrf.field("factors")}</form>', "/x")["csrf"]
    return held.post("/account/totp/remove", fields)


def _cookies(held: Browser) -> str:
    return "; ".join(f"{name}={held.cookie(name)}" for name in ("sid", "csrf") if held.cookie(name))


def renewed_by_factors(run: Run) -> None:
    """A session planted before the second factor opens nothing after it, nor one from before a step-up."""
    given = _enrolled(run)
    held = browser(run, "alice")
    seen = [held.cookie("sid")]
    prove(held, given.app.code())
    seen.append(held.cookie("sid"))
    run.clock.walk(30)
    held.submit(held.get("/login?then=security"), "/login", username="alice", password=PASSWORD)
    seen.append(held.cookie("sid"))
    answer = held.submit(held.get("/mfa?then=security"), "/mfa", code=given.app.code())
    assert answer.headers["Location"] == SECURITY
    assert "session.rotated/" in reasons_of(run, answer)
    seen.append(held.cookie("sid"))
    assert len(set(seen)) == 4
    for old in seen[:-1]:
        thief = browser(run)
        assert old is not None
        thief.set_cookie("sid", old)
        for path in ("/account", SECURITY, "/mfa"):
            assert thief.get(path).headers["Location"].startswith("/login")
    assert held.get(SECURITY).status_code == 200


def guesses_over_all_factors(run: Run, at_once: int) -> None:
    """With the password known: wrong codes of every kind at once are five, then the right one fails too."""
    given = _enrolled(run)
    held = [browser(run, "alice") for _ in range(at_once)]

    def guess(place: int) -> int:
        kind = ("totp", "recovery_code")[place % 2]
        wrong = "0" * (6 if kind == "totp" else 24)
        return prove(held[place], wrong, kind).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(guess, range(at_once))) == {401}
    assert len(run.world.events("account.blocked")) == 1
    assert prove(held[0], given.app.code()).status_code == 401
    assert browser(run).log_in("alice").status_code == 401
    run.clock.walk(1801)
    assert _judged(run, given.app.code())[0] == 303
