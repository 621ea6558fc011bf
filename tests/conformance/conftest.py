"""The client as which the OpenID conformance suite would come, and what its modules do over and over."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from asking import CODE, Asking, decide, follow, parameters
from journey import claims_of
from plugins.app import Moving, World, make_settings
from plugins.people import Browser
from receiver import Receiver
from werkzeug.test import TestResponse

from authserver import clock
from authserver.app import create_app
from authserver.oauth.discovery import metadata

from .op import Plan, register

CALLBACK = "https://suite.example/test/a/authserver/callback"
AFTER = "https://suite.example/test/a/authserver/post_logout_redirect"
# RFC 6749 appendix A.5: state = 1*VSCHAR; the suite takes letters and digits
LETTERS = string.ascii_letters + string.digits


@dataclass
class Suite:
    """A static client of client_secret_basic, and a person's browser; the authorization flow was done."""

    asking: Asking
    receiver: Receiver
    browser: Browser = field(init=False)
    id_token: str = ""
    state: str = field(default_factory=lambda: "".join(secrets.choice(LETTERS) for _ in range(128)))

    def __post_init__(self) -> None:
        values = {
            "client_id": "suite", "client_name": "Conformance suite", "state": "active", "tier": "gold",
            "profile": "oauth21", "token_endpoint_auth_method": "client_secret_basic", "grant_types": CODE,
            "redirect_uris": [CALLBACK], "scopes": ["openid", "profile"], "require_pkce": False,
            "post_logout_redirect_uris": [AFTER], "backchannel_logout_uri": self.receiver.uri,
            "backchannel_logout_session_required": True,
        }  # fmt: skip
        _, secret = self.asking.world.services.clients.create(values)
        self.asking.world.methods["suite"] = "client_secret_basic"
        self.asking.world.secrets["suite"] = str(secret)
        self.asking.world.services.versions.forget()
        self.browser = self.asking.browser(logged_in=True)
        self.id_token = self.authorize()

    def _ask(self, **changes: str | None) -> TestResponse:
        """An authorization request as the suite's Basic plan sends it: without PKCE."""
        asked = parameters(
            "suite", redirect_uri=CALLBACK, scope="openid", code_challenge=None, code_challenge_method=None,
            **changes,
        )  # fmt: skip
        return follow(self.browser, self.browser.get("/authorize?" + urlencode(asked)))

    def authorize(self) -> str:
        """A normal authorization flow; gives the ID token."""
        response = self._ask()
        if response.status_code == 200:
            response = follow(self.browser, decide(self.browser, response))
        code = dict(parse_qsl(urlsplit(response.location).query))["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        answer = self.asking.world.post("/token", as_="suite", form=form)
        assert answer.status_code == 200, answer.data
        return str(answer.json["id_token"])

    def end_session(self, **changes: str | None) -> TestResponse:
        """The redirect to the end-session endpoint, its parameters changed; None leaves one out."""
        usual: dict[str, str | None] = {
            "id_token_hint": self.id_token,
            "post_logout_redirect_uri": AFTER,
            "state": self.state,
        }
        given = {name: value for name, value in (usual | changes).items() if value is not None}
        return self.browser.get("/end_session?" + urlencode(given))

    def signed_out(self) -> None:
        """A second authorization with prompt=none fails: a user interface would be needed."""
        response = self._ask(prompt="none")
        answer = dict(parse_qsl(urlsplit(response.location).query))
        assert response.location.startswith(CALLBACK + "?")
        assert answer["error"] == "login_required"
        assert "code" not in answer

    def signed_in(self) -> None:
        """The session is as it was."""
        assert claims_of(self.authorize())["sid"] == claims_of(self.id_token)["sid"]


def metadata_of(world: World, issuer: str) -> dict[str, Any]:
    """What this server would publish at ``issuer``: production has https alone, and a test no certificate."""
    services = world.services
    settings = services.settings.model_copy(update={"issuer": issuer})
    return metadata(settings, services.server, services.scopes)


def endpoints_are_https(document: dict[str, Any]) -> None:
    """Every endpoint in the metadata is https."""
    endpoints = {name: value for name, value in document.items() if name.endswith(("_endpoint", "_uri"))}
    assert len(endpoints) > 5
    assert [value for value in endpoints.values() if not value.startswith("https://")] == []


def back_at_client(response: TestResponse, **expected: str) -> None:
    """The browser is at the post_logout_redirect_uri, with these parameters and no others."""
    assert response.status_code == 303
    place, _, query = response.location.partition("?")
    assert place == AFTER
    assert dict(parse_qsl(query, strict_parsing=True) if query else ()) == expected


def stays_here(response: TestResponse, status: int, *words: str) -> TestResponse:
    """A page of this server is shown, with these words."""
    assert response.status_code == status, response.text
    assert "Location" not in response.headers
    for word in words:
        assert word in response.text
    return response


@pytest.fixture
def suite(asking: Any) -> Iterator[Suite]:
    with Receiver() as receiver:
        yield Suite(asking, receiver)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def op(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """One app for all modules of a plan."""
    directory = tmp_path_factory.mktemp("plan")
    if request.param == "sqlite":
        path = directory / "authserver.db"
        path.write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
        url = f"sqlite:///{path}"
    else:
        template = request.getfixturevalue("postgresql_template")
        url = request.getfixturevalue("postgres_cluster").create_database(template=template)
    found = Asking(create_app(make_settings(directory, url)))
    register(found)
    yield found
    found.world.services.database.engine.dispose()


@pytest.fixture
def response_mode() -> str:
    return "query"


@pytest.fixture
def plan(op: Asking, response_mode: str) -> Iterator[Plan]:
    """A module's run, at the present time until it walks on."""
    time = Moving(float(clock.now()))
    previous = clock.use(time)
    yield Plan(op, response_mode, time)
    clock.use(previous)
