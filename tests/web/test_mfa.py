"""Second factors in a browser: proved at login, forced where policy asks, changed by who just proved all."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from plugins.app import Moving, World
from plugins.factors import SECURITY, App, Enrolled, begin, codes_of, give_totp, prove, told
from plugins.passkeys import give_passkey, log_in
from plugins.people import Browser, add_user, hidden_fields
from sqlalchemy import select, update

from authserver import acr
from authserver.app import services_of
from authserver.db import Base, table_of
from authserver.login import totp_secrets
from authserver.login.mfa import Spent
from authserver.models.factor import TotpSecret


@pytest.fixture
def enrolled(browser: Browser, moving_clock: Moving) -> Enrolled:
    user = services_of(browser.app).users.find("alice")
    assert user is not None
    given = give_totp(browser.app, user.user_id)
    moving_clock.walk(30)
    return given


def events(browser: Browser, prefix: str = "mfa.") -> list[tuple[str, str]]:
    rows = World(browser.app, services_of(browser.app)).events()
    return [(row["event"], row["reason"]) for row in rows if row["event"].startswith(prefix)]


def everything(browser: Browser) -> str:
    """All that rests in the database."""
    with services_of(browser.app).database.reading() as connection:
        return str([connection.execute(select(table)).all() for table in Base.metadata.sorted_tables])


def test_whoever_has_a_second_factor_is_asked_for_it(browser: Browser, enrolled: Enrolled) -> None:
    browser.log_in()
    before = browser.cookie("sid")
    # until then nothing of the account opens
    for path in ("/account", SECURITY, "/account/password"):
        assert browser.get(path).location.partition("?")[0] == "/mfa"
    answer = prove(browser, enrolled.app.code())
    assert (answer.status_code, answer.location) == (303, "/account")
    assert browser.cookie("sid") != before
    assert "Alice" in browser.get("/account").text
    assert events(browser)[-1] == ("mfa.succeeded", "totp")
    assert browser.get("/mfa").location == "/account"


def test_the_old_cookie_is_worth_nothing_after_it(browser: Browser, enrolled: Enrolled) -> None:
    browser.log_in()
    before = browser.cookie("sid")
    prove(browser, enrolled.app.code())
    assert before is not None
    browser.set_cookie("sid", before)
    assert browser.get("/account").location == "/login"


def test_a_code_counts_once_and_none_from_before_it(browser: Browser, enrolled: Enrolled) -> None:
    used, earlier = enrolled.app.code(), enrolled.app.code(-1)
    browser.log_in()
    prove(browser, used)
    for code in (used, earlier):
        again = Browser(browser.app)
        again.log_in()
        assert prove(again, code).status_code == 401
        assert events(browser)[-1] == ("mfa.replay", "totp")


def test_of_many_at_once_one_uses_the_code(browser: Browser, enrolled: Enrolled) -> None:
    others = [Browser(browser.app) for _ in range(4)]
    for other in others:
        other.log_in()
    code = enrolled.app.code()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda other: prove(other, code).status_code, others))
    assert sorted(answers) == [303, 401, 401, 401]


def test_five_failures_over_all_factors_lock_though_the_password_is_right(
    browser: Browser, enrolled: Enrolled, moving_clock: Moving
) -> None:
    """Whoever knows the password has no more guesses at the second factor for it."""
    browser.log_in()
    prove(browser, "000000")
    prove(browser, "0" * 24, "recovery_code")
    browser.log_in()
    prove(browser, "000000")
    Browser(browser.app).log_in(password="wrong")
    prove(browser, "000000")
    assert events(browser, "account.") == [("account.blocked", "five_failures")]
    assert prove(browser, enrolled.app.code()).status_code == 401
    assert Browser(browser.app).log_in().status_code == 401
    moving_clock.walk(1801)
    again = Browser(browser.app)
    again.log_in()
    assert prove(again, enrolled.app.code()).status_code == 303


@pytest.mark.spec("NIST SP 800-63B-4", "3.2.2")
def test_a_hundred_wrong_codes_over_whatever_time_are_the_most_that_an_app_allows(
    browser: Browser, enrolled: Enrolled, moving_clock: Moving
) -> None:
    services = services_of(browser.app)
    alice = services.users.find("alice")
    assert alice is not None

    def wrong(times: int) -> None:
        for number in range(times):
            if number % 5 == 0:
                moving_clock.walk(1801)
            assert services.mfa.judge(alice.user_id, "totp", "x") is None

    wrong(99)
    moving_clock.walk(1801)
    browser.log_in()
    assert prove(browser, enrolled.app.code()).status_code == 303
    # those before a right one count no more
    wrong(100)
    moving_clock.walk(1801)
    browser = Browser(browser.app)
    browser.log_in()
    page = browser.get("/mfa")
    assert "not accepted any more" in page.text
    answer = browser.submit(page, "/mfa", code=enrolled.app.code(), factor="totp")
    assert answer.status_code == 401
    assert events(browser, "mfa.suspended") == [("mfa.suspended", "totp")]
    assert services.mfa.judge(alice.user_id, "totp", "x") is None
    assert told(browser.app, alice.user_id).count("app_suspended") == 1
    assert prove(browser, enrolled.codes[0], "recovery_code").status_code == 303
    assert "Not accepted" not in browser.get(SECURITY).text
    again = Browser(browser.app)
    again.log_in()
    moving_clock.walk(60)
    assert prove(again, enrolled.app.code()).status_code == 303


def test_of_codes_at_once_none_counts_past_the_hundredth_wrong_one(
    browser: Browser, enrolled: Enrolled
) -> None:
    """A right one that was judged before the last wrong one and is spent after it."""
    services = services_of(browser.app)
    alice = services.users.find("alice")
    assert alice is not None
    judged = services.mfa.judge(alice.user_id, "totp", enrolled.app.code())
    assert judged is not None
    with services.database.writing() as connection:
        connection.execute(update(table_of(TotpSecret)).values(misses=totp_secrets.MOST_MISSES - 1))
    assert services.mfa.judge(alice.user_id, "totp", "x") is None
    with pytest.raises(Spent), services.database.writing() as connection:
        services.mfa.spend_in(connection, judged)
    assert services.mfa.factors(alice.user_id).totp_rests


def test_a_recovery_code_counts_once_in_any_spelling_but_of_other_letters(
    browser: Browser, enrolled: Enrolled
) -> None:
    first, second, third = enrolled.codes[:3]
    for spelling in (first, second.lower(), third.replace("-", " ")):
        browser = Browser(browser.app)
        browser.log_in()
        assert prove(browser, spelling, "recovery_code").status_code == 303
    browser = Browser(browser.app)
    browser.log_in()
    assert prove(browser, first, "recovery_code").status_code == 401
    assert events(browser)[-1] == ("mfa.replay", "recovery_code")
    alike = enrolled.codes[3].replace("0", "O").replace("1", "I") + (
        "" if re.search("[01]", enrolled.codes[3]) else "O"
    )
    assert prove(browser, alike, "recovery_code").status_code == 401
    assert events(browser)[-1] == ("mfa.failed", "recovery_code")


def test_secrets_rest_sealed_and_are_shown_once(browser: Browser) -> None:
    browser.log_in()
    page, app = begin(browser)
    assert page.headers["Cache-Control"] == "no-store"
    assert "<svg" in page.text
    answer = browser.submit(page, "/account/totp/confirm", code=app.code())
    codes = codes_of(answer)
    assert len(set(codes)) == 10
    dump = everything(browser)
    shown = "".join(browser.get(path).text for path in ("/account", SECURITY))
    for secret in (app.secret, *codes, *(code.replace("-", "") for code in codes)):
        assert secret not in dump
        assert secret not in shown


def test_an_app_counts_once_confirmed_and_the_old_one_until_then(
    browser: Browser, enrolled: Enrolled, moving_clock: Moving
) -> None:
    browser.log_in()
    prove(browser, enrolled.app.code())
    _, unused = begin(browser)
    page, new = begin(browser)
    # a code of another pending secret, or of the old app, confirms nothing
    for wrong in (unused.code(), enrolled.app.code()):
        assert browser.submit(page, "/account/totp/confirm", code=wrong).status_code == 400
    assert events(browser)[-1] == ("mfa.enrol.rejected", "code")
    moving_clock.walk(30)
    second = Browser(browser.app)
    second.log_in()
    assert prove(second, enrolled.app.code()).status_code == 303
    answer = browser.submit(page, "/account/totp/confirm", code=new.code())
    assert answer.location == SECURITY + "?notice=totp_added"
    assert events(browser)[-1] == ("mfa.enrolled", "totp")
    moving_clock.walk(30)
    for code, status in ((enrolled.app.code(), 401), (new.code(), 303)):
        third = Browser(browser.app)
        third.log_in()
        assert prove(third, code).status_code == status


def test_changes_need_a_session_that_has_just_proved_all(
    browser: Browser, enrolled: Enrolled, moving_clock: Moving
) -> None:
    browser.log_in()
    prove(browser, enrolled.app.code())
    page = browser.get(SECURITY)
    moving_clock.walk(290)
    browser.get("/account")
    moving_clock.walk(11)
    for action, event in (
        ("/account/totp", "mfa.enrol.rejected"),
        ("/account/recovery-codes", "mfa.enrol.rejected"),
        ("/account/totp/remove", "mfa.remove.rejected"),
    ):
        refused = browser.submit(page, action)
        assert (refused.status_code, "Nothing was changed. How you sign in" in refused.text) == (403, True)
        assert 'href="/login?then=security"' in refused.text
        assert events(browser)[-1] == (event, "session_stale")
    assert "/login?then=security" in browser.get(SECURITY).text
    # the password alone is not enough, and the way back is kept
    answer = browser.submit(
        browser.get("/login?then=security"), "/login", username="alice", password="a purple dog walks home"
    )
    assert answer.location == SECURITY
    fields = hidden_fields(page.text, "/account/totp/remove")
    fields["csrf"] = hidden_fields(browser.get("/mfa").text, "/mfa")["csrf"]
    assert browser.post("/account/totp/remove", fields).status_code == 403
    assert browser.get(SECURITY).location == "/mfa?then=security"
    answer = browser.submit(browser.get("/mfa?then=security"), "/mfa", code=enrolled.app.code())
    assert answer.location == SECURITY
    assert browser.submit(browser.get(SECURITY), "/account/recovery-codes").status_code == 200


def test_the_last_factor_stays_and_nobody_elses_goes(browser: Browser, enrolled: Enrolled) -> None:
    services = services_of(browser.app)
    bob = add_user(services, "bob")
    give_totp(browser.app, bob)
    browser.log_in()
    prove(browser, enrolled.app.code())
    page = browser.get(SECURITY)
    assert browser.submit(page, "/account/totp/remove").status_code == 403
    assert events(browser)[-1] == ("mfa.remove.rejected", "last_factor")
    theirs = services.mfa.factors(bob).totp
    assert theirs is not None
    # with a passkey the app is not the last one: what keeps bob's is that it is not alice's
    alice = services.users.find("alice").user_id  # type: ignore[union-attr]
    _, device = give_passkey(browser.app, alice, "First"), give_passkey(browser.app, alice, "Second")
    assert log_in(browser, device).status_code == 303
    page = browser.get(SECURITY)
    assert browser.submit(page, "/account/totp/remove", totp_id=theirs).status_code == 404
    assert events(browser)[-1] == ("mfa.remove.rejected", "unknown_factor")
    assert browser.get("/account/totp/remove").status_code == 405
    assert services.mfa.factors(bob).totp == theirs
    assert services.mfa.factors(services.users.find("alice").user_id).totp  # type: ignore[union-attr]
    assert browser.submit(page, "/account/totp/remove").status_code == 303
    again = browser.submit(page, "/account/totp/remove")
    assert (again.status_code, "only second factor" in again.text) == (404, False)


def test_new_recovery_codes_void_the_old(browser: Browser, enrolled: Enrolled) -> None:
    browser.log_in()
    prove(browser, enrolled.app.code())
    answer = browser.submit(browser.get(SECURITY), "/account/recovery-codes")
    codes = codes_of(answer)
    assert len(codes) == 10
    for code, status in ((enrolled.codes[0], 401), (codes[0], 303)):
        other = Browser(browser.app)
        other.log_in()
        assert prove(other, code, "recovery_code").status_code == status


def test_a_policy_forces_enrolment_before_anything_opens(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f'[[rule]]\nacr = "{acr.MFA}"\n')
    app = make_app(factor_policy=path)
    user_id = add_user(services_of(app), "alice")
    browser = Browser(app)
    browser.log_in()
    for there in ("/account", SECURITY, "/mfa"):
        answer = browser.get(there)
        while answer.status_code == 303 and answer.location.partition("?")[0] != "/second-factor":
            answer = browser.get(answer.location)
        assert answer.location.partition("?")[0] == "/second-factor"
    page = browser.submit(browser.get("/second-factor"), "/account/totp")
    found = re.search(r"<code>([A-Z2-7 ]{39})</code>", page.text)
    assert found
    new = App(found[1].replace(" ", ""))
    answer = browser.submit(page, "/account/totp/confirm", code=new.code())
    assert "recovery" in answer.text.lower()
    assert "Alice" in browser.get("/account").text
    assert services_of(app).mfa.factors(user_id).totp
