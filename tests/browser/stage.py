"""What browsers meet in these tests: the demo as people start it, a second merchant, and people."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from plugins.app import WIDE_LIMITS
from plugins.factors import fresh_code, give_app
from plugins.passkeys import give_passkey
from plugins.people import PASSWORD, add_user, on_new_device
from postbox import Arrived, Mailbox
from services import free_port

from authserver import crypto
from authserver.app import create_app, services_of
from authserver.config import Settings

from .merchant import NAME, Merchant

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
# of the demo's shop
ORDERS = "orders.db"
SETTINGS = {
    **WIDE_LIMITS,
    "log_level": "ERROR",
    # all failures of all tests come from one address: nobody is asked for more because of them
    "risk_step_up": "8000",
    "risk_strong": "9000",
    "risk_deny": "10000",
    "argon2_memory_kib": "8",
    "argon2_time_cost": "1",
    "sessions_per_user": "1000",
}


class Stage:
    """``authserver demo run`` with limits that no test reaches, and the same database in this process."""

    # who has an authenticator app, besides alice: they are asked for its code at every login
    apps = frozenset({"dora", "fred"})

    def __init__(self, directory: Path, **settings: str) -> None:
        # the demo is started in ``directory``, as people do in the project's folder: pages name its files so
        self.directory = directory / "instance"
        port = _two_ports()
        self.issuer, self.shop = f"http://localhost:{port}", f"http://127.0.0.1:{port + 1}"
        self.merchant = Merchant(self.issuer)
        self.environment = {
            "PYTHONPATH": str(ROOT),
            "SHOP_DATABASE": str(self.directory / ORDERS),
            **{f"AUTHSERVER_{name.upper()}": value for name, value in (SETTINGS | settings).items()},
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AUTHSERVER_")}
        policy = directory / "policy.toml"
        policy.write_text('[[rule]]\ngroups = ["careful"]\nacr = "urn:authserver:acr:mfa"\n')
        self.environment["AUTHSERVER_FACTOR_POLICY"] = str(policy)
        self.mailbox = Mailbox()
        self.mailbox.__enter__()
        mails = self.mailbox.settings(smtp_host="127.0.0.1")
        self.environment |= {f"AUTHSERVER_{name.upper()}": str(value) for name, value in mails.items()}
        self._used: Counter[str] = Counter()
        self.log = directory / "demo.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "authserver", "demo", "run", "--port", str(port)],
                cwd=directory,
                env=inherited | self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        try:
            self._await_start()
            self._prepare()
        except BaseException:
            self._stop()
            raise
        return self

    def _prepare(self) -> None:
        here = {"issuer": self.issuer, "instance_dir": self.directory, "cache_confirm_ms": 10}
        settings = Settings.load(self.environment, **here)
        self.app = create_app(settings)
        self.services = services_of(self.app)
        self.demo: dict[str, Any] = json.loads((self.directory / "demo.json").read_text())
        self._register(self.merchant)
        self.merchant.__enter__()
        for name in ("dora", "emil", "fred"):
            add_user(self.services, name)
        for name in sorted(self.apps):
            self.give_app(name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.merchant.__exit__(kind, error, trace)
        self.services.database.engine.dispose()
        self._stop()

    @property
    def origins(self) -> set[str]:
        """Where a browser may go; anything else is an asset or a leak."""
        return {self.issuer, self.shop, self.merchant.shop, self.merchant.receipts}

    def give_app(self, username: str) -> None:
        """The person has an authenticator app from now on."""
        give_app(self.services, self._id_of(username))

    def code(self, username: str) -> str:
        """What the person's authenticator app says, as if they had not used it before."""
        return fresh_code(self.services, self._id_of(username))

    def _id_of(self, username: str) -> str:
        user = self.services.users.find(username)
        assert user is not None
        return user.user_id

    def password(self, username: str) -> str:
        """The password of a person, made up by the demo for its own."""
        return str({one["username"]: one["password"] for one in self.demo["users"]}.get(username, PASSWORD))

    def newcomer(self) -> str:
        """The user name of somebody who has signed in nowhere."""
        name = self._unused("greta")
        add_user(self.services, name)
        return name

    def owner_of_passkeys(self) -> str:
        """The user name of somebody who has an authenticator app and two passkeys, on devices elsewhere."""
        name = self.newcomer()
        self.give_app(name)
        for called in ("Work laptop", "Blue security key"):
            give_passkey(self.app, self._id_of(name), called)
        return name

    def demand_a_factor(self, username: str) -> None:
        """Who this is must have a second factor from now on, by the policy that the demo was started with."""
        user = self.services.users.find(username)
        assert user is not None
        self.services.users.set_groups(user.user_id, ["careful"])

    def enrolment(self) -> str:
        """The address by which a new person sets a password."""
        name = self._unused("gina")
        user = self.services.users.create(name, f"{name}@example.com", "Gina Green")
        return f"{self.issuer}/enrol?token={self.services.links.make(user.user_id, 'enrol')}"

    def let_expire(self, url: str) -> None:
        """The request that the page at ``url`` belongs to is 15 minutes old."""
        (request_id,) = parse_qs(urlsplit(url).query)["request"]
        back = "UPDATE interaction SET created_at = created_at - 901, expires_at = expires_at - 901"
        with self._database("authserver.db") as database:
            moved = database.execute(f"{back} WHERE digest = ?", (crypto.digest(request_id),))
            assert moved.rowcount == 1

    def order(self, state: str, doubt: int = 0) -> str:
        """The address of the newest order in the demo's shop, which is in this state now."""
        with self._database(ORDERS) as database:
            query = "SELECT id FROM shop_order ORDER BY created DESC LIMIT 1"
            (order_id,) = database.execute(query).fetchone()
            database.execute(
                "UPDATE shop_order SET state = ?, doubt = ? WHERE id = ?", (state, doubt, order_id)
            )
        return f"{self.shop}/shop/orders/{order_id}"

    def mail_to(self, username: str, subject: str) -> Arrived:
        """The newest mail of this subject to the person, once it has arrived."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            for one in reversed(self.mailbox.arrived):
                if (one.envelope_to, one.subject) == ([f"{username}@example.com"], subject):
                    return one
            assert time.monotonic() < deadline, [one.subject for one in self.mailbox.arrived]
            time.sleep(0.05)

    def new_device(self, username: str) -> str:
        """The cookie of a session of somebody who has the password right, on a device that is new."""
        user = self.services.users.find(username)
        assert user is not None
        return on_new_device(self.services, user.user_id, "127.0.0.1")

    def _unused(self, name: str) -> str:
        """A user name that nobody has: greta, greta2, …"""
        self._used[name] += 1
        return name if self._used[name] == 1 else f"{name}{self._used[name]}"

    @contextmanager
    def _database(self, name: str) -> Iterator[sqlite3.Connection]:
        """One transaction in a database of the demo."""
        with closing(sqlite3.connect(self.directory / name, timeout=10)) as connection, connection:
            yield connection

    def _register(self, merchant: Merchant) -> None:
        values = {
            "client_id": merchant.client_id,
            "client_name": NAME,
            "state": "active",
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code"],
            "redirect_uris": [merchant.callback],
            "post_logout_redirect_uris": [merchant.after_logout],
            "authorization_details_types": ["payment_initiation"],
            "scopes": ["openid", "profile", "email", "accounts:read", "payments:initiate"],
            "profile": "oauth21",
            "tier": "gold",
        }
        _, secret = self.services.clients.create(values)
        merchant.secret = str(secret)

    def _await_start(self) -> None:
        """The demo says that it is there, and how to end it."""
        deadline = time.monotonic() + START_SECONDS
        while "Ctrl-C" not in self.log.read_text():
            ended = self._process.poll() is not None
            assert not ended and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def _stop(self) -> None:
        """Ctrl-C."""
        self.mailbox.__exit__()
        os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _two_ports() -> int:
    while True:
        port = free_port()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port + 1)) != 0:
                return port
