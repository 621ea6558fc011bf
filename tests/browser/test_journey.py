"""A person pays in a real browser, or does not: each way through the pages, and what is said on each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from .acts import (
    BACK,
    SHOP,
    TO_SEE_ACCOUNTS,
    button,
    buy,
    check_out,
    expect_declined,
    expect_receipt,
    heading,
    pay,
    reach_approval,
    sign_in,
)
from .merchant import NAME
from .stage import Stage


def test_a_stranger_pays_in_the_demo_from_the_home_page_to_the_receipt(page: Page, stage: Stage) -> None:
    page.goto(stage.issuer)
    page.get_by_role("link", name="Go to the shop").or_(button(page, "Go to the shop")).click()
    expect(heading(page, "Your basket")).to_be_visible()
    button(page, "Pay with your bank").click()
    expect(page.get_by_text(f"to go on to {SHOP}")).to_be_visible()
    sign_in(page, stage, "alice")
    expect(heading(page, "Approve this payment?")).to_be_visible()
    receipt = page.get_by_role("article")
    expect(receipt.get_by_text("24.30 EUR", exact=True)).to_be_visible()
    expect(receipt.get_by_text("DE89 3704 0044 0532 0130 00")).to_be_visible()
    pay(page, stage, "alice")
    expect(heading(page, "Receipt")).to_be_visible()
    expect(page.get_by_text("Paid", exact=True)).to_be_visible()
    page.reload()
    expect(heading(page, "Receipt")).to_be_visible()


def test_a_payment_that_was_declined_in_the_demo_can_be_tried_again(page: Page, stage: Stage) -> None:
    buy(page, stage)
    button(page, f"Cancel and return to {SHOP}").click()
    expect(heading(page, "Payment not made")).to_be_visible()
    button(page, "Try again").click()
    sign_in(page, stage, "alice")
    pay(page, stage, "alice")
    expect(heading(page, "Receipt")).to_be_visible()


def test_a_payment_ends_at_a_receipt_on_a_third_origin(page: Page, stage: Stage) -> None:
    check_out(page, stage)
    expect(page.get_by_text(f"to go on to {NAME}")).to_be_visible()
    sign_in(page, stage)
    expect(heading(page, "Approve this payment?")).to_be_visible()
    receipt = page.get_by_role("article")
    for told in ("Hafen & Söhne GmbH", "DE89 3704 0044 0532 0130 00", "Order 4711, two garden chairs"):
        expect(receipt.get_by_text(told, exact=True)).to_be_visible()
    expect(receipt.get_by_text("It approves this payment and nothing else.")).to_be_visible()
    expect(page.get_by_role("radio")).to_have_count(2)
    pay(page, stage)
    expect_receipt(page, stage)
    expect(page.get_by_text("1234.50 EUR")).to_be_visible()


def test_the_account_that_the_payer_chooses_is_the_one_that_pays(page: Page, stage: Stage) -> None:
    reach_approval(page, stage)
    second = page.get_by_role("radio").nth(1)
    iban = second.get_attribute("value")
    second.check()
    pay(page, stage)
    expect_receipt(page, stage)
    tokens = stage.merchant.orders[page.url.rpartition("/")[2]].tokens
    assert tokens is not None
    assert tokens["authorization_details"][0]["debtorAccount"]["iban"] == iban


@pytest.mark.parametrize("scripts", [True, False])
def test_an_answer_in_a_form_reaches_the_third_origin_too(
    open_context: Callable[..., BrowserContext], stage: Stage, scripts: bool
) -> None:
    page = open_context(java_script_enabled=scripts).new_page()
    reach_approval(page, stage, query="?response_mode=form_post")
    pay(page, stage)
    if not scripts:
        expect(heading(page, "Going back to the application")).to_be_visible()
        button(page, "Continue").click()
    expect_receipt(page, stage)


def test_the_whole_journey_works_without_scripts(
    open_context: Callable[..., BrowserContext], stage: Stage
) -> None:
    page = open_context(java_script_enabled=False).new_page()
    reach_approval(page, stage)
    pay(page, stage)
    expect_receipt(page, stage)


def test_what_is_allowed_once_is_not_asked_again(page: Page, stage: Stage) -> None:
    check_out(page, stage, TO_SEE_ACCOUNTS)
    sign_in(page, stage, "emil")
    expect(heading(page, f"Allow {NAME}?")).to_be_visible()
    button(page, "Allow").click()
    expect_receipt(page, stage)
    check_out(page, stage, TO_SEE_ACCOUNTS)
    expect_receipt(page, stage)


def test_cancelling_at_the_login_returns_to_the_shop(page: Page, stage: Stage) -> None:
    check_out(page, stage)
    button(page, BACK).click()
    expect_declined(page, stage)


@pytest.mark.parametrize("query", ["", TO_SEE_ACCOUNTS + "&prompt=consent"])
def test_cancelling_at_the_question_returns_to_the_shop(page: Page, stage: Stage, query: str) -> None:
    check_out(page, stage, query)
    sign_in(page, stage)
    button(page, BACK).click()
    expect_declined(page, stage)


def test_an_expired_request_says_so_and_leads_back(page: Page, stage: Stage) -> None:
    reach_approval(page, stage)
    stage.let_expire(page.url)
    pay(page, stage)
    expect(heading(page, "This request is too old")).to_be_visible()
    button(page, BACK).click()
    expect_declined(page, stage)


def test_a_request_that_expires_at_the_login_says_so_and_leads_back(page: Page, stage: Stage) -> None:
    check_out(page, stage)
    stage.let_expire(page.url)
    sign_in(page, stage)
    expect(heading(page, "This request is too old")).to_be_visible()
    button(page, BACK).click()
    expect_declined(page, stage)


def test_a_wrong_password_is_told_and_the_right_one_goes_on(page: Page, stage: Stage) -> None:
    check_out(page, stage)
    sign_in(page, stage, "fred", "not the password at all")
    expect(page.get_by_role("alert")).to_contain_text("Check the user name and the password.")
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    sign_in(page, stage, "fred")
    pay(page, stage, "fred")
    expect_receipt(page, stage)


def test_the_typed_password_can_be_looked_at(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/login")
    field = page.get_by_label("Password", exact=True)
    field.fill("what did I type")
    button(page, "Show password").click()
    expect(field).to_have_attribute("type", "text")
    expect(field).to_be_focused()
    button(page, "Hide password").click()
    expect(field).to_have_attribute("type", "password")


def test_somebody_else_can_sign_in_from_the_question(page: Page, stage: Stage) -> None:
    reach_approval(page, stage)
    page.get_by_role("link", name="Not you?").click()
    sign_in(page, stage, "fred")
    expect(heading(page, "Approve this payment?")).to_be_visible()
    expect(page.get_by_text("Signed in as Fred")).to_be_visible()
