"""Apps for tests: real databases, real keys; the clock alone can be walked.

Tests that ask for ``app`` run twice, on SQLite and on PostgreSQL. ``world`` has the clients and APIs that
the attack cases speak of.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import table_rows
from flask import Flask
from sqlalchemy import select, text
from werkzeug.test import Client, TestResponse

from authserver import clock, context, crypto
from authserver.app import create_app, services_of
from authserver.audit.chain import rows as audit_rows
from authserver.audit.personal import opened
from authserver.config import Settings
from authserver.services import Services

ISSUER = "http://localhost:8000"
MASTER = "k1:" + crypto.b64u(bytes(range(32)))
CHEAP_ARGON2 = {"argon2_memory_kib": 8, "argon2_time_cost": 1}
# limits that no ordinary test reaches; tests of limits set their own
WIDE_LIMITS = {
    "limit_address": "1000000/60",
    "limit_address_failures": "1000000/60",
    "limit_client_failures": "1000000/60",
    "limit_authorize_address": "1000000/60",
    "limit_login_address": "1000000/60",
    "limit_login_server": "1000000/60",
    "limit_register": "1000000/60",
    "login_alarm": "1000000/60",
}
# of clients that send people
CODE_GRANTS = ["authorization_code", "refresh_token"]
CODE_SCOPES = ["openid", "profile", "email", "offline_access"]
PAYMENTS = "https://api.example/payments"
ACCOUNTS = "https://api.example/accounts"
# the template holds signing keys, and the two audit rows of their making
_TOUCHED = text(
    "SELECT (SELECT count(*) FROM client) + (SELECT count(*) FROM user_account)"
    " + (SELECT max(id) - 2 FROM audit_event)"
)


def make_settings(directory: Path, database_url: str, **values: Any) -> Settings:
    defaults: dict[str, Any] = {
        "issuer": ISSUER,
        "instance_dir": directory,
        "database_url": database_url,
        "master_keys": MASTER,
        "cache_confirm_ms": 10,
        "log_level": "WARNING",
        # an authenticator app approves payments: passkeys have tests of their own
        "payment_sca": "totp",
        **CHEAP_ARGON2,
        **WIDE_LIMITS,
    }
    return Settings.load({}, **(defaults | values))


@dataclass
class Moving:
    """A clock that tests walk: it stands still at ``at`` (Unix seconds)."""

    at: float

    def __call__(self) -> float:
        return self.at

    def walk(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def moving_clock() -> Iterator[Moving]:
    moving = Moving(1_795_000_000.0)
    previous = clock.use(moving)
    yield moving
    clock.use(previous)


@pytest.fixture
def make_app(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Makes apps on this test's database: ``make_app(limit_address="5/60")``."""
    apps: list[Flask] = []

    def make(**values: Any) -> Flask:
        app = create_app(make_settings(tmp_path, database_url, **values))
        apps.append(app)
        return app

    yield make
    for app in apps:
        services_of(app).database.engine.dispose()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app()


@pytest.fixture
def services(app: Flask) -> Services:
    return services_of(app)


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


@dataclass
class World:
    """Registered clients and APIs of one app, and a way to speak to it over WSGI."""

    app: Flask
    services: Services
    secrets: dict[str, str] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    # gives a fresh client_assertion for a client of private_key_jwt
    assertions: dict[str, Callable[[], str]] = field(default_factory=dict)

    @property
    def http(self) -> Client:
        return Client(self.app, TestResponse)

    def send(
        self,
        method: str,
        path: str,
        *,
        as_: str | None = None,
        form: dict[str, str] | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        address: str = "192.0.2.10",
        content_type: str | None = "application/x-www-form-urlencoded",
        query: str = "",
    ) -> TestResponse:
        """One request; ``as_`` authenticates a client by its registered method."""
        form = dict(form or {})
        headers = dict(headers or {})
        if as_ is not None:
            self._authenticate(as_, form, headers)
        arguments: dict[str, Any] = {"data": body if body is not None else form}
        if content_type is not None and method != "GET":
            arguments["content_type"] = content_type
        return self.http.open(
            path,
            method=method,
            base_url=self.services.settings.issuer,
            headers=headers,
            environ_overrides={"REMOTE_ADDR": address},
            query_string=query or None,
            **(arguments if method != "GET" else {}),
        )

    def post(self, path: str, **arguments: Any) -> TestResponse:
        return self.send("POST", path, **arguments)

    def token(self, as_: str = "svc1", scope: str = "payments:initiate", **form: str) -> TestResponse:
        return self.post("/token", as_=as_, form={"grant_type": "client_credentials", "scope": scope, **form})

    def access_token(self, as_: str = "svc1", scope: str = "payments:initiate") -> str:
        response = self.token(as_, scope)
        assert response.status_code == 200, response.data
        return str(response.json["access_token"])

    def events(self, name: str | None = None, request_id: str | None = None) -> list[dict[str, Any]]:
        """Audit rows, oldest first, what is personal in them open: all, or of one event, of one request."""
        query = select(audit_rows).order_by(audit_rows.c.id)
        if name is not None:
            query = query.where(audit_rows.c.event == name)
        if request_id is not None:
            query = query.where(audit_rows.c.request_id == request_id)
        with self.services.database.reading() as connection:
            resting = connection.execute(query).mappings().all()
            return opened(self.services.person_keys, connection, resting)

    def _authenticate(self, client_id: str, form: dict[str, str], headers: dict[str, str]) -> None:
        method = self.methods[client_id]
        if method == "client_secret_basic":
            headers.setdefault("Authorization", basic(client_id, self.secrets[client_id]))
        else:
            form.setdefault("client_id", client_id)
            if method == "client_secret_post":
                form.setdefault("client_secret", self.secrets[client_id])
            elif method == "private_key_jwt":
                form.setdefault(
                    "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
                )
                form.setdefault("client_assertion", self.assertions[client_id]())


def populate(app: Flask) -> World:
    """``app`` has the clients of the attack cases; scopes have their APIs."""
    services = services_of(app)
    world = World(app, services)
    payment_scopes = ["payments:initiate", "payments:read", "refunds:create", "reports"]
    own, sends = ["client_credentials"], CODE_GRANTS
    plans: list[tuple[str, str, list[str], list[str], str]] = [
        ("rs_payments", "client_secret_basic", [], [], ""),
        ("rs_accounts", "client_secret_basic", [], [], ""),
        ("web1", "client_secret_basic", [*own, *sends], ["reports", "accounts:read"], "client"),
        ("web2", "client_secret_basic", [*own, *sends], ["reports"], "second"),
        ("web_post", "client_secret_post", [*own, *sends], ["reports"], "post"),
        ("svc1", "client_secret_basic", own, [*payment_scopes, "accounts:read"], ""),
        ("spa1", "none", sends, ["reports", "accounts:read"], "spa"),
    ]
    for client_id, method, grants, scopes, host in plans:
        values = {
            "client_id": client_id,
            "client_name": client_id,
            "state": "active",
            "token_endpoint_auth_method": method,
            "grant_types": grants,
            "redirect_uris": [f"https://{host}.example/cb"] if host else [],
            "post_logout_redirect_uris": [f"https://{host}.example/bye"] if host else [],
            "scopes": [*scopes, *(CODE_SCOPES if host else [])],
            "profile": "oauth21",
            "tier": "gold",
        }
        _, secret = services.clients.create(values)
        world.methods[client_id] = method
        if secret:
            world.secrets[client_id] = secret
    for client_id, audience in (("rs_payments", PAYMENTS), ("rs_accounts", ACCOUNTS)):
        services.clients.register_resource_server(client_id, audience, client_id)
    for scope in payment_scopes:
        services.scopes.describe(scope, f"The scope {scope}", PAYMENTS)
    services.scopes.describe("accounts:read", "The scope accounts:read", ACCOUNTS)
    services.versions.forget()
    return world


# what was made of a copy of the template: by which maker, on which kind of database, and for whom
_MADE: dict[tuple[object, ...], tuple[table_rows.Content, World]] = {}


def populated(app: Flask, make: Callable[[Flask], World] = populate) -> World:
    """As ``make``, on a database of the fixtures: where nothing happened yet, the rows are put there.

    A test that needs more of everybody than ``populate`` gives names a maker of its own, made once a process.
    """
    services = services_of(app)
    engine, settings = services.database.engine, services.settings
    # rows that were made at another time would be out of order for a clock that is walked
    moved = clock.now() if abs(clock.now() - time.time()) > 60 else 0
    kind = (engine.dialect.name, settings.issuer, settings.argon2_memory_kib, settings.argon2_time_cost)
    key = (make, moved, *kind)
    with engine.begin() as connection:
        touched = connection.execute(_TOUCHED).scalar_one()
        if not touched and key in _MADE:
            content, made = _MADE[key]
            table_rows.put(connection.connection.driver_connection, content)
    if touched:
        return make(app)
    if key not in _MADE:
        made = make(app)
        with engine.connect() as connection:
            _MADE[key] = table_rows.read(connection.connection.driver_connection), made
    services.versions.forget()
    return World(app, services, dict(made.secrets), dict(made.methods))


@pytest.fixture
def world(app: Flask) -> World:
    return populated(app)


@pytest.fixture
def make_world(make_app: Callable[..., Flask]) -> Callable[..., World]:
    """A populated app with settings of its own: ``make_world(limit_address="5/60")``."""
    return lambda **values: populated(make_app(**values))


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AUTHSERVER_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def nobody_calls() -> Iterator[None]:
    """A command that a test runs in this process names its caller for no other test."""
    token = context.current.set(context.current.get())
    yield
    context.current.reset(token)
