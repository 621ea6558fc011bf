"""Redirect URIs: what may be registered, what counts as registered, and what everything else gets."""

from __future__ import annotations

import pytest
from asking import CALLBACK, CLIENTS, OTHER_CALLBACK, Asking, answer, ask, decide, start

from authserver.clients.redirect_uris import is_registered, validate
from authserver.errors import Invalid

NOT_CALLBACK = [
    "https://evil.example/cb",
    "https://client.example.evil.example/cb",
    "https://client.examplE/cb",
    "HTTPS://client.example/cb",
    "https://client.example/cb/../evil",
    "https://client.example/cb/%2e%2e/evil",
    "https://client.example/cb/%252e%252e/evil",
    "https://client.example/cb/..;/evil",
    "https://client.example/cb/",
    "https://client.example//cb",
    "https://client.example/CB",
    "https://client.example/c%62",
    "https://client.example:443/cb",
    "https://client.example./cb",
    "http://client.example/cb",
    "https://client.example/cb?x=1",
    "https://client.example/cb?",
    "https://client.example/cb#x",
    "https://client.example/cb#",
    "https://client.example/cb;x=1",
    "https://client.example@evil.example/cb",
    "https://user@client.example/cb",
    "https://client.example\\@evil.example/cb",
    "https://client.example\\.evil.example/cb",
    "https://client.example/cb\x00.evil.example",
    "https://client.example/cb\r\nSet-Cookie: a=b",
    "https://client.example/cb ",
    " https://client.example/cb",
    "https://client.example/cb\u2028",
    "https://client.ex\u0430mple/cb",
    "https://client\u3002example/cb",
    "javascript:alert(document.domain)//https://client.example/cb",
    "data:text/html,<script>1</script>",
    "//client.example/cb",
    "/cb",
    "client.example/cb",
    "com.client.app:/cb",
    "http://127.0.0.1/cb",
    OTHER_CALLBACK,
    "https://*.example/cb",
    "https://client.example/cb," + CALLBACK,
    "https://client.example/cb%00",
    "\ud800",
]
MISMATCH = "unknown, or gave a wrong address to return to"


@pytest.mark.spec("RFC 9700", "2.1")
@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1")
def test_a_uri_that_is_not_the_registered_string_gets_a_page_and_no_redirect(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    before = asking.rows()
    for uri in NOT_CALLBACK:
        for mode in (None, "form_post"):
            response = ask(browser, redirect_uri=uri.encode("utf-8", "surrogatepass"), response_mode=mode)  # type: ignore[arg-type]
            assert response.status_code == 400, uri
            assert response.mimetype == "text/html"
            assert "Location" not in response.headers
            assert MISMATCH in response.text
            assert "invalid_request" in response.text
            assert "<form" not in response.text
            assert "evil.example" not in response.text
            assert "alert(" not in response.text
    assert set(asking.reasons()) == {"redirect_uri_mismatch"}
    assert len(asking.reasons()) == 2 * len(NOT_CALLBACK)
    assert asking.rows() == before


def test_unknown_clients_and_wrong_uris_get_the_same_page(asking: Asking) -> None:
    asking.world.services.clients.set_state("shop2", "suspended")
    browser = asking.browser()
    pages = [
        ask(browser, redirect_uri="https://evil.example/cb"),
        ask(browser, redirect_uri=None),
        ask(browser, redirect_uri=""),
        ask(browser, "nope"),
        ask(browser, "nope", redirect_uri="https://evil.example/cb"),
        ask(browser, "x" * 300),
        ask(browser, "a\x00b"),
        ask(browser, None),  # type: ignore[arg-type]
        ask(browser, "shop2", redirect_uri=OTHER_CALLBACK),
        ask(browser, redirect_uri="https://evil.example/cb", response_type="foo"),
        browser.get("/authorize"),
    ]
    assert {page.status_code for page in pages} == {400}
    assert len({page.text.replace(page.headers["X-Request-Id"], "") for page in pages}) == 1
    assert asking.reasons() == [
        "redirect_uri_mismatch", "redirect_uri_missing", "redirect_uri_missing", "client_unknown",
        "client_unknown", "client_unknown", "client_unknown", "client_unknown", "client_disabled",
        "redirect_uri_mismatch", "client_unknown",
    ]  # fmt: skip


def test_client_id_or_redirect_uri_sent_twice_is_told_to_nobody(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    query = ask(browser).request.query_string.decode()
    for more in (
        f"redirect_uri={CALLBACK}",
        "redirect_uri=https%3A%2F%2Fevil.example%2Fcb",
        "client_id=shop",
        "client_id=shop2",
        "client_id=",
        "redirect_uri=",
    ):
        for both in (f"{query}&{more}", f"{more}&{query}"):
            response = browser.get(f"/authorize?{both}")
            assert response.status_code == 400
            assert "Location" not in response.headers
    assert set(asking.reasons()) == {"duplicate_parameter"}


def test_a_registered_query_stays_and_the_answer_is_added_to_it(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    uri = f"{OTHER_CALLBACK}?tenant=1"
    page = start(browser, "shop2", redirect_uri=uri)
    response = browser.submit(page, "/consent", decision="approve")
    assert response.headers["Location"].startswith(f"{uri}&code=")
    assert answer(response, uri)["state"] == "S1"


@pytest.mark.spec("RFC 8252", "7.3")
@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/cb",
        "http://127.0.0.1:51004/cb",
        "http://127.0.0.1:1/cb",
        "http://127.0.0.1:65535/cb",
        "http://[::1]:1234/cb?a=1",
        "http://[::1]:9/cb?a=1",
        "http://[::1]/cb?a=1",
        "com.example.app:/cb",
    ],
)
def test_a_native_client_may_listen_on_any_port_of_its_loopback_address(uri: str) -> None:
    assert is_registered(uri, CLIENTS["app"]["redirect_uris"], "native")


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:65536/cb",
        "http://127.0.0.1:123456/cb",
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:80:80/cb",
        "http://127.0.0.1:80@evil.example/cb",
        "http://127.0.0.1:\u0661/cb",
        "http://127.0.0.1:80/cb/",
        "http://127.0.0.1:80/CB",
        "http://127.0.0.1:80/cb?x=1",
        "http://127.0.0.1:80/cb#x",
        "http://127.0.0.1:80/cb\n",
        "http://127.0.0.1:80",
        "http://127.0.0.2:80/cb",
        "http://127.1:80/cb",
        "http://127.0.0.1.evil.example:80/cb",
        "http://localhost:80/cb",
        "https://127.0.0.1:80/cb",
        "HTTP://127.0.0.1:80/cb",
        "http://user@127.0.0.1:80/cb",
        "http://127.0.0.1\\:80/cb",
        "http://[::1]:80/cb",
        "http://[::1%25lo]:80/cb?a=1",
        "http://[0:0:0:0:0:0:0:1]:80/cb?a=1",
        "com.example.app:/cb2",
        "com.example.app://cb",
        "COM.EXAMPLE.APP:/cb",
    ],
)
def test_nothing_but_the_port_may_vary(uri: str) -> None:
    assert not is_registered(uri, CLIENTS["app"]["redirect_uris"], "native")


def test_a_web_client_on_loopback_has_one_port() -> None:
    registered = ["http://127.0.0.1:8001/callback"]
    assert is_registered("http://127.0.0.1:8001/callback", registered, "web")
    assert not is_registered("http://127.0.0.1:8002/callback", registered, "web")


def test_a_native_client_gets_its_code_on_the_port_it_asked_for(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    uri = "http://127.0.0.1:51004/cb"
    page = start(browser, "app", redirect_uri=uri)
    found = answer(browser.submit(page, "/consent", decision="approve"), uri)
    assert asking.redeem(found["code"], "app", redirect_uri="http://127.0.0.1/cb").status_code == 400
    page = decide(browser, start(browser, "app", redirect_uri=uri))
    assert asking.redeem(answer(page, uri)["code"], "app", redirect_uri=uri).status_code == 200


@pytest.mark.parametrize(
    ("uri", "application_type"),
    [
        ("https://client.example/cb", "web"),
        ("https://client.example:8443/cb?tenant=1&a=%20", "web"),
        ("https://[2001:db8::1]/cb", "web"),
        ("https://client.example", "web"),
        ("http://127.0.0.1:8001/callback", "web"),
        ("http://localhost:3000/cb", "web"),
        ("http://127.0.0.1/cb", "native"),
        ("http://[::1]/cb", "native"),
        ("com.example.app:/cb", "native"),
    ],
)
def test_what_may_be_registered(uri: str, application_type: str) -> None:
    validate(uri, application_type)


@pytest.mark.parametrize(
    ("uri", "application_type"),
    [
        ("", "web"),
        ("cb", "web"),
        ("//client.example/cb", "web"),
        ("https:///cb", "web"),
        ("https:client.example/cb", "web"),
        ("https:/client.example/cb", "web"),
        ("http://client.example/cb", "web"),
        ("http://127.0.0.1.evil.example/cb", "native"),
        ("https://client.example/cb#x", "web"),
        ("https://client.example/cb#", "web"),
        ("https://client.example/a b", "web"),
        ('https://client.example/"', "web"),
        ("https://client.example/<x>", "web"),
        ("https://client.example\\@evil.example/cb", "web"),
        ("https://user:pw@client.example/cb", "web"),
        ("https://client.example:0/cb", "web"),
        ("https://client.example:99999/cb", "web"),
        ("https://client.example:a/cb", "web"),
        ("https://[::1/cb", "web"),
        ("https://client.example/[x]", "web"),
        ("https://client.example/cb/../x", "web"),
        ("https://client.example/cb/%2E%2e", "web"),
        ("https://client.example/./cb", "web"),
        ("https://client.example/%zz", "web"),
        ("https://client.example/c\u00e9", "web"),
        ("https://client.example/cb\n", "web"),
        ("https://client.example/" + "a" * 2000, "web"),
        ("javascript:alert(1)", "web"),
        ("javascript:alert(1)", "native"),
        ("java.script:alert(1)", "native"),
        ("data:text/html,x", "native"),
        ("file:///etc/passwd", "native"),
        ("myapp:/cb", "native"),
        ("com.example.app:cb", "native"),
        ("Com.example.app:/cb", "native"),
        ("com.example.app:/cb", "web"),
    ],
)
def test_what_may_not_be_registered(uri: str, application_type: str) -> None:
    with pytest.raises(Invalid):
        validate(uri, application_type)


def test_clients_are_registered_with_fitting_uris_alone(asking: Asking) -> None:
    clients = asking.world.services.clients
    values = {
        "client_name": "x", "state": "active", "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code"], "redirect_uris": [CALLBACK], "scopes": [],
        "profile": "oauth21", "tier": "gold",
    }  # fmt: skip
    for wrong in (
        {"redirect_uris": []},
        {"redirect_uris": [CALLBACK, "http://client.example/cb"]},
        {"application_type": "service"},
        {"require_pkce": False},
    ):
        with pytest.raises(Invalid):
            clients.create(values | wrong)
    with pytest.raises(Invalid):
        clients.set_redirect_uris("shop", ["javascript:alert(1)"])
    with pytest.raises(Invalid):
        clients.set_redirect_uris("nobody", [CALLBACK])


def test_a_uri_that_is_taken_away_gets_no_code_not_even_for_a_request_under_way(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser)
    asking.world.services.clients.set_redirect_uris("shop", [OTHER_CALLBACK])
    response = browser.submit(page, "/consent", decision="approve")
    assert response.status_code == 400
    assert MISMATCH in response.text
    assert ask(browser).status_code == 400
    assert asking.rows()["codes"] == 0
