"""What people find and do in their account, and how they come to have one."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from .acts import TO_SEE_ACCOUNTS, button, check_out, expect_receipt, heading, sign_in
from .merchant import NAME
from .stage import Stage

NEW = "three green kettles sing"
PHONE = "Mozilla/5.0 (Android 16; Mobile; rv:150.0) Gecko/150.0 Firefox/150.0"


def test_signing_out_is_asked_for_and_done(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/login")
    sign_in(page, stage)
    expect(heading(page, "Your account")).to_be_visible()
    button(page, "Sign out").click()
    expect(heading(page, "Sign out?")).to_be_visible()
    button(page, "Sign out").click()
    expect(heading(page, "You are signed out")).to_be_visible()
    page.goto(f"{stage.issuer}/account")
    expect(heading(page, "Sign in")).to_be_visible()


def test_a_session_in_another_browser_can_be_ended(
    open_context: Callable[..., BrowserContext], stage: Stage
) -> None:
    here, elsewhere = open_context().new_page(), open_context(user_agent=PHONE).new_page()
    for page in (elsewhere, here):
        page.goto(f"{stage.issuer}/login")
        sign_in(page, stage, "emil")
        expect(heading(page, "Your account")).to_be_visible()
    here.get_by_role("link", name="Where you are signed in").click()
    here.get_by_role("listitem").filter(has_text="Firefox on Android").get_by_role("button").click()
    expect(here.get_by_text("Firefox on Android")).to_have_count(0)
    elsewhere.reload()
    expect(heading(elsewhere, "Sign in")).to_be_visible()


def test_an_invited_person_sets_a_password_and_signs_in(page: Page, stage: Stage) -> None:
    page.goto(stage.enrolment())
    username = page.get_by_label("User name").input_value()
    password = page.get_by_label("New password")
    password.fill("passwordpassword")
    page.get_by_label("The same once more").fill("passwordpassword")
    button(page, "Set password").click()
    expect(page.get_by_role("alert")).to_be_visible()
    for field in (password, page.get_by_label("The same once more")):
        field.fill(NEW)
    button(page, "Set password").click()
    expect(page.get_by_role("status")).to_have_text("Your password is set. Sign in with it now.")
    sign_in(page, stage, username, NEW)
    expect(heading(page, "Your account")).to_be_visible()


def test_what_is_withdrawn_is_asked_again(page: Page, stage: Stage) -> None:
    name = stage.newcomer()
    check_out(page, stage, TO_SEE_ACCOUNTS)
    sign_in(page, stage, name)
    button(page, "Allow").click()
    expect_receipt(page, stage)
    page.goto(f"{stage.issuer}/account/consents")
    button(page, f"Withdraw what {NAME} may do").click()
    expect(page.get_by_role("status")).to_contain_text(f"{NAME} may do nothing for you any more")
    check_out(page, stage, TO_SEE_ACCOUNTS)
    expect(heading(page, f"Allow {NAME}?")).to_be_visible()


def test_a_changed_password_ends_what_was_signed_in_elsewhere(
    open_context: Callable[..., BrowserContext], stage: Stage
) -> None:
    name = stage.newcomer()
    here, elsewhere = open_context().new_page(), open_context().new_page()
    for page in (elsewhere, here):
        page.goto(f"{stage.issuer}/login")
        sign_in(page, stage, name)
        expect(heading(page, "Your account")).to_be_visible()
    here.get_by_role("link", name="How you sign in").click()
    here.get_by_role("link", name="Change your password").click()
    here.get_by_label("Current password").fill(stage.password(name))
    for label in ("New password", "The new one once more"):
        here.get_by_label(label, exact=True).fill(NEW)
    button(here, "Change password").click()
    expect(here.get_by_role("status")).to_contain_text("Your password is changed.")
    elsewhere.reload()
    expect(heading(elsewhere, "Sign in")).to_be_visible()
    sign_in(elsewhere, stage, name, NEW)
    expect(heading(elsewhere, "Your account")).to_be_visible()
    elsewhere.get_by_role("link", name="Where you are signed in").click()
    button(elsewhere, "Sign out everywhere").click()
    expect(elsewhere.get_by_role("status")).to_have_text("You are signed out everywhere.")
    here.reload()
    expect(heading(here, "Sign in")).to_be_visible()
