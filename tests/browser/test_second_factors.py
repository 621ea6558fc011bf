"""Second factors in Chromium: set up where a policy asks, replaced by a recovery code, wanted by a client."""

from __future__ import annotations

import time

from playwright.sync_api import Page, expect

from authserver.login.totp import code_at, step_at

from .acts import TO_SEE_ACCOUNTS, button, check_out, expect_receipt, heading, sign_in
from .merchant import NAME
from .stage import Stage


def enrol(page: Page) -> list[str]:
    """An authenticator app is set up from the page that asks for it; gives the recovery codes."""
    expect(heading(page, "Set up a second factor")).to_be_visible()
    button(page, "Use an authenticator app").click()
    key = page.locator(".key code").inner_text().replace(" ", "")
    page.get_by_label("Code from the app").fill(code_at(key, step_at(int(time.time()))))
    button(page, "Confirm").click()
    expect(heading(page, "Your recovery codes")).to_be_visible()
    codes = page.locator("ol.codes code").all_inner_texts()
    page.get_by_role("button", name="I have put them away").click()
    return codes


def test_a_policy_has_a_factor_set_up_and_the_request_goes_on(page: Page, stage: Stage) -> None:
    name = stage.newcomer()
    stage.demand_a_factor(name)
    check_out(page, stage, TO_SEE_ACCOUNTS)
    sign_in(page, stage, name)
    # nothing else of the account opens before that
    page.goto(f"{stage.issuer}/account")
    expect(heading(page, "Set up a second factor")).to_be_visible()
    page.go_back()
    codes = enrol(page)
    assert len(set(codes)) == 10
    expect(heading(page, f"Allow {NAME}?")).to_be_visible()
    button(page, "Allow").click()
    expect_receipt(page, stage)

    # elsewhere, without the app: a code from the sheet, in small letters, once
    page.context.clear_cookies()
    for attempt, found in enumerate(("Your account", "Prove that it is you")):
        page.goto(f"{stage.issuer}/login")
        sign_in(page, stage, name)
        expect(heading(page, "Prove that it is you")).to_be_visible()
        page.get_by_text("Use a recovery code instead").click()
        page.get_by_label("Recovery code").fill(codes[0].lower())
        button(page, "Use this code").click()
        expect(heading(page, found)).to_be_visible()
        if attempt == 0:
            page.context.clear_cookies()
    expect(page.get_by_role("alert")).to_be_visible()


def test_a_client_asks_for_more_than_the_session_has(page: Page, stage: Stage) -> None:
    name = stage.newcomer()
    page.goto(f"{stage.issuer}/login")
    sign_in(page, stage, name)
    expect(heading(page, "Your account")).to_be_visible()
    stage.give_app(name)
    check_out(page, stage, TO_SEE_ACCOUNTS + "&acr_values=urn:authserver:acr:mfa")
    expect(heading(page, "Prove that it is you")).to_be_visible()
    page.get_by_label("Code from your authenticator app").fill(stage.code(name))
    button(page, "Go on").click()
    expect(heading(page, f"Allow {NAME}?")).to_be_visible()
    # the session has it now: nobody is asked a second time
    check_out(page, stage, TO_SEE_ACCOUNTS + "&acr_values=urn:authserver:acr:mfa")
    expect(heading(page, f"Allow {NAME}?")).to_be_visible()
