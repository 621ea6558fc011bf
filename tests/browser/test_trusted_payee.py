"""A payee is trusted in Chromium, by keyboard and passkey; later a click pays them, until that is ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .acts import expect_receipt, heading
from .chromium import SIZES
from .merchant import PAYMENT
from .stage import Stage
from .test_accessibility import AXE, OVERFLOW, SCHEMES, violations
from .test_payment_passkey import BUTTON, Payer, paid, reach

LEGEND = "Your passkey or code the next time"


@pytest.fixture(scope="module")
def stage(running_chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The demo where payees may be trusted."""
    chosen = {"sca_exempt_trusted_payee": "true", "sca_exempt_recurring": "true"}
    with Stage(tmp_path_factory.mktemp("trusting"), **chosen) as running:
        yield running


@pytest.mark.spec("PSD2 RTS", "13")
def test_a_payee_is_trusted_by_keyboard_and_passkey_and_then_paid_by_a_click(
    page: Page, stage: Stage
) -> None:
    payer = Payer(stage)
    reach(page, stage, payer.name)
    payer.take(page)
    before = paid(stage)
    choice = page.get_by_role("group", name=LEGEND)
    expect(choice.get_by_role("radio", checked=True)).to_have_accessible_name("Ask me every time")
    choice.get_by_role("radio", checked=True).focus()
    page.keyboard.press("ArrowDown")
    expect(choice.get_by_role("radio", checked=True)).to_have_accessible_name(
        "Do not ask again for this payee"
    )
    page.locator(BUTTON).click()
    expect_receipt(page, stage)
    reach(page, stage, payer.name, instructedAmount={"amount": "77.00", "currency": "EUR"})
    expect(page.get_by_role("group", name=LEGEND)).to_have_count(0)
    expect(page.locator(BUTTON)).to_have_count(0)
    page.get_by_role("button", name="Pay 77.00").click()
    expect_receipt(page, stage)
    assert paid(stage) == before + 2
    page.goto(f"{stage.issuer}/account/consents")
    page.get_by_role("button", name=f"Ask again for payments to {PAYMENT['creditorName']}").click()
    expect(page.get_by_role("status")).to_contain_text("You will be asked for your passkey or code again.")
    expect(heading(page, "What you allow")).to_be_visible()
    reach(page, stage, payer.name)
    expect(page.locator(BUTTON)).to_be_visible()


def test_the_choice_and_the_list_are_for_everybody(page: Page, stage: Stage) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci --prefix tests/node)")
    payer = Payer(stage)
    reach(page, stage, payer.name)
    payer.take(page)
    everybody(page)
    page.get_by_role("radio", name="Do not ask again for this amount to this payee").check()
    page.locator(BUTTON).click()
    expect_receipt(page, stage)
    page.goto(f"{stage.issuer}/account/consents")
    expect(page.get_by_text("For exactly 1")).to_be_visible()
    everybody(page)


def everybody(page: Page) -> None:
    """The page is as tests/browser/test_accessibility.py has all others."""
    page.evaluate(AXE.read_text())
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)
        assert page.evaluate(OVERFLOW) == [], size
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], f"{size}, {scheme}"
