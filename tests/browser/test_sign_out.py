"""Signing out at a shop: by a form of another site, whose POST brings no cookie, and on to a third one."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .acts import TO_SEE_ACCOUNTS, button, check_out, heading, sign_in
from .merchant import NAME
from .stage import Stage


def shop_there(page: Page, stage: Stage) -> str:
    """Somebody new is signed in and known to the shop; gives the order's state."""
    check_out(page, stage, TO_SEE_ACCOUNTS)
    sign_in(page, stage, stage.newcomer())
    button(page, "Allow").click()
    expect(heading(page, "Receipt")).to_be_visible()
    return page.url.rpartition("/")[2]


def test_a_shop_with_an_id_token_signs_its_person_out_at_once(page: Page, stage: Stage) -> None:
    state = shop_there(page, stage)
    page.goto(f"{stage.merchant.shop}/sign-out/{state}?id_token_hint=mine")
    button(page, "Leave").click()
    expect(heading(page, "See you soon")).to_be_visible()
    assert page.url == f"{stage.merchant.receipts}/gone/{state}"
    page.goto(f"{stage.issuer}/account")
    expect(heading(page, "Sign in")).to_be_visible()


def test_without_one_the_person_is_asked_and_gets_back_all_the_same(page: Page, stage: Stage) -> None:
    """Chromium holds form-action against each redirect after the click, the shop's own included."""
    state = shop_there(page, stage)
    page.goto(f"{stage.merchant.shop}/sign-out/{state}?client_id={stage.merchant.client_id}")
    button(page, "Leave").click()
    expect(heading(page, "Sign out?")).to_be_visible()
    expect(page.get_by_text(f"{NAME} asks to sign you out.")).to_be_visible()
    button(page, "Sign out").click()
    expect(heading(page, "See you soon")).to_be_visible()
    page.goto(f"{stage.issuer}/account")
    expect(heading(page, "Sign in")).to_be_visible()


def test_who_stays_stays(page: Page, stage: Stage) -> None:
    state = shop_there(page, stage)
    page.goto(f"{stage.merchant.shop}/sign-out/{state}?client_id={stage.merchant.client_id}")
    button(page, "Leave").click()
    page.get_by_role("link", name="Stay signed in").click()
    expect(heading(page, "Your account")).to_be_visible()
