"""The whole journey by keyboard alone, and whoever does it sees where they are."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .acts import SHOP, heading
from .stage import Stage

# How each place that Tab can reach looks without focus, by its number in the document.
REMEMBER = """() => {
  const active = document.activeElement;
  active.blur();
  const look = (element) => {
    const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor } = getComputedStyle(element);
    return [outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor].join();
  };
  window.places = new Map();
  for (const element of document.querySelectorAll("a, button, input")) places.set(element, look(element));
  window.look = look;
  active.focus();
}"""
FOCUSED = """() => {
  const element = document.activeElement;
  const words = element.getAttribute("aria-label") || element.innerText || element.name || element.tagName;
  return { words: words.replace(/\\s+/g, " ").trim(), marked: look(element) !== places.get(element) };
}"""
MOST_STOPS = 20


class Keys:
    """Hands that have no mouse."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.stops: list[str] = []

    def arrive(self, title: str) -> None:
        """A new page is there."""
        expect(heading(self.page, title)).to_be_visible()
        self.page.evaluate(REMEMBER)
        self.stops = []

    def tab_to(self, words: str) -> None:
        """Tab until the place with these words; each place on the way shows that it has the focus."""
        for _ in range(MOST_STOPS):
            self.page.keyboard.press("Tab")
            place = self.page.evaluate(FOCUSED)
            self.stops.append(place["words"])
            assert place["marked"], f"nothing shows the focus on {place['words']}"
            if place["words"].startswith(words):
                return
        raise AssertionError(f"{words} is not reached: {self.stops}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)


def start(page: Page, stage: Stage) -> Keys:
    """From the home page to the login, with everything typed in."""
    keys = Keys(page)
    page.goto(stage.issuer)
    keys.arrive("Where people approve payments")
    keys.tab_to("Go to the shop")
    keys.press("Enter")
    keys.arrive("Your basket")
    keys.tab_to("Pay with your bank")
    keys.press("Enter")
    keys.arrive("Sign in")
    # the caret is in the first field already
    expect(page.get_by_label("User name or e-mail")).to_be_focused()
    keys.type("alice")
    keys.tab_to("password")
    keys.type(stage.password("alice"))
    return keys


def test_a_payment_is_made_by_keyboard_alone(page: Page, stage: Stage) -> None:
    keys = start(page, stage)
    keys.tab_to("Show password")
    keys.tab_to("Sign in")
    keys.press("Enter")
    keys.arrive("Approve this payment?")
    keys.tab_to("account")
    keys.press("ArrowDown")
    expect(page.get_by_role("radio").nth(1)).to_be_checked()
    keys.tab_to("code")
    keys.type(stage.code("alice"))
    keys.tab_to("Pay 24.30 EUR")
    keys.press("Enter")
    keys.arrive("Receipt")


def test_enter_in_the_password_signs_in_and_cancelling_needs_no_mouse(page: Page, stage: Stage) -> None:
    keys = start(page, stage)
    keys.press("Enter")
    keys.arrive("Approve this payment?")
    keys.tab_to(f"Cancel and return to {SHOP}")
    keys.press("Space")
    keys.arrive("Payment not made")
    keys.tab_to("Try again")
    keys.press("Enter")
    keys.arrive("Approve this payment?")
