"""A copy of one's data, and the end of an account: for whoever has just signed in, and nobody else."""

from __future__ import annotations

import json

import pytest
from asking import Asking, answer, decide, payment, start
from plugins.app import Moving
from plugins.factors import give_totp, prove, told
from plugins.people import Browser, add_user, hidden_fields
from test_query_budgets import statements

from authserver.personal_data.tables import TABLES

DATA = "/account/data"
EXPORT, DELETE, KEEP = (f"{DATA}/{name}" for name in ("export", "delete", "keep"))
PAYS = {"scope": "openid payments:initiate", "authorization_details": payment()}


def rejected(asking: Asking) -> list[tuple[str, str]]:
    rows = asking.events("account.change.rejected")
    return [(row["reason"], row["detail"]["change"]) for row in rows]


@pytest.mark.spec("GDPR", "15(3)")
def test_a_person_gets_all_that_is_held_of_them_and_no_secret(asking: Asking, moving_clock: Moving) -> None:
    services = asking.world.services
    given = give_totp(asking.app, asking.alice)
    add_user(services, "mallory")
    mallory = Browser(asking.app, address="198.51.100.5")
    mallory.log_in("mallory")
    decide(mallory, start(mallory, "pay1", **PAYS))
    services.links.make(asking.alice, "reset")
    moving_clock.walk(30)
    browser = asking.browser()
    browser.log_in()
    prove(browser, given.app.code())
    asking.redeem(answer(decide(browser, start(browser)))["code"])
    decide(browser, start(browser, "pay1", **PAYS))
    done = browser.post(EXPORT, hidden_fields(browser.get(DATA).text, EXPORT), User_Agent="Phone/1")
    assert done.status_code == 200
    assert done.mimetype == "application/json"
    assert done.headers["Content-Disposition"] == 'attachment; filename="my-data.json"'
    assert done.headers["Cache-Control"] == "no-store"
    document = json.loads(done.text)
    assert document["complete"] is True
    data = document["data"]
    assert {name for name, held in TABLES.items() if held.told} == set(data)
    (person,) = data["user_account"]
    assert (person["username"], person["email"]) == ("alice", "alice@example.com")
    assert {row["client_id"] for row in data["consent_grant"]} == {"shop", "pay1"}
    assert [row["authorization_details"] is not None for row in data["authorization"]].count(True) == 1
    assert len(data["recovery_code"]) == 10
    signed_in = next(row for row in data["audit_event"] if row["event"] == "login.succeeded")
    assert signed_in["client_ip"] == browser.address
    newest = data["audit_event"][0]
    assert (newest["event"], newest["user_agent"]) == ("user.data.exported", "Phone/1")
    # nobody else's, and nothing that opens anything
    assert mallory.address not in done.text
    assert "mallory" not in done.text
    secrets = [given.app.secret, *given.codes, browser.cookie("sid") or "-", browser.cookie("csrf") or "-"]
    for secret in (*secrets, "argon2", "password_hash", "bad_password", "sealed"):
        assert secret not in done.text, secret


def test_nothing_is_copied_or_deleted_by_a_link_another_site_or_a_stale_session(
    asking: Asking, moving_clock: Moving
) -> None:
    services, browser = asking.world.services, asking.browser(logged_in=True)
    page, sure = browser.get(DATA), browser.get(DELETE)
    forms = {EXPORT: hidden_fields(page.text, EXPORT), DELETE: hidden_fields(sure.text, DELETE)}
    for path, fields in forms.items():
        other = forms[EXPORT if path == DELETE else DELETE]
        assert browser.post(path, {}).status_code == 403
        # a form that signs somebody out, say, deletes nothing
        assert browser.post(path, other).status_code == 403
        assert browser.post(path, fields, Origin="https://evil.example").status_code == 403
    assert browser.get(EXPORT).status_code == 405
    for _ in range(2):
        assert browser.get(f"{DELETE}?csrf={forms[DELETE]['csrf']}").status_code == 200
    moving_clock.walk(290)
    browser.get("/account")
    moving_clock.walk(11)
    for path, fields in forms.items():
        refused = browser.post(path, fields)
        assert refused.status_code == 403
        assert 'href="/login?then=data"' in refused.text
    assert rejected(asking) == [("session_stale", "export"), ("session_stale", "erasure")]
    assert f'action="{EXPORT}"' not in browser.get(DATA).text
    assert f'action="{DELETE}"' not in browser.get(DELETE).text
    assert services.erasure.due_at(asking.alice) is None
    assert asking.events("user.data.exported") == []
    assert [asking.browser().get(path).location for path in (DATA, DELETE)] == ["/login?then=data"] * 2
    away = asking.browser()
    away.get("/login")
    for path, fields in forms.items():
        assert away.post(path, fields).status_code == 403


def test_a_password_alone_is_not_enough_for_who_has_more(asking: Asking, moving_clock: Moving) -> None:
    browser = asking.browser(logged_in=True)
    fields = hidden_fields(browser.get(DATA).text, EXPORT)
    give_totp(asking.app, asking.alice)
    assert browser.post(EXPORT, fields).status_code == 403
    assert rejected(asking) == [("session_stale", "export")]


@pytest.mark.spec("GDPR", "17")
def test_a_deletion_says_what_stays_waits_and_can_be_taken_back(asking: Asking, moving_clock: Moving) -> None:
    services, browser = asking.world.services, asking.browser(logged_in=True)
    page = browser.get(DELETE)
    for part in ("art. 17(3)(b)", "13 months", "After seven days"):
        assert part in page.text
    done = browser.submit(page, DELETE)
    assert (done.status_code, done.location) == (303, f"{DATA}?notice=erasure_requested")
    page = browser.get(done.location)
    assert "25 November 2026" in page.text
    # all works as before, and every visit says what is coming
    assert "This account will be deleted on" in browser.get("/account").text
    assert told(asking.app, asking.alice) == ["erasure_requested"]
    # to keep it one need not be fresh
    moving_clock.walk(290)
    browser.get("/account")
    moving_clock.walk(290)
    done = browser.submit(page, KEEP)
    assert (done.status_code, done.location) == (303, f"{DATA}?notice=kept")
    assert browser.submit(page, KEEP).status_code == 404
    assert services.erasure.due_at(asking.alice) is None
    assert told(asking.app, asking.alice) == ["erasure_requested", "erasure_cancelled"]
    assert "will be deleted" not in browser.get("/account").text


def test_nobody_deletes_or_keeps_somebody_else(asking: Asking) -> None:
    services = asking.world.services
    mallory_id = add_user(services, "mallory")
    alice, mallory = asking.browser(logged_in=True), asking.browser()
    mallory.log_in("mallory")
    alice.submit(alice.get(DELETE), DELETE)
    due = services.erasure.due_at(asking.alice)
    token = hidden_fields(mallory.get(DATA).text, EXPORT)
    assert mallory.post(KEEP, token | {"user_id": asking.alice}).status_code == 404
    mallory.post(EXPORT, token | {"user_id": asking.alice})
    form = hidden_fields(mallory.get(DELETE).text, DELETE)
    mallory.post(DELETE, form | {"user_id": asking.alice})
    assert services.erasure.due_at(asking.alice) == due
    assert services.erasure.due_at(mallory_id) is not None


def test_looking_writes_nothing(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    for path in (DATA, DELETE, "/account/activity", "/account/email", "/account/sessions"):
        browser.get(path)
        with statements(asking.world.services) as seen:
            assert browser.get(path).status_code == 200
        assert {statement.split()[0] for statement in seen} == {"SELECT"}, path
