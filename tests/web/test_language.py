"""The language of pages: who chooses it, what follows from it, and what cannot be done with it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from asking import Asking, answer, ask, decide, follow, parameters, payment, start
from babel.support import NullTranslations
from flask_babel import Domain
from plugins.app import Moving
from plugins.people import PASSWORD, Browser, add_user, hidden_fields
from werkzeug.test import TestResponse

from authserver.errors import Invalid
from authserver.web.language import Choice, lookup, read_choice

HERE = {"Sec_Fetch_Site": "same-origin"}
BOTH = ("en", "de")
ROOMS = (
    "security", "sessions", "consents", "activity", "activity/recovery", "data", "data/delete", "email",
)  # fmt: skip
GARBAGE = (
    "de", "de.", ".1", "de.x", "xx.1", "DE.1", "de.1.1", "de.-1", "de.99999999999999", '"><script>.1', "de.١",
    "../../de.1", "en\x00.1", "x" * 4000,
)  # fmt: skip


@pytest.mark.spec("RFC 4647", "3.4")
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["de"], "de"),
        (["de-CH-1996"], "de"),
        (["DE-at"], "de"),
        (["fr", "de", "en"], "de"),
        (["de-x-a"], "de"),
        (["fr"], None),
        ([], None),
        (["*"], None),
        (["d"], None),
        (["", "-", "--", "de_DE", "de\n", 'de"><script>', "../de"], None),
        (["fr"] * 1000 + ["de"], None),
    ],
)
def test_a_language_is_looked_up_by_its_tag_alone(wanted: list[str], found: str | None) -> None:
    assert lookup(wanted, BOTH) == found


@pytest.mark.parametrize("value", [None, "", *GARBAGE])
def test_a_cookie_that_is_no_choice_of_ours_is_none(value: str | None) -> None:
    assert read_choice(value, BOTH) is None
    assert read_choice("de.12", BOTH) == Choice("de", 12)
    assert read_choice("de.12", ("en",)) is None


def language_of(page: TestResponse) -> str:
    """What the page says of itself, the same in both places."""
    found = re.search(r'<html lang="([^"]*)">', page.text)
    assert found is not None
    assert page.headers["Content-Language"] == found[1]
    assert {"Accept-Language", "Cookie"} <= {part.strip() for part in page.headers["Vary"].split(",")}
    return found[1]


def choose(browser: Browser, language: str, back: str = "/login", **headers: str) -> TestResponse:
    return browser.get(f"/language?to={language}&back={back}", **(headers or HERE))


def test_the_browser_is_asked_then_the_person(browser: Browser) -> None:
    assert language_of(browser.get("/login")) == "en"
    german = {"Accept_Language": "fr, de-AT;q=0.8, en;q=0.5"}
    page = browser.get("/login", **german)
    assert language_of(page) == "de"
    assert "Benutzername oder E-Mail" in page.text
    for other in ("en;q=0.5, de;q=0", "*", "de;q=x;;,\x01", "xx" * 3000, ",,,;;;q=", "de_DE"):
        assert language_of(browser.get("/login", Accept_Language=other)) == "en", other
    assert choose(browser, "en").location == "/login"
    assert language_of(browser.get("/login", **german)) == "en"
    choose(browser, "de")
    assert language_of(browser.get("/login", Accept_Language="en")) == "de"
    assert language_of(browser.get("/there/is/nothing", Accept="text/html")) == "de"


def test_what_a_cookie_holds_is_a_language_or_nothing(browser: Browser) -> None:
    for value in GARBAGE:
        browser.set_cookie("lang", value)
        page = browser.get("/login")
        assert (page.status_code, language_of(page)) == (200, "en"), value
        assert "<script>" not in page.text


def test_the_choice_is_kept_for_a_year_and_no_script_reads_it(browser: Browser) -> None:
    cookie = choose(browser, "de").headers["Set-Cookie"]
    for part in ("lang=de.", "Max-Age=31536000", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie


def test_only_a_link_of_this_server_chooses(browser: Browser) -> None:
    for headers in (
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Referer": f"{browser.issuer}/login"},
        {"Referer": "https://evil.example/"},
        {"Referer": f"{browser.issuer}.evil.example/"},
        {"User_Agent": "neither header"},
    ):
        answer = choose(browser, "de", "/logout", **headers)
        assert (answer.status_code, answer.location) == (303, "/"), headers
        assert "Set-Cookie" not in answer.headers
    assert browser.client.open("/language?to=de", method="HEAD", base_url=browser.issuer).status_code == 405
    assert browser.post("/language", {"to": "de"}, **HERE).status_code == 405
    # an old browser, which sends where the link was
    assert choose(browser, "de", Referer=f"{browser.issuer}/login").location == "/login"
    assert language_of(browser.get("/login")) == "de"


@pytest.mark.parametrize(
    "back",
    [
        "//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example",
        "/%0d%0aSet-Cookie:a=b",
        "javascript:alert(1)", "/%09/evil.example", "", "evil.example", "/a%20b", "/a%22b", "///evil.example",
        "/a%5c..%5cevil", "%2f%2fevil.example", "/login%23x",
    ],
)  # fmt: skip
def test_who_chooses_stays_on_this_server(browser: Browser, back: str) -> None:
    answer = choose(browser, "de", back)
    assert (answer.status_code, answer.location) == (303, "/")
    assert answer.headers.getlist("Set-Cookie")[0].startswith("lang=de.")
    assert len(answer.headers.getlist("Set-Cookie")) == 1


def test_a_language_that_is_not_spoken_changes_nothing(browser: Browser) -> None:
    for language in ("fr", "", "de%22%3E", "../de", "DE"):
        answer = choose(browser, language)
        assert answer.status_code == 400
        assert "Set-Cookie" not in answer.headers
        assert "%22" not in answer.text


def link_to(page: TestResponse, language: str) -> str:
    found = re.search(rf'<a href="(/language\?to={language}&amp;back=[^"]*)"', page.text)
    assert found is not None
    return found[1].replace("&amp;", "&")


def test_the_link_leads_back_to_the_page_that_it_was_on(asking: Asking) -> None:
    browser = asking.browser()
    login = follow(browser, ask(browser))
    again = follow(browser, browser.get(link_to(login, "de"), **HERE))
    assert again.request.path == "/login"
    assert "weiter zu <strong><bdi>Corner shop</bdi></strong>" in again.text
    # also from the answer to a form
    refused = browser.submit(again, "/login", username="alice", password="wrong")
    assert "Das hat nicht geklappt" in refused.text
    english = follow(browser, browser.get(link_to(refused, "en"), **HERE))
    assert "to go on to <strong><bdi>Corner shop</bdi></strong>" in english.text
    browser.submit(english, "/login", username="alice", password=PASSWORD)
    consent = start(browser)
    assert consent.request.path == "/consent"
    german = follow(browser, browser.get(link_to(consent, "de"), **HERE))
    assert "Ihre Zahlungen" not in german.text
    assert "code" in answer(decide(browser, german))


def test_an_id_token_in_an_address_is_not_in_the_link(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    secret = "e30.e30.c2VjcmV0"
    for query in (f"id_token_hint={secret}", "client_id=shop"):
        page = browser.get(f"/end_session?{query}")
        assert secret not in page.text
        assert "end_session%3F" not in link_to(page, "de")
    again = follow(browser, browser.get(link_to(page, "de"), **HERE))
    assert "möchte Sie abmelden" in again.text


@pytest.mark.spec("OpenID Connect RP-Initiated Logout 1.0", "2")
def test_ui_locales_count_when_a_client_signs_somebody_out(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    asked = "client_id=shop&ui_locales=fr de" + " x" * 20
    assert "möchte Sie abmelden" in browser.get(f"/end_session?{asked}".replace(" ", "+")).text
    page = follow(browser, browser.post("/end_session", {"client_id": "shop", "ui_locales": "de-DE"}))
    assert language_of(page) == "de"
    english = follow(browser, browser.get(link_to(page, "en"), **HERE))
    assert "asks to sign you out" in english.text
    assert language_of(browser.get("/end_session?ui_locales=%22%3E%3Cscript%3E")) == "en"


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1")
def test_ui_locales_count_until_the_person_chooses(asking: Asking, moving_clock: Moving) -> None:
    browser = asking.browser()
    choose(browser, "en")
    moving_clock.walk(60)
    login = start(browser, ui_locales="fr-CA de-CH en")
    assert language_of(login) == "de"
    assert "Abbrechen und zurück zu" in login.text
    refused = browser.submit(login, "/login", username="alice", password="wrong")
    assert language_of(refused) == "de"
    moving_clock.walk(60)
    english = follow(browser, browser.get(link_to(refused, "en"), **HERE))
    assert language_of(english) == "en"
    # of that request, and of no other page
    browser = asking.browser()
    assert language_of(start(browser, ui_locales="de")) == "de"
    assert language_of(browser.get("/login")) == "en"
    assert language_of(start(browser, ui_locales="fr xx")) == "en"


@pytest.mark.parametrize(
    "locales",
    [
        '"><script>alert(1)</script>',
        "../../etc/passwd",
        "en-" + "x" * 3000,
        'de"onload=x',
        "%(name)s {{7*7}}",
    ],
)
def test_ui_locales_are_never_shown(asking: Asking, locales: str) -> None:
    browser = asking.browser()
    page = start(browser, ui_locales=locales)
    if page.status_code == 200:
        assert language_of(page) in BOTH
    for part in ("<script>", "onload", "passwd", "{{7*7}}", "xxxx"):
        assert part not in page.text


def test_what_was_read_in_one_language_is_not_approved_in_another(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    # nothing that it tells is different but the words around
    page = start(browser, prompt="consent", scope="accounts:read")
    choose(browser, "de")
    again = decide(browser, page)
    assert again.status_code == 409
    assert "Diese Seite hat sich geändert" in again.text
    assert "code" in answer(decide(browser, again))
    detail = asking.events("consent.granted")[-1]["detail"]
    assert detail["language"] == "de"
    assert detail["shown"] == hidden_fields(again.text, "/consent")["shown"]
    english = asking.browser(logged_in=True)
    shown = hidden_fields(start(english, prompt="consent", scope="accounts:read").text, "/consent")["shown"]
    assert shown != detail["shown"]


def test_what_a_page_told_is_on_record_for_a_payment_too(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    asked = {"scope": "openid payments:initiate", "authorization_details": payment(), "ui_locales": "de"}
    page = start(browser, "pay1", **asked)
    assert "123,50\u00a0EUR zahlen" in page.text
    assert "Girokonto" in page.text
    decide(browser, page)
    detail = asking.events("consent.granted")[-1]["detail"]
    assert (detail["language"], len(detail["shown"])) == ("de", 43)


@pytest.mark.parametrize(
    ("amount", "currency", "english", "german"),
    [
        ("1234567.80", "EUR", "1\u202f234\u202f567.80\u00a0EUR", "1\u202f234\u202f567,80\u00a0EUR"),
        ("1234", "JPY", "1\u202f234\u00a0JPY", "1\u202f234\u00a0JPY"),
        ("1.234", "KWD", "1.234\u00a0KWD", "1,234\u00a0KWD"),
        ("0.01", "USD", "0.01\u00a0USD", "0,01\u00a0USD"),
    ],
)
def test_an_amount_cannot_be_read_as_another(
    asking: Asking, amount: str, currency: str, english: str, german: str
) -> None:
    browser = asking.browser(logged_in=True)
    details = payment(instructedAmount={"amount": amount, "currency": currency})
    asked: dict[str, Any] = {"scope": "openid payments:initiate", "authorization_details": details}
    for language, words in (("en", english), ("de", german)):
        page = start(browser, "pay1", ui_locales=language, **asked)
        assert page.text.count(words) == 3, language


def test_scopes_are_told_in_the_language_of_the_page_or_as_they_were_written(asking: Asking) -> None:
    scopes = asking.world.services.scopes
    scopes.translate("accounts:read", "de", "Ihre Kontostände sehen")
    asking.world.services.versions.forget()
    browser = asking.browser(logged_in=True)
    for language, words in (("de", "Ihre Kontostände sehen"), ("en", "The scope accounts:read")):
        assert words in start(browser, ui_locales=language).text
    asked = {"scope": "openid email reports", "ui_locales": "de"}
    page = start(browser, "web1", redirect_uri="https://client.example/cb", **asked)
    for words in ("Wissen, wer Sie sind", "Ihre E-Mail-Adresse sehen", "The scope reports"):
        assert words in page.text
    scopes.translate("accounts:read", "de", None)
    asking.world.services.versions.forget()
    assert "The scope accounts:read" in start(browser, ui_locales="de").text
    assert asking.events("scope.changed")[-1]["reason"] == "translated"
    for hidden in ("Ihre \u202eKonten", "a\nb", "\u2800", "", "a\u200bb"):
        with pytest.raises(Invalid):
            scopes.translate("accounts:read", "de", hidden)
    with pytest.raises(Invalid):
        scopes.translate("nothing", "de", "Nichts")


def test_names_and_sentences_are_text_in_every_language(asking: Asking) -> None:
    services = asking.world.services
    hostile = "<img src=x onerror=alert(1)>%(name)s{{7*7}}\"'"
    services.scopes.describe("accounts:read", hostile)
    services.scopes.translate("accounts:read", "de", hostile)
    with services.clients._changing("shop", {"client_name": hostile}):
        pass
    services.versions.forget()
    browser = asking.browser(logged_in=True)
    for language in BOTH:
        page = start(browser, ui_locales=language, prompt="consent")
        decide(browser, page)
        choose(browser, language)
        pages = (page, 2), (browser.get("/account/consents"), 2), (browser.get("/account/activity"), 1)
        for shown, times in pages:
            assert "<img src=x" not in shown.text
            assert shown.text.count("&lt;img src=x onerror=alert(1)&gt;%(name)s{{7*7}}&#34;&#39;") >= times


def test_form_errors_and_notices_are_in_the_language_of_the_page(browser: Browser) -> None:
    browser.log_in()
    choose(browser, "de")
    page = browser.get("/account/password")
    assert 'data-reveal="Passwort zeigen"' in page.text
    for new, words in (("short", "mindestens 15 Zeichen"), ("passwordpassword", "zu den ersten")):
        refused = browser.submit(
            page, "/account/password", password=PASSWORD, new_password=new, new_password_again=new
        )
        assert words in refused.text
    wrong = browser.submit(
        page, "/account/password", password=PASSWORD, new_password="a", new_password_again="b"
    )
    assert "Die beiden Passwörter sind verschieden" in wrong.text
    assert "Ihr Passwort ist gesetzt" in browser_away(browser).get("/login?notice=password_set").text


def browser_away(browser: Browser) -> Browser:
    away = Browser(browser.app)
    choose(away, "de")
    return away


def test_programs_are_answered_in_english_whatever_they_read(asking: Asking) -> None:
    headers = {"Accept-Language": "de", "Accept": "application/json", "Cookie": "lang=de.1"}
    usual = asking.world.post("/token", form={"grant_type": "x"})
    assert asking.world.post("/token", form={"grant_type": "x"}, headers=headers).json == usual.json
    nothing = asking.world.send("GET", "/nothing", headers=headers)
    assert nothing.json["error_description"] == "There is nothing at this address."
    assert "Content-Language" not in nothing.headers
    browser = asking.browser()
    choose(browser, "de")
    told = answer(ask(browser, response_type="token"))
    assert told["error_description"].isascii()
    assert (
        told["error_description"] == answer(ask(asking.browser(), response_type="token"))["error_description"]
    )


class Marked(NullTranslations):
    """Puts every text between marks: what stands outside was said past the catalogues."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    ugettext = gettext


DATA = {
    "authserver", "English", "Deutsch", "Alice", "alice", "alice@example.com", "Corner", "shop", "EUR", "UTC",
    "Merchant", "A", "The", "scope", "accounts:read", "Know", "who", "you", "are", "client.example", "DE89",
    "November",
}  # fmt: skip


def unmarked(page: TestResponse) -> set[str]:
    """Words of a page that no catalogue was asked about, in texts and in what screen readers say."""
    text = page.text
    while (shorter := re.sub(r"⟦[^⟦⟧]*⟧", "", text)) != text:
        text = shorter
    spoken = re.findall(r'(?:alt|aria-label|title|placeholder)="([^"]*)"', text)
    words = re.findall(r"[^\s<>()]+", re.sub(r"<[^>]*>", " ", text) + " " + " ".join(spoken))
    return {word.strip(",.:?·") for word in words if re.search(r"[^\W\d_]", word)} - DATA


def test_no_page_says_anything_past_the_catalogues(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, moving_clock: Moving
) -> None:
    monkeypatch.setattr(Domain, "get_translations", lambda _self: Marked())
    services = asking.world.services
    browser = asking.browser(logged_in=True)
    pays = {"scope": "openid payments:initiate", "authorization_details": payment()}
    consent, receipt = start(browser, prompt="consent"), start(browser, "pay1", **pays)
    decide(browser, receipt, code="000000x")
    decide(browser, receipt)
    stranger = asking.browser()
    invited = services.users.create("eve", "eve@example.com", "Eve")
    link = f"/enrol?token={services.links.make(invited.user_id, 'enrol')}"
    enrol = stranger.get(link)
    old = start(browser, prompt="consent").request.full_path
    login = start(stranger)
    pages = [
        consent,
        receipt,
        decide(browser, receipt),
        browser.get("/account"),
        browser.get("/account?notice=password_changed"),
        browser.get("/account/password"),
        browser.get("/logout"),
        browser.get("/end_session?client_id=shop"),
        browser.get("/end_session?client_id=nobody"),
        browser.submit(browser.get("/account/consents"), "/account/consents/withdraw", client_id="nobody"),
        *(browser.get(f"/account/{room}") for room in ROOMS),
        browser.get("/account/data?notice=kept"),
        browser.submit(browser.get("/account/email"), "/account/email", email="nobody"),
        browser.get("/account/email/confirm?token=x"),
        login,
        stranger.submit(login, "/login", username="alice", password="wrong"),
        stranger.get("/login?notice=signed_out_everywhere"),
        enrol,
        stranger.submit(enrol, "/enrol", password="a", password_again="a"),
        stranger.get("/enrol?token=x"),
        stranger.get("/nothing", Accept="text/html"),
        stranger.post("/consent", {}),
        stranger.get("/consent?request=x"),
        stranger.get("/language?to=fr", **HERE),
        stranger.get("/authorize?client_id=nobody"),
        stranger.get("/authorize?" + "&".join(f"{name}=x" for name in parameters())),
        stranger.get("/"),
        stranger.get(old),
        start(browser, response_mode="form_post"),
    ]
    moving_clock.walk(901)
    pages += [browser.get(old), browser.get("/login")]
    told = {page.request.path: unmarked(page) - {"Eve", "eve"} for page in pages}
    assert {path: words for path, words in told.items() if words} == {}
    assert {page.status_code for page in pages} >= {200, 400, 401, 403, 404, 409, 410}


def test_another_persons_page_is_not_shown_in_the_language_of_the_one_before(asking: Asking) -> None:
    add_user(asking.world.services, "bob")
    first, second = asking.browser(), asking.browser()
    assert language_of(start(first, ui_locales="de")) == "de"
    assert language_of(start(second)) == "en"
