"""The next person at a browser: nothing that waited for the one before is theirs to see or to answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asking import Asking, answer, decide, follow, payment, request_id, start
from asking import ask as ask_
from plugins.app import Moving
from plugins.people import PASSWORD, Browser, add_user, hidden_fields
from werkzeug.test import TestResponse

HINT = "alice@private.example"
REFERENCE = "clinic bill"
SignOut = Callable[[Asking, Browser], object]


def ask(browser: Browser) -> TestResponse:
    """Where a request for a payment leads that alice has an account for."""
    details = payment(remittanceInformationUnstructured=REFERENCE)
    scope = "openid payments:initiate"
    return ask_(browser, "pay1", authorization_details=details, scope=scope, login_hint=HINT)


def sign_out(asking: Asking, browser: Browser) -> None:
    browser.submit(browser.get("/logout"), "/logout")


def sign_out_for_a_client(asking: Asking, browser: Browser) -> None:
    browser.submit(browser.get("/end_session"), "/end_session/confirm")


def sign_out_everywhere(asking: Asking, browser: Browser) -> None:
    browser.submit(browser.get("/account/sessions"), "/account/sessions/end-all")


def ended_elsewhere(asking: Asking, browser: Browser) -> None:
    asking.world.services.sessions.end_all(asking.alice, "by_operator")


SIGNED_OUT = [sign_out, sign_out_for_a_client, sign_out_everywhere]


def nothing_of_it_shows(browser: Browser, id_: str) -> None:
    for path in ("/authorize/resume", "/consent"):
        page = follow(browser, browser.get(f"{path}?request={id_}"))
        assert page.status_code == 403
        assert REFERENCE not in page.text
        assert HINT not in page.text
        assert "start again" in page.text


@pytest.mark.parametrize("leave", SIGNED_OUT)
def test_after_somebody_signed_out_their_request_is_nobodys(asking: Asking, leave: SignOut) -> None:
    browser = asking.browser(logged_in=True)
    asked = ask(browser)
    id_ = request_id(asked)
    # after alice's app was made: a password is all that bob needs
    add_user(asking.world.services, "bob")
    assert REFERENCE in follow(browser, asked).text
    leave(asking, browser)
    assert HINT not in browser.get(f"/login?request={id_}").text
    nothing_of_it_shows(browser, id_)
    browser.log_in("bob", request=id_)
    nothing_of_it_shows(browser, id_)
    csrf = hidden_fields(start(browser).text, "/consent")["csrf"]
    done = browser.post("/consent", {"txn": id_, "csrf": csrf, "decision": "approve", "account": "x"})
    assert done.status_code == 403
    assert asking.rows()["codes"] == 0


def test_it_is_not_the_next_persons_when_it_ended_elsewhere(asking: Asking) -> None:
    add_user(asking.world.services, "bob")
    browser = asking.browser(logged_in=True)
    asked = ask(browser)
    follow(browser, asked)
    ended_elsewhere(asking, browser)
    browser.log_in("bob", request=request_id(asked))
    nothing_of_it_shows(browser, request_id(asked))


def test_nor_when_the_one_before_was_idle_too_long(asking: Asking, moving_clock: Moving) -> None:
    add_user(asking.world.services, "bob")
    browser = asking.browser(logged_in=True)
    asked = ask(browser)
    follow(browser, asked)
    moving_clock.walk(310)
    browser.log_in("bob", request=request_id(asked))
    nothing_of_it_shows(browser, request_id(asked))


def test_the_same_person_goes_on_after_an_idle_time(asking: Asking, moving_clock: Moving) -> None:
    browser = asking.browser(logged_in=True)
    asked = ask(browser)
    follow(browser, asked)
    moving_clock.walk(310)
    page = follow(browser, browser.log_in(request=request_id(asked)))
    assert REFERENCE in page.text
    assert "code" in answer(decide(browser, page))


def test_who_says_not_you_leaves_this_one_request_to_the_other(asking: Asking) -> None:
    add_user(asking.world.services, "bob")
    browser = asking.browser(logged_in=True)
    asked, other = ask(browser), start(browser)
    page = follow(browser, asked)
    assert f'href="/login?request={request_id(asked)}">Not you?' in page.text
    form = browser.get(f"/login?request={request_id(asked)}")
    page = follow(browser, browser.submit(form, "/login", username="bob", password=PASSWORD))
    assert REFERENCE in page.text
    assert "Bob" in page.text
    # what waited for alice in another tab does not
    nothing = browser.get("/consent?request=" + hidden_fields(other.text, "/consent")["txn"])
    assert nothing.status_code == 403
    assert "code" in answer(decide(browser, page))


def test_who_logs_in_for_a_request_is_the_one_it_waits_for(asking: Asking) -> None:
    browser = asking.browser()
    asked = ask(browser)
    follow(browser, asked)
    page = follow(browser, browser.log_in(request=request_id(asked)))
    assert REFERENCE in page.text
