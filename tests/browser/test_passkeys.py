"""Passkeys in Chromium, with a device of its own: made in the account, used with a name and without."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from .acts import button, heading, sign_in
from .chromium import add_authenticator
from .stage import Stage

# of a browser that offers nothing in fields: the button is the only way
NOTHING_OFFERED = "PublicKeyCredential.isConditionalMediationAvailable = async () => false;"


class Device:
    """A virtual authenticator of one page's browser."""

    def __init__(self, page: Page, **options: Any) -> None:
        self._cdp, self._id = add_authenticator(page, **options)

    def verify(self, verified: bool) -> None:
        """Whether it recognises its person from now on."""
        self._cdp.send("WebAuthn.setUserVerified", {"authenticatorId": self._id, "isUserVerified": verified})

    def touch(self, by_itself: bool) -> None:
        """Whether somebody touches it whenever it asks."""
        self._cdp.send(
            "WebAuthn.setAutomaticPresenceSimulation", {"authenticatorId": self._id, "enabled": by_itself}
        )

    @property
    def credentials(self) -> list[dict[str, Any]]:
        found = self._cdp.send("WebAuthn.getCredentials", {"authenticatorId": self._id})
        return list(found["credentials"])


def log_out(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/logout")
    button(page, "Sign out").click()
    expect(heading(page, "You are signed out")).to_be_visible()


def add_passkey(page: Page, stage: Stage, name: str) -> str:
    """Somebody new adds a passkey in their account; gives their user name."""
    username = stage.newcomer()
    page.goto(f"{stage.issuer}/login?then=security")
    sign_in(page, stage, username)
    expect(heading(page, "How you sign in")).to_be_visible()
    page.get_by_label("Name of the passkey").fill(name)
    button(page, "Add a passkey").click()
    expect(heading(page, "Your recovery codes")).to_be_visible()
    return username


def test_a_passkey_is_made_in_the_account_and_signs_in_without_a_user_name(page: Page, stage: Stage) -> None:
    device = Device(page)
    add_passkey(page, stage, "Blue laptop")
    (made,) = device.credentials
    assert made["isResidentCredential"] and made["rpId"] == "localhost"
    page.goto(f"{stage.issuer}/account/security")
    expect(page.get_by_text("Blue laptop")).to_be_visible()
    log_out(page, stage)
    page.add_init_script(NOTHING_OFFERED)
    page.goto(f"{stage.issuer}/login?then=security")
    button(page, "Sign in with a passkey").click()
    expect(heading(page, "How you sign in")).to_be_visible()
    expect(page.get_by_text("Last used").first).to_be_visible()
    assert device.credentials[0]["signCount"] > made["signCount"]


def test_a_passkey_is_offered_in_the_field_of_the_user_name(page: Page, stage: Stage) -> None:
    Device(page)
    add_passkey(page, stage, "Blue laptop")
    log_out(page, stage)
    page.goto(f"{stage.issuer}/login")
    # the device chooses what is offered, at once: nobody presses a button of the page
    expect(heading(page, "Your account")).to_be_visible()


def test_a_passkey_is_the_second_step_after_the_password(page: Page, stage: Stage) -> None:
    device = Device(page)
    username = add_passkey(page, stage, "Key ring")
    device.touch(False)
    log_out(page, stage)
    page.goto(f"{stage.issuer}/login")
    sign_in(page, stage, username)
    expect(heading(page, "Prove that it is you")).to_be_visible()
    device.touch(True)
    page.locator('button[data-webauthn="login"]').click()
    expect(heading(page, "Your account")).to_be_visible()


def test_a_device_that_does_not_know_its_person_signs_nobody_in(page: Page, stage: Stage) -> None:
    device = Device(page)
    add_passkey(page, stage, "Blue laptop")
    device.verify(False)
    log_out(page, stage)
    page.goto(f"{stage.issuer}/login")
    button(page, "Sign in with a passkey").click()
    expect(page.get_by_text("The passkey did not answer. Try again.")).to_be_visible()
    page.goto(f"{stage.issuer}/account")
    expect(heading(page, "Sign in")).to_be_visible()


def test_without_a_passkey_the_page_works_as_before(page: Page, stage: Stage) -> None:
    Device(page)
    username = stage.newcomer()
    page.goto(f"{stage.issuer}/login")
    button(page, "Sign in with a passkey").click()
    expect(page.get_by_text("The passkey did not answer. Try again.")).to_be_visible()
    sign_in(page, stage, username)
    expect(heading(page, "Your account")).to_be_visible()
