"""RP-initiated logout in a browser: at once with an ID token of this session, else a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from asking import Asking, ask, asking, decide, follow, start  # noqa: F401 - the fixture
from asking import answer as answered
from journey import claims_of, header_of
from plugins.app import ISSUER, Moving
from plugins.people import Browser, add_user, hidden_fields
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from authserver import clock, crypto, jws
from authserver.db import table_of
from authserver.models.logout import LogoutDelivery
from authserver.models.signing_key import SigningKey

BYE = "https://client.example/bye"
CHOSEN = "https://client.example/bye?from=op"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass
class SignedIn:
    """alice in her browser, and the ID token that ``shop`` got."""

    asking: Asking
    browser: Browser
    id_token: str

    def ask(self, **parameters: str | None) -> TestResponse:
        return self.browser.get("/end_session?" + _query(parameters))

    @property
    def alive(self) -> bool:
        return self.browser.get("/account").status_code == 200

    def reasons(self, event: str = "logout.rejected") -> list[str]:
        return self.asking.reasons(event)


def _query(parameters: dict[str, str | None]) -> str:
    return urlencode({name: value for name, value in parameters.items() if value is not None})


def id_token_of(asking: Asking, browser: Browser, client_id: str = "shop") -> str:  # noqa: F811
    response = start(browser, client_id)
    if response.status_code == 200:
        response = decide(browser, response)
        response = follow(browser, response)
    tokens = asking.redeem(answered(response)["code"], client_id)
    assert tokens.status_code == 200, tokens.data
    return str(tokens.json["id_token"])


@pytest.fixture
def signed_in(asking: Asking) -> SignedIn:  # noqa: F811
    clients = asking.world.services.clients
    clients.set_logout("shop", [BYE, CHOSEN], "https://client.example/backchannel")
    clients.set_logout("pay1", ["https://pay.example/bye"], None)
    asking.world.services.versions.forget()
    browser = asking.browser(logged_in=True)
    return SignedIn(asking, browser, id_token_of(asking, browser))


def page_of(response: TestResponse, title: str, status: int = 200) -> None:
    """It is this page of ours, and leads nowhere else."""
    assert response.status_code == status, response.text
    assert "Location" not in response.headers
    assert title in response.text
    assert BYE not in response.text


def refused(response: TestResponse) -> None:
    page_of(response, "You are not signed out", 400)
    assert 'href="/logout"' in response.text


def queued(asking: Asking) -> list[str]:  # noqa: F811
    with asking.world.services.database.reading() as connection:
        return list(connection.execute(select(table_of(LogoutDelivery).c.client_id)).scalars())


@pytest.mark.spec("OpenID Connect RP-Initiated Logout 1.0", "2")
def test_who_shows_an_id_token_of_this_session_is_signed_out_at_once(signed_in: SignedIn) -> None:
    cookie = signed_in.browser.cookie("sid")
    response = signed_in.ask(
        id_token_hint=signed_in.id_token, post_logout_redirect_uri=BYE, state="s 1&2=é%41"
    )
    assert response.status_code == 303
    assert response.location.startswith(BYE + "?state=")
    assert dict(parse_qsl(urlsplit(response.location).query)) == {"state": "s 1&2=é%41"}
    assert signed_in.browser.cookie("sid") is None
    signed_in.browser.set_cookie("sid", str(cookie))
    assert not signed_in.alive
    assert signed_in.reasons("logout.done") == ["rp_initiated"]
    assert queued(signed_in.asking) == ["shop"]


def test_the_address_keeps_its_own_query_and_is_bare_without_state(signed_in: SignedIn) -> None:
    response = signed_in.ask(id_token_hint=signed_in.id_token, post_logout_redirect_uri=CHOSEN, state="x")
    assert response.location == CHOSEN + "&state=x"
    # again: nobody is signed in here any more, which is no error
    response = signed_in.ask(id_token_hint=signed_in.id_token, post_logout_redirect_uri=BYE)
    assert response.location == BYE
    assert queued(signed_in.asking) == ["shop"]


def test_without_an_address_a_page_says_so(signed_in: SignedIn) -> None:
    page_of(signed_in.ask(id_token_hint=signed_in.id_token, state="x"), "You are signed out")
    assert not signed_in.alive


@pytest.mark.spec("OpenID Connect RP-Initiated Logout 1.0", "2")
def test_an_id_token_that_has_expired_counts(signed_in: SignedIn, moving_clock: Moving) -> None:
    browser = signed_in.asking.browser(logged_in=True)
    hint = id_token_of(signed_in.asking, browser)
    moving_clock.walk(200)
    assert browser.get("/account").status_code == 200
    moving_clock.walk(200)
    assert claims_of(hint)["exp"] < clock.now()
    response = browser.get("/end_session?" + _query({"id_token_hint": hint, "post_logout_redirect_uri": BYE}))
    assert response.location == BYE
    assert browser.get("/account").status_code == 303


def test_a_session_that_is_idle_for_too_long_ends_too_with_all_that_hangs_on_it(
    signed_in: SignedIn, moving_clock: Moving
) -> None:
    """People spend an hour at the client; then they sign out there."""
    browser = signed_in.asking.browser(logged_in=True)
    hint = id_token_of(signed_in.asking, browser)
    moving_clock.walk(3600)
    assert browser.get("/account").status_code == 303
    asked = _query({"id_token_hint": hint, "post_logout_redirect_uri": BYE})
    assert browser.get("/end_session?" + asked).location == BYE
    assert signed_in.reasons("logout.done") == ["rp_initiated"]
    assert queued(signed_in.asking) == ["shop"]
    # and it is not taken up again at the next login
    assert browser.log_in().status_code == 303
    assert claims_of(id_token_of(signed_in.asking, browser))["sid"] != claims_of(hint)["sid"]


@pytest.mark.parametrize("compromise", [False, True])
def test_an_id_token_of_a_key_that_left_the_jwks_counts_unless_the_key_was_stolen(
    signed_in: SignedIn, moving_clock: Moving, compromise: bool
) -> None:
    services = signed_in.asking.world.services
    browser = signed_in.asking.browser(logged_in=True)
    hint = id_token_of(signed_in.asking, browser)
    services.rotation.rotate("ES256", compromise=True) if compromise else _rotate(services, moving_clock)
    services.rotation.advance()
    services.versions.forget()
    kid = header_of(hint)["kid"]
    assert kid not in [key.kid for key in services.keys.published()]
    response = browser.get("/end_session?" + _query({"id_token_hint": hint, "post_logout_redirect_uri": BYE}))
    assert (response.status_code, response.location) == ((400, None) if compromise else (303, BYE))


def _rotate(services: Any, moving_clock: Moving) -> None:
    with services.database.writing() as connection:
        connection.execute(update(table_of(SigningKey)).values(published_at=0))
    services.rotation.rotate("ES256")
    moving_clock.walk(6 * 3600)


def test_nothing_that_a_key_signed_after_it_retired_counts(signed_in: SignedIn, moving_clock: Moving) -> None:
    services = signed_in.asking.world.services
    (old,) = [key for key in services.keys.published() if key.state == "active"]
    hint = claims_of(signed_in.id_token)
    _rotate(services, moving_clock)
    services.rotation.advance()
    services.versions.forget()
    header = {"alg": "ES256", "kid": old.kid, "typ": "JWT"}
    for seconds, status in ((-6 * 3600, 200), (-5 * 3600, 400)):
        forged = jws.sign(header, hint | {"iat": clock.now() + seconds}, old.pair)
        assert signed_in.ask(id_token_hint=forged).status_code == status
    assert signed_in.reasons("jwt.rejected") == ["key_retired"]


def test_a_hint_of_another_session_asks_first_and_names_the_client(signed_in: SignedIn) -> None:
    """Logout CSRF: an ID token of the attacker's own session signs nobody else out."""
    add_user(signed_in.asking.world.services, "mallory")
    mallory = signed_in.asking.browser()
    mallory.log_in("mallory")
    for hint in (id_token_of(signed_in.asking, mallory), id_token_of(signed_in.asking, other(signed_in))):
        page = signed_in.ask(id_token_hint=hint, post_logout_redirect_uri=BYE, state="s")
        page_of(page, "<bdi>Corner shop</bdi></strong> asks to sign you out")
        assert "Alice" in page.text
        assert hint not in page.text
        assert signed_in.alive
    response = signed_in.browser.submit(page, "/end_session/confirm")
    assert response.location == BYE + "?state=s"
    assert not signed_in.alive
    assert queued(signed_in.asking) == ["shop"]
    assert mallory.get("/account").status_code == 200


def other(signed_in: SignedIn) -> Browser:
    """Another browser of the same person."""
    return signed_in.asking.browser(logged_in=True)


@pytest.mark.parametrize("parameters", [{}, {"state": "x"}, {"logout_hint": "alice", "ui_locales": "fr"}])
@on_sqlite
def test_without_a_hint_the_person_is_asked(signed_in: SignedIn, parameters: dict[str, str]) -> None:
    page = signed_in.ask(**parameters)
    page_of(page, "Sign out?")
    assert "asks to sign you out" not in page.text
    assert signed_in.alive
    page_of(signed_in.browser.submit(page, "/end_session/confirm"), "You are signed out")
    assert not signed_in.alive


def test_a_client_that_names_itself_alone_is_gone_back_to_after_the_question(signed_in: SignedIn) -> None:
    page = signed_in.ask(client_id="shop", post_logout_redirect_uri=BYE, state="s")
    page_of(page, "<bdi>Corner shop</bdi></strong> asks to sign you out")
    assert signed_in.browser.submit(page, "/end_session/confirm").location == BYE + "?state=s"
    # with nobody to ask there is no redirect: that would be a way to bounce people through here
    page_of(signed_in.ask(client_id="shop", post_logout_redirect_uri=BYE), "You are signed out")


def test_the_question_is_answered_in_this_browser_and_this_session_alone(signed_in: SignedIn) -> None:
    page = signed_in.ask(client_id="shop", post_logout_redirect_uri=BYE)
    fields = hidden_fields(page.text, "/end_session/confirm")
    for forged in (
        {"request": fields["request"]},
        fields | {"csrf": "x"},
        fields | {"csrf": hidden_fields(signed_in.browser.get("/logout").text, "/logout")["csrf"]},
    ):
        assert signed_in.browser.post("/end_session/confirm", forged).status_code == 403
    headers = {"Origin": "https://evil.example"}
    assert signed_in.browser.post("/end_session/confirm", fields, **headers).status_code == 403
    assert other(signed_in).post("/end_session/confirm", fields).status_code == 403
    assert signed_in.browser.get("/end_session/confirm").status_code == 405
    assert signed_in.alive


@pytest.mark.parametrize(
    "change", ["payload", "mac", "key", "late", "future", "empty", "junk", "\u00e9.\u00e9"]
)
@on_sqlite
def test_what_was_asked_comes_back_unchanged_and_soon_or_leads_nowhere(
    signed_in: SignedIn, moving_clock: Moving, change: str
) -> None:
    browser = signed_in.asking.browser(logged_in=True)
    page = browser.get("/end_session?" + _query({"client_id": "shop", "post_logout_redirect_uri": BYE}))
    payload, mac = hidden_fields(page.text, "/end_session/confirm")["request"].split(".")
    content = crypto.b64u_decode(payload).replace(b"client.example", b"attack.example")
    forged = {
        "payload": f"{crypto.b64u(content)}.{mac}",
        "mac": f"{payload}.{mac[:-1]}x",
        "key": f"{payload}.{crypto.b64u(crypto.mac(bytes(32), payload.encode()))}",
        "empty": "",
        "junk": ".",
    }.get(change, change)
    if change in ("late", "future"):
        forged = f"{payload}.{mac}"
        moving_clock.walk(901 if change == "late" else -1)
        browser.log_in() if change == "late" else None
    location = browser.get("/end_session/resume?" + _query({"request": forged})).location
    assert location == "/logout"
    page = browser.get("/end_session")
    page_of(browser.submit(page, "/end_session/confirm", request=forged), "You are signed out")


@pytest.mark.spec("OpenID Connect RP-Initiated Logout 1.0", "3")
@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/", BYE + "/", BYE + "?x=1", BYE + "#x", BYE.upper(), " " + BYE, BYE + "\n",
        "https://client.example/cb", "https://pay.example/bye", "https://client.example",
        "//client.example/bye", "javascript:alert(1)", "https://client.example@evil.example/bye", "/bye", "https://client.example/%62ye",
    ],
)  # fmt: skip
@on_sqlite
def test_an_address_that_is_not_registered_exactly_is_never_gone_to(signed_in: SignedIn, uri: str) -> None:
    refused(signed_in.ask(id_token_hint=signed_in.id_token, post_logout_redirect_uri=uri, state="s"))
    refused(signed_in.ask(client_id="shop", post_logout_redirect_uri=uri))
    refused(signed_in.ask(post_logout_redirect_uri=uri))
    assert signed_in.alive
    assert signed_in.reasons() == ["post_logout_redirect_uri"] * 3
    # the way out that the page offers signs out and goes nowhere
    page_of(signed_in.browser.submit(signed_in.browser.get("/logout"), "/logout"), "You are signed out")


def test_a_registered_address_without_a_client_is_nobodys(signed_in: SignedIn) -> None:
    refused(signed_in.ask(post_logout_redirect_uri=BYE))
    assert signed_in.alive


@pytest.mark.parametrize(
    ("client_id", "reason"),
    [("pay1", "client_mismatch"), ("nobody", "client_mismatch"), ("SHOP", "client_mismatch")],
)
@on_sqlite
def test_a_client_does_not_use_anothers_id_token(signed_in: SignedIn, client_id: str, reason: str) -> None:
    asked = {"id_token_hint": signed_in.id_token, "post_logout_redirect_uri": BYE}
    refused(signed_in.ask(client_id=client_id, **asked))
    assert signed_in.alive
    assert signed_in.reasons() == [reason]
    assert signed_in.ask(client_id="shop", **asked).location == BYE


def test_unknown_and_suspended_clients_get_one_page(signed_in: SignedIn) -> None:
    unknown = signed_in.ask(client_id="nobody")
    refused(unknown)
    signed_in.asking.world.services.clients.set_state("shop", "suspended")
    signed_in.asking.world.services.versions.forget()
    for suspended in (signed_in.ask(client_id="shop"), signed_in.ask(id_token_hint=signed_in.id_token)):
        assert suspended.text == unknown.text
    assert signed_in.alive
    assert signed_in.reasons() == ["client_unknown", "client_disabled", "client_disabled"]


def post(signed_in: SignedIn, form: dict[str, str] | bytes, path: str = "/end_session") -> TestResponse:
    """As a form of another site comes: without cookies."""
    stranger = Browser(signed_in.browser.app)
    return stranger.post(path, form, Origin="https://client.example", Sec_Fetch_Site="cross-site")


@pytest.mark.spec("OpenID Connect RP-Initiated Logout 1.0", "2")
def test_a_form_of_the_client_does_the_same_on_the_get_that_follows(signed_in: SignedIn) -> None:
    form = {"id_token_hint": signed_in.id_token, "post_logout_redirect_uri": BYE, "state": "s"}
    response = post(signed_in, form)
    assert response.status_code == 303
    assert response.location.startswith("/end_session/resume?request=")
    assert signed_in.id_token not in response.location
    assert "Set-Cookie" not in response.headers
    assert signed_in.alive
    assert signed_in.browser.get(response.location).location == BYE + "?state=s"
    assert not signed_in.alive


def test_a_form_without_a_hint_leads_to_the_question(signed_in: SignedIn) -> None:
    page = signed_in.browser.get(
        post(signed_in, {"client_id": "shop", "post_logout_redirect_uri": BYE}).location
    )
    page_of(page, "<bdi>Corner shop</bdi></strong> asks to sign you out")
    assert signed_in.browser.submit(page, "/end_session/confirm").location == BYE


@on_sqlite
def test_what_is_no_plain_form_is_refused_with_a_page(signed_in: SignedIn) -> None:
    hint = urlencode({"id_token_hint": signed_in.id_token})
    bye = urlencode({"post_logout_redirect_uri": BYE})
    for query in (
        f"{hint}&{hint}&{bye}", f"{hint}&{bye}&{bye}", f"{hint}&state=a&state=b", f"{hint}&{bye}&x=1&x=2",
        f"{hint}&state=%00", f"{hint}&state=%ff", f"{hint}&state=%", "id_token_hint=" + "A" * 102_400,
        "&".join(f"p{i}=1" for i in range(101)), f"{hint}&{bye}&state={'s' * 4096}",
    ):  # fmt: skip
        refused(signed_in.browser.get(f"/end_session?{query}"))
    for form in (
        f"{hint}&{hint}".encode(),
        b"state=%ff",
        b"id_token_hint=" + b"A" * 102_400,
        b"&" * 200 + b"%",
    ):
        refused(post(signed_in, form))
    refused(post(signed_in, {"id_token_hint": signed_in.id_token}, f"/end_session?{hint}"))
    refused(post(signed_in, {"id_token_hint": signed_in.id_token}, "/end_session?x=1"))
    for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain"):
        headers = {"Content-Type": kind}
        refused(Browser(signed_in.browser.app).post("/end_session", hint.encode(), **headers))
    assert signed_in.alive
    assert set(signed_in.reasons()) == {"malformed"}


def test_an_id_token_is_neither_logged_nor_audited_nor_kept(
    signed_in: SignedIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    signature = signed_in.id_token.rpartition(".")[2]
    signed_in.ask(id_token_hint=signed_in.id_token + "x")
    signed_in.ask(id_token_hint=signed_in.id_token, client_id="pay1")
    response = post(signed_in, {"id_token_hint": signed_in.id_token, "post_logout_redirect_uri": BYE})
    signed_in.browser.get(response.location)
    assert signature not in caplog.text
    assert signature not in str(signed_in.asking.world.events())


def test_a_page_from_which_a_client_is_gone_to_lets_its_form_leave_and_no_frame_shows_it(
    signed_in: SignedIn,
) -> None:
    policy = signed_in.ask(client_id="shop", post_logout_redirect_uri=BYE).headers["Content-Security-Policy"]
    assert "form-action" not in policy  # Chromium holds it against redirects after a POST (design §12)
    assert "frame-ancestors 'none'" in policy
    policy = signed_in.ask(client_id="nobody").headers["Content-Security-Policy"]
    assert "form-action 'self'" in policy


def test_a_request_from_elsewhere_changes_no_cookie_of_a_browser_without_a_session(asking: Asking) -> None:  # noqa: F811
    browser = asking.browser()
    page = browser.get("/login")
    assert "Set-Cookie" not in browser.get("/end_session").headers
    assert (
        browser.submit(page, "/login", username="alice", password="a purple dog walks home").status_code
        == 303
    )


def test_an_address_that_asks_too_often_waits(make_world: Any) -> None:
    world = make_world(limit_address_failures="3/60")
    browser = Browser(world.app)
    for _ in range(3):
        assert browser.get("/end_session?client_id=nobody").status_code == 400
    response = browser.get("/end_session?client_id=nobody")
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "60"


def test_hostile_names_and_state_are_text(signed_in: SignedIn) -> None:
    clients = signed_in.asking.world.services.clients
    hostile = '"><script>alert(1)</script>\r\nX: y'
    response = signed_in.ask(client_id="shop", post_logout_redirect_uri=BYE, state=hostile)
    assert "<script>alert" not in response.text
    response = signed_in.browser.submit(response, "/end_session/confirm")
    assert parse_qsl(urlsplit(response.location).query) == [("state", hostile)]
    assert "\r" not in response.location
    assert "X" not in response.headers
    assert clients.get("shop") is not None


def test_metadata_names_the_endpoint_and_what_clients_are_told(asking: Asking) -> None:  # noqa: F811
    metadata = asking.world.send("GET", "/.well-known/openid-configuration").json
    assert metadata["end_session_endpoint"] == f"{ISSUER}/end_session"
    assert metadata["backchannel_logout_supported"] is True
    assert metadata["backchannel_logout_session_supported"] is True
