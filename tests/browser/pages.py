"""Every page that people can meet, and the way to it: for the tests of all pages, and for their pictures."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, expect

from authserver.login.totp import code_at, step_at

from .acts import (
    SHOP,
    TO_SEE_ACCOUNTS,
    arrive_on_a_new_device,
    button,
    buy,
    check_out,
    heading,
    pay,
    reach_approval,
    sign_in,
)
from .merchant import NAME, PAYMENT
from .stage import Stage

Show = Callable[[Page, Stage], None]
PAGES: dict[str, Show] = {}
# those of which docs/pages.md has pictures
PICTURED: list[str] = []
# the longest that a payment may be: nothing of it may be cut off, or push anything off the page
LONG = PAYMENT | {
    "instructedAmount": {"amount": "9999999999.99", "currency": "EUR"},
    "creditorName": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamte AG",
    "creditorAccount": {"iban": "MT84MALT011000012345MTLCAST001S", "bic": "COBADEFFXXX"},
    "remittanceInformationUnstructured": "Rechnung" + "-2026-11-24" * 12,
}


def page_of(title: str, *, pictured: bool = True) -> Callable[[Show], Show]:
    """Registers the way to a page, which is there when its ``title`` is; it has the function's name."""

    def register(way: Show) -> Show:
        def show(page: Page, stage: Stage) -> None:
            way(page, stage)
            expect(heading(page, title)).to_be_visible()

        name = way.__name__.replace("_", "-")
        PAGES[name] = show
        if pictured:
            PICTURED.append(name)
        return way

    return register


@page_of("Where people approve payments")
def home(page: Page, stage: Stage) -> None:
    page.goto(stage.issuer)


@page_of("Your basket")
def shop(page: Page, stage: Stage) -> None:
    page.goto(stage.shop)


@page_of("Waiting for your bank")
def shop_waiting(page: Page, stage: Stage) -> None:
    buy(page, stage)
    page.goto(stage.order("open"))


@page_of("Your payment is being made")
def shop_paying(page: Page, stage: Stage) -> None:
    buy(page, stage)
    page.goto(stage.order("paying"))


@page_of("Did this payment go through?")
def shop_unclear(page: Page, stage: Stage) -> None:
    buy(page, stage)
    page.goto(stage.order("open", doubt=1))


@page_of("Sign in")
def login(page: Page, stage: Stage) -> None:
    buy(page, stage)


@page_of("Sign in")
def login_refused(page: Page, stage: Stage) -> None:
    buy(page, stage)
    sign_in(page, stage, "nobody", "not the password at all")
    expect(page.get_by_role("alert")).to_be_visible()


@page_of(f"Allow {NAME}?")
def consent(page: Page, stage: Stage) -> None:
    check_out(page, stage, TO_SEE_ACCOUNTS + "&prompt=consent")
    sign_in(page, stage)


@page_of("Approve this payment?")
def approve_payment(page: Page, stage: Stage) -> None:
    buy(page, stage)
    sign_in(page, stage, "alice")


@page_of("Approve this payment?")
def approve_by_passkey(page: Page, stage: Stage) -> None:
    buy(page, stage)
    sign_in(page, stage, stage.owner_of_passkeys())


@page_of("Receipt")
def receipt(page: Page, stage: Stage) -> None:
    approve_payment(page, stage)
    pay(page, stage, "alice")


@page_of("Payment not made")
def shop_declined(page: Page, stage: Stage) -> None:
    buy(page, stage)
    button(page, f"Cancel and return to {SHOP}").click()


@page_of("This answer is not for this browser", pictured=False)
def shop_notice(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.shop}/shop/callback?state=unknown")


@page_of("Approve this payment?", pictured=False)
def approve_long_names(page: Page, stage: Stage) -> None:
    check_out(page, stage, "?" + urlencode({"authorization_details": json.dumps([LONG])}))
    sign_in(page, stage)


@page_of("This request is too old")
def expired(page: Page, stage: Stage) -> None:
    reach_approval(page, stage)
    stage.let_expire(page.url)
    page.reload()


@page_of("This request was answered already")
def answered(page: Page, stage: Stage) -> None:
    reach_approval(page, stage)
    pay(page, stage)
    expect(heading(page, "Receipt")).to_be_visible()
    page.go_back()


@page_of("This request cannot be answered")
def unknown_client(page: Page, stage: Stage) -> None:
    page.goto(stage.merchant.ask(client_id="nobody"))


@page_of("Nothing is here")
def not_found(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/there/is/no/such/page")


@page_of("This request belongs to another browser", pictured=False)
def foreign(page: Page, stage: Stage) -> None:
    reach_approval(page, stage)
    page.context.clear_cookies()
    page.reload()


@page_of("Going back to the application", pictured=False)
def going_back(page: Page, stage: Stage) -> None:
    page.route("**/form_post.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
    reach_approval(page, stage, query="?response_mode=form_post")
    pay(page, stage)


@page_of("This page is out of date")
def out_of_date(page: Page, stage: Stage) -> None:
    check_out(page, stage)
    expect(heading(page, "Sign in")).to_be_visible()
    # what the page asks for its passkey button has been answered
    page.wait_for_load_state("networkidle")
    page.context.clear_cookies()
    sign_in(page, stage)
    expect(page.get_by_role("link", name="Go on from here")).to_be_visible()


@page_of("Choose a password")
def enrol(page: Page, stage: Stage) -> None:
    page.goto(stage.enrolment())


@page_of("Choose a password")
def enrol_refused(page: Page, stage: Stage) -> None:
    page.goto(stage.enrolment())
    for label in ("New password", "The same once more"):
        page.get_by_label(label).fill("passwordpassword")
    button(page, "Set password").click()
    expect(page.get_by_role("alert")).to_be_visible()


@page_of("Sign in", pictured=False)
def password_set(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/login?notice=password_set")


@page_of("This link no longer works", pictured=False)
def link_over(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/enrol?token={'x' * 43}")


@page_of("Your account")
def account(page: Page, stage: Stage) -> None:
    name = stage.newcomer()
    _sign_in_elsewhere(page, stage, name)
    stage.give_app(name)
    buy(page, stage)
    sign_in(page, stage, name)
    pay(page, stage, name)
    expect(heading(page, "Receipt")).to_be_visible()
    check_out(page, stage, TO_SEE_ACCOUNTS)
    button(page, "Allow").click()
    expect(heading(page, "Receipt")).to_be_visible()
    page.goto(f"{stage.issuer}/account")


@page_of("Your account", pictured=False)
def account_of_a_newcomer(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/login")
    sign_in(page, stage, stage.newcomer())


def _room(page: Page, stage: Stage, name: str) -> None:
    account_of_a_newcomer(page, stage)
    page.get_by_role("link", name=name).click()


@page_of("Where you are signed in")
def account_sessions(page: Page, stage: Stage) -> None:
    name = stage.newcomer()
    _sign_in_elsewhere(page, stage, name)
    page.goto(f"{stage.issuer}/login?then=sessions")
    sign_in(page, stage, name)


@page_of("What you allow")
def account_consents(page: Page, stage: Stage) -> None:
    account(page, stage)
    page.get_by_role("link", name="What you allow").click()


@page_of("Activity")
def account_activity(page: Page, stage: Stage) -> None:
    account(page, stage)
    page.get_by_role("link", name="Activity").click()


@page_of("Was this you?")
def account_sign_in(page: Page, stage: Stage) -> None:
    _room(page, stage, "Activity")
    page.get_by_role("link", name="Was this you?").click()


@page_of("You are signed out everywhere", pictured=False)
def recovery_started(page: Page, stage: Stage) -> None:
    account_sign_in(page, stage)
    button(page, "No, it was not me").click()


@page_of("Your data")
def account_data(page: Page, stage: Stage) -> None:
    _room(page, stage, "Your data")


@page_of("Delete your account?")
def account_delete(page: Page, stage: Stage) -> None:
    account_data(page, stage)
    page.get_by_role("link", name="What is deleted").click()


@page_of("Your data", pictured=False)
def account_to_be_deleted(page: Page, stage: Stage) -> None:
    account_delete(page, stage)
    button(page, "Delete my account in seven days").click()
    expect(page.get_by_role("status")).to_be_visible()


@page_of("Your e-mail address", pictured=False)
def account_email(page: Page, stage: Stage) -> None:
    _room(page, stage, "Change it")
    page.get_by_label("New e-mail address").fill("new@example.net")
    button(page, "Send a link there").click()
    expect(page.get_by_role("status")).to_be_visible()


@page_of("Aktivität", pictured=False)
def account_activity_in_german(page: Page, stage: Stage) -> None:
    account_activity(page, stage)
    in_german(page)


@page_of("Ihr Benutzerkonto löschen?", pictured=False)
def account_delete_in_german(page: Page, stage: Stage) -> None:
    account_delete(page, stage)
    in_german(page)


@page_of("How you sign in")
def security(page: Page, stage: Stage) -> None:
    recovery_codes(page, stage)
    page.get_by_role("button", name="I have put them away").click()


@page_of("How you sign in", pictured=False)
def security_of_a_newcomer(page: Page, stage: Stage) -> None:
    account_of_a_newcomer(page, stage)
    page.get_by_role("link", name="How you sign in").click()


@page_of("Set up your authenticator app")
def totp(page: Page, stage: Stage) -> None:
    security_of_a_newcomer(page, stage)
    button(page, "Set it up").click()


@page_of("Set up your authenticator app", pictured=False)
def totp_refused(page: Page, stage: Stage) -> None:
    totp(page, stage)
    page.get_by_label("Code from the app").fill("000000")
    button(page, "Confirm").click()
    expect(page.get_by_role("alert")).to_be_visible()


@page_of("Your recovery codes")
def recovery_codes(page: Page, stage: Stage) -> None:
    totp(page, stage)
    key = page.locator(".key code").inner_text().replace(" ", "")
    page.get_by_label("Code from the app").fill(code_at(key, step_at(int(time.time()))))
    button(page, "Confirm").click()


@page_of("Prove that it is you")
def mfa(page: Page, stage: Stage) -> None:
    check_out(page, stage, TO_SEE_ACCOUNTS + "&prompt=consent")
    sign_in(page, stage, "alice")


@page_of("Prove that it is you")
def mfa_by_passkey(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/login")
    sign_in(page, stage, stage.owner_of_passkeys())


@page_of("How you sign in")
def passkeys(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/login?then=security")
    name = stage.owner_of_passkeys()
    sign_in(page, stage, name)
    page.get_by_label("Code from your authenticator app").fill(stage.code(name))
    button(page, "Go on").click()


@page_of("Prove that it is you", pictured=False)
def mfa_refused(page: Page, stage: Stage) -> None:
    mfa(page, stage)
    page.get_by_label("Code from your authenticator app").fill("12345")
    button(page, "Go on").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_text("Use a recovery code instead").click()


@page_of("Set up a second factor")
def second_factor(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/login")
    name = stage.newcomer()
    stage.demand_a_factor(name)
    sign_in(page, stage, name)


@page_of("A new password")
def password_forgot(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/login")
    page.get_by_role("link", name="Forgot your password?").click()


@page_of("Look into your mails", pictured=False)
def password_asked_for(page: Page, stage: Stage) -> None:
    password_forgot(page, stage)
    page.get_by_label("User name or e-mail").fill("nobody")
    button(page, "Send me a link").click()


@page_of("A device that is new here")
def confirm_device(page: Page, stage: Stage) -> None:
    arrive_on_a_new_device(page, stage, stage.newcomer())
    button(page, re.compile("^Send a code by mail")).click()
    expect(page.get_by_label("Code that was sent to you")).to_be_visible()


@page_of("A device that is new here", pictured=False)
def confirm_device_refused(page: Page, stage: Stage) -> None:
    confirm_device(page, stage)
    page.get_by_label("Code that was sent to you").fill("12345678")
    button(page, "Go on").click()
    expect(page.get_by_role("alert")).to_be_visible()


@page_of("Change your password")
def password(page: Page, stage: Stage) -> None:
    account_of_a_newcomer(page, stage)
    page.get_by_role("link", name="How you sign in").click()
    page.get_by_role("link", name="Change your password").click()


@page_of("Change your password", pictured=False)
def password_refused(page: Page, stage: Stage) -> None:
    password(page, stage)
    page.get_by_label("Current password").fill("not the password at all")
    for label in ("New password", "The new one once more"):
        page.get_by_label(label, exact=True).fill("three green kettles sing")
    button(page, "Change password").click()
    expect(page.get_by_role("alert")).to_be_visible()


@page_of("Sign out?")
def logout(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/login")
    sign_in(page, stage)
    button(page, "Sign out").click()


@page_of("You are signed out")
def signed_out(page: Page, stage: Stage) -> None:
    logout(page, stage)
    expect(heading(page, "Sign out?")).to_be_visible()
    button(page, "Sign out").click()


@page_of("Sign out?")
def logout_asked_by_a_client(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/login")
    sign_in(page, stage)
    expect(heading(page, "Your account")).to_be_visible()
    page.goto(f"{stage.issuer}/end_session?client_id={stage.merchant.client_id}")
    expect(page.get_by_text(f"{NAME} asks to sign you out.")).to_be_visible()


@page_of("You are not signed out")
def logout_refused(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/end_session?client_id=nobody")


@page_of("Anmelden")
def login_in_german(page: Page, stage: Stage) -> None:
    login(page, stage)
    in_german(page)


@page_of("Anmelden", pictured=False)
def login_refused_in_german(page: Page, stage: Stage) -> None:
    login_in_german(page, stage)
    page.get_by_label("Benutzername oder E-Mail").fill("nobody")
    page.get_by_label("Passwort", exact=True).fill("not the password at all")
    button(page, "Anmelden").click()
    expect(page.get_by_role("alert")).to_be_visible()


@page_of(f"{NAME} zulassen?")
def consent_in_german(page: Page, stage: Stage) -> None:
    consent(page, stage)
    in_german(page)


@page_of("Diese Zahlung freigeben?")
def approve_payment_in_german(page: Page, stage: Stage) -> None:
    approve_payment(page, stage)
    in_german(page)


@page_of("Diese Zahlung freigeben?", pictured=False)
def approve_long_names_in_german(page: Page, stage: Stage) -> None:
    approve_long_names(page, stage)
    in_german(page)


@page_of("Ihr Benutzerkonto")
def account_in_german(page: Page, stage: Stage) -> None:
    account(page, stage)
    in_german(page)


@page_of("Abmelden?", pictured=False)
def logout_in_german(page: Page, stage: Stage) -> None:
    logout(page, stage)
    in_german(page)


def in_german(page: Page) -> None:
    """The same page once more, by its link."""
    page.get_by_role("link", name="Deutsch", exact=True).click()
    expect(page.locator("html")).to_have_attribute("lang", "de")


def _sign_in_elsewhere(page: Page, stage: Stage, name: str) -> None:
    browser = page.context.browser
    assert isinstance(browser, Browser)
    elsewhere = browser.new_context()
    try:
        tab = elsewhere.new_page()
        tab.goto(f"{stage.issuer}/login")
        sign_in(tab, stage, name)
        expect(heading(tab, "Your account")).to_be_visible()
    finally:
        elsewhere.close()
