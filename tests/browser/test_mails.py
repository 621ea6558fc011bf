"""What people do with what is mailed to them, by a real SMTP server and the jobs of the running demo."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .acts import arrive_on_a_new_device, button, heading, sign_in
from .stage import Stage

NEW = "three green kettles sing"


def test_a_forgotten_password_is_set_anew_by_a_mailed_link(page: Page, stage: Stage) -> None:
    name = stage.newcomer()
    page.goto(f"{stage.issuer}/login")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("User name or e-mail").fill(f"{name}@example.com")
    button(page, "Send me a link").click()
    expect(heading(page, "Look into your mails")).to_be_visible()
    mail = stage.mail_to(name, "A new password for Harbour Bank (demo)")
    page.goto(mail.link)
    for label in ("New password", "The same once more"):
        page.get_by_label(label).fill(NEW)
    button(page, "Set password").click()
    expect(page.get_by_role("status")).to_have_text("Your password is set. Sign in with it now.")
    sign_in(page, stage, name, NEW)
    expect(heading(page, "Your account")).to_be_visible()
    assert "127.0.0.1" in stage.mail_to(name, "Your password was reset").text
    page.goto(mail.link)
    expect(heading(page, "This link no longer works")).to_be_visible()


def test_a_new_device_is_confirmed_by_a_mailed_code(page: Page, stage: Stage) -> None:
    name = stage.newcomer()
    arrive_on_a_new_device(page, stage, name)
    page.get_by_role("button", name="Send a code by mail to g…@example.com").click()
    code = page.get_by_label("Code that was sent to you")
    expect(code).to_be_focused()
    mail = stage.mail_to(name, "Your code for Harbour Bank (demo)")
    code.fill("00000000")
    button(page, "Go on").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Code that was sent to you").fill(f"{mail.code[:4]} {mail.code[4:]}")
    page.keyboard.press("Enter")
    expect(heading(page, "Your account")).to_be_visible()
