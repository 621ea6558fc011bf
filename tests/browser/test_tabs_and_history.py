"""Two tabs, the back button and reload: nothing happens twice, and each page says where to go on."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .acts import button, check_out, expect_receipt, heading, pay, reach_approval, sign_in
from .stage import Stage

ANSWERED = "This request was answered already"
OUT_OF_DATE = "This page is out of date"


def paid(stage: Stage) -> int:
    return sum(order.tokens is not None for order in stage.merchant.orders.values())


def sign_out_and_in(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/logout")
    button(page, "Sign out").click()
    expect(heading(page, "You are signed out")).to_be_visible()
    page.goto(f"{stage.issuer}/login")
    sign_in(page, stage)
    expect(heading(page, "Your account")).to_be_visible()


def test_of_two_tabs_of_one_request_one_pays(page: Page, stage: Stage) -> None:
    reach_approval(page, stage)
    second = page.context.new_page()
    second.goto(page.url)
    before = paid(stage)
    pay(second, stage)
    expect_receipt(second, stage)
    pay(page, stage)
    expect(heading(page, ANSWERED)).to_be_visible()
    assert paid(stage) == before + 1


def test_two_requests_in_two_tabs_both_pay(page: Page, stage: Stage) -> None:
    second = page.context.new_page()
    check_out(page, stage)
    check_out(second, stage)
    sign_in(page, stage)
    # the form of the other tab is from before this login: it says so, and nobody has to sign in again
    sign_in(second, stage)
    expect(heading(second, OUT_OF_DATE)).to_be_visible()
    second.get_by_role("link", name="Go on from here").click()
    pay(page, stage)
    expect_receipt(page, stage)
    # approving has renewed the session: the other form is read once more before it counts
    pay(second, stage)
    expect(heading(second, OUT_OF_DATE)).to_be_visible()
    second.get_by_role("link", name="Go on from here").click()
    pay(second, stage)
    expect_receipt(second, stage)
    assert page.url != second.url


def test_a_question_from_before_somebody_signed_out_is_nobodys(page: Page, stage: Stage) -> None:
    reach_approval(page, stage)
    second = page.context.new_page()
    sign_out_and_in(second, stage)
    pay(page, stage)
    expect(heading(page, OUT_OF_DATE)).to_be_visible()
    page.get_by_role("link", name="Go on from here").click()
    expect(heading(page, "This request belongs to another browser")).to_be_visible()
    # the shop begins a new request, and that one is paid
    check_out(page, stage)
    pay(page, stage)
    expect_receipt(page, stage)


def test_a_form_from_before_a_login_works_after_the_reload_that_is_advised(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/login")
    sign_in(page, stage)
    button(page, "Sign out").click()
    expect(heading(page, "Sign out?")).to_be_visible()
    second = page.context.new_page()
    sign_out_and_in(second, stage)
    button(page, "Sign out").click()
    expect(heading(page, OUT_OF_DATE)).to_be_visible()
    expect(page.get_by_text("Go back, reload the page and try again.")).to_be_visible()
    page.go_back()
    page.reload()
    button(page, "Sign out").click()
    expect(heading(page, "You are signed out")).to_be_visible()


def test_going_back_after_the_approval_pays_no_second_time(page: Page, stage: Stage) -> None:
    reach_approval(page, stage)
    pay(page, stage)
    expect_receipt(page, stage)
    before = paid(stage)
    page.go_back()
    expect(heading(page, ANSWERED)).to_be_visible()
    assert paid(stage) == before


def test_going_back_after_the_login_leads_on_again(page: Page, stage: Stage) -> None:
    reach_approval(page, stage)
    page.go_back()
    expect(heading(page, "Sign in")).to_be_visible()
    page.go_forward()
    pay(page, stage)
    expect_receipt(page, stage)


def test_a_login_that_is_sent_again_after_going_back_leads_on(page: Page, stage: Stage) -> None:
    reach_approval(page, stage)
    page.go_back()
    sign_in(page, stage)
    pay(page, stage)
    expect_receipt(page, stage)


def test_a_reloaded_page_asks_the_same(page: Page, stage: Stage) -> None:
    check_out(page, stage)
    # a tab that is still on its way from one site to the other cannot be reloaded
    page.wait_for_load_state()
    page.reload()
    sign_in(page, stage)
    expect(heading(page, "Approve this payment?")).to_be_visible()
    page.wait_for_load_state()
    page.reload()
    before = paid(stage)
    pay(page, stage)
    expect_receipt(page, stage)
    assert paid(stage) == before + 1


def test_a_reloaded_refusal_of_a_password_is_still_a_form(page: Page, stage: Stage) -> None:
    check_out(page, stage)
    sign_in(page, stage, "fred", "not the password at all")
    expect(page.get_by_role("alert")).to_be_visible()
    page.reload()
    expect(page.get_by_role("alert")).to_be_visible()
    sign_in(page, stage, "fred")
    pay(page, stage, "fred")
    expect_receipt(page, stage)


def test_a_request_of_another_browser_is_not_gone_on_with(page: Page, stage: Stage) -> None:
    reach_approval(page, stage)
    assert page.context.browser is not None
    other = page.context.browser.new_context()
    try:
        tab = other.new_page()
        tab.goto(page.url)
        expect(heading(tab, "This request belongs to another browser")).to_be_visible()
    finally:
        other.close()
