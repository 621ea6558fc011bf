"""The demo as a person runs it: lines that work when pasted, and an end when asked."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask
from plugins.factors import App
from plugins.people import hidden_fields
from services import free_port
from shopping import Market
from werkzeug.test import Client, TestResponse

from authserver import demo as demo_data
from authserver.app import services_of
from authserver.cli.demo import commands
from authserver.config import Settings, SettingsRefused
from authserver.errors import NotDone
from authserver.login.password_login import Browser
from authserver.services import Services

ROOT = Path(__file__).resolve().parent.parent


def two_ports() -> int:
    while True:
        port = free_port()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port + 1)) != 0:
                return port


class Demo:
    """``authserver demo run`` in a session of its own, as in a terminal; ``lines`` is what it printed."""

    def __init__(self, directory: Path, port: int) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AUTHSERVER_")}
        environment |= {"AUTHSERVER_INSTANCE_DIR": str(directory), "AUTHSERVER_LOG_LEVEL": "ERROR"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "authserver", "demo", "run", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        assert self.process.stdout is not None
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if "Ctrl-C" in line:
                break
        watchdog.cancel()
        assert any("Ctrl-C" in line for line in self.lines), "\n".join(self.lines)

    def interrupt(self) -> None:
        """Ctrl-C: SIGINT to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.lines += self.process.stdout.read().splitlines()
        self.process.stdout.close()


def pasted(lines: list[str]) -> dict[str, Any]:
    """What the lines that the demo printed answer when they are pasted."""
    stripped = [line.strip() for line in lines]
    commands = "\n".join(line for line in stripped if line.startswith(("SECRET=", "TOKEN=", "curl ", "post")))
    done = subprocess.run(
        ["bash", "-c", commands], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[[int], Demo]]:
    """Starts demos on one folder; those that a failed test leaves behind end with it."""
    demos: list[Demo] = []

    def start(port: int) -> Demo:
        demos.append(Demo(tmp_path, port))
        return demos[-1]

    yield start
    for demo in demos:
        if demo.process.poll() is None:
            demo.interrupt()


def buy(home: str, user: dict[str, str], steps_ahead: int) -> httpx.Response:
    """The last page of a purchase, from the issuer's home page, as a browser without scripts makes it.

    Two purchases within half a minute take codes of two time steps.
    """
    with httpx.Client(follow_redirects=True, timeout=30) as browser:

        def submit(page: httpx.Response, action: str, **values: str) -> httpx.Response:
            form = hidden_fields(page.text, action) | values
            return browser.post(page.url.join(action), data=form)

        front = browser.get(home)
        link = re.search(r'<a href="([^"]+)"[^>]*>Go to the shop</a>', front.text)
        assert link, front.text
        basket = browser.get(link[1])
        login = submit(basket, "/shop/checkout")
        asked = submit(login, "/login", username=user["username"], password=user["password"])
        assert "Approve this payment?" in asked.text, asked.text
        account = re.search(r'name="account" value="([^"]+)"', asked.text)
        assert account
        code = App(user["totp_secret"]).code(steps_ahead)
        return submit(asked, "/consent", account=account[1], code=code, decision="approve")


def secrets_of(content: dict[str, Any]) -> dict[str, str | None]:
    machines = [*content["clients"], *content["resource_servers"]]
    return {m["client_id"]: m["client_secret"] for m in machines} | {
        user["username"]: user["password"] for user in content["users"]
    }


def test_the_demo_pays_survives_a_restart_and_stops_on_ctrl_c(
    tmp_path: Path, start_demo: Callable[[int], Demo]
) -> None:
    port = two_ports()
    demo = start_demo(port)
    assert pasted(demo.lines)["status"] == "accepted"
    path = tmp_path / "demo.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = json.loads(path.read_text())
    assert "http://localhost:" + str(port) in "\n".join(demo.lines)
    receipt = buy(first["issuer"], first["users"][0], 0)
    assert str(receipt.url).startswith(f"http://127.0.0.1:{port + 1}/shop/orders/")
    assert "<h1>Receipt</h1>" in receipt.text
    assert "24.30" in receipt.text
    for name in ("orders.db", "payments.db", "authserver.db", "master.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    demo.interrupt()
    assert "Traceback" not in "\n".join(demo.lines)
    for used in (port, port + 1):
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{used}/healthz")

    other = two_ports()
    again = start_demo(other)
    moved = json.loads(path.read_text())
    assert secrets_of(moved) == secrets_of(first)
    assert moved["issuer"] == f"http://localhost:{other}"
    assert {api["audience"] for api in moved["resource_servers"]} == {
        f"http://127.0.0.1:{other + 1}/{name}" for name in ("payments", "accounts")
    }
    assert "<h1>Receipt</h1>" in buy(moved["issuer"], moved["users"][0], 1).text
    # printed once: the second start shows no credentials
    for secret in secrets_of(first).values():
        assert secret is None or secret not in "\n".join(again.lines)
    again.interrupt()
    assert "Traceback" not in "\n".join(again.lines)


def home(app: Flask) -> str:
    return Client(app).get("/", base_url=services_of(app).settings.issuer).text


def test_the_home_page_says_where_to_begin_and_leads_to_the_demo_where_that_runs(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app()
    text = home(app)
    assert "Go to the shop" not in text
    assert "alice" not in text
    paths = re.findall(r'<a href="(/[^"]*)"', text)
    # the last one is the page in another language
    assert len(paths) == 7
    for path in paths:
        answer = Client(app).get(path, base_url=services_of(app).settings.issuer)
        assert answer.status_code in (200, 303), path
    text = home(make_app(demo_url="http://127.0.0.1:8001/"))
    assert '<a href="http://127.0.0.1:8001/" role="button">Go to the shop</a>' in text
    assert "demo.json" in text


@pytest.mark.parametrize("url", ["javascript:alert(1)", "//x.example", "x", "ftp://x.example"])
def test_a_demo_that_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsRefused, match="DEMO_URL"):
        Settings.load({"AUTHSERVER_DEMO_URL": url})


def test_no_demo_stands_beside_a_real_bank() -> None:
    production = {"AUTHSERVER_PROFILE": "production", "AUTHSERVER_ISSUER": "https://auth.example.com"}
    with pytest.raises(SettingsRefused, match="AUTHSERVER_DEMO_URL must be off in production"):
        Settings.load(production | {"AUTHSERVER_DEMO_URL": "http://127.0.0.1:8001/"})


def test_the_lines_to_paste_need_no_curl(tmp_path: Path, sqlite_template: Path) -> None:
    market = Market(tmp_path).open(sqlite_template)
    try:
        places = {"issuer": market.issuer.url, "api": market.site.url, "path": tmp_path / "demo.json"}
        lines = commands(places | {"client_id": "demo-merchant"}, with_curl=False)
        assert not any("curl" in line for line in lines)
        assert pasted(lines)["status"] == "accepted"
        assert len(market.payments()) == 1
    finally:
        market.close()


# What is seeded, in this process.


def log_in(services: Services, username: str, password: str) -> bool:
    browser = Browser("192.0.2.20", "a browser", None)
    return services.password_login.attempt(username, password, browser) is not None


def test_the_file_has_the_shape_that_tests_and_partners_read(services: Services, tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    seeded = demo_data.seed(services, path, 8001)
    content = json.loads(path.read_text())
    assert content == seeded.content
    assert {name: content[name] for name in ("issuer", "operators", "partners")} == {
        "issuer": services.settings.issuer, "operators": [], "partners": [],
    }  # fmt: skip
    assert [set(user) for user in content["users"]] == [{"username", "password", "totp_secret"}] * 2
    merchant, shop, app = content["clients"]
    assert (merchant["client_id"], merchant["grant_types"]) == ("demo-merchant", ["client_credentials"])
    assert (shop["client_id"], shop["auth_method"]) == ("demo-shop", "client_secret_basic")
    assert shop["redirect_uris"] == ["http://127.0.0.1:8001/shop/callback"]
    assert (app["client_id"], app["auth_method"], app["client_secret"]) == ("demo-app", "none", None)
    assert app["redirect_uris"] == ["http://127.0.0.1/callback"]
    for client in (shop, app):
        assert client["grant_types"] == ["authorization_code", "refresh_token"]
        record = services.clients.get(client["client_id"])
        assert record is not None
        assert record.authorization_details_types == {"payment_initiation"}
        assert list(record.redirect_uris) == client["redirect_uris"]
    record = services.clients.get("demo-app")
    assert record is not None
    assert record.application_type == "native"
    assert seeded.fresh == {"alice", "bob", "demo-merchant", "demo-shop", "payments-api", "accounts-api"}


def test_passwords_are_random_and_work(services: Services, tmp_path: Path) -> None:
    content = demo_data.seed(services, tmp_path / "demo.json", 8001).content
    for user in content["users"]:
        assert len(set(user["password"])) > 5
        assert log_in(services, user["username"], user["password"])
        assert not log_in(services, user["username"], user["password"] + "x")
    assert content["users"][0]["password"] != content["users"][1]["password"]


def test_a_second_start_keeps_everything_and_moves_addresses(services: Services, tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    first = demo_data.seed(services, path, 8001).content
    second = demo_data.seed(services, path, 9001)
    assert secrets_of(second.content) == secrets_of(first)
    assert second.fresh == set()
    assert second.content["clients"][1]["redirect_uris"] == ["http://127.0.0.1:9001/shop/callback"]
    shop = services.clients.get("demo-shop")
    assert shop is not None
    assert shop.redirect_uris == ("http://127.0.0.1:9001/shop/callback",)


def test_a_sandbox_client_registers_itself_and_is_active_at_once(
    services: Services, app: Flask, tmp_path: Path
) -> None:
    path = tmp_path / "demo.json"
    token = demo_data.seed(services, path, 8001).content["initial_access_token"]
    assert demo_data.seed(services, path, 8001).content["initial_access_token"] == token
    document = {"redirect_uris": ["http://localhost:3000/cb"], "grant_types": ["authorization_code"]}

    def register() -> TestResponse:
        headers = {"Authorization": f"Bearer {token}"}
        base_url = services.settings.issuer
        return app.test_client().post("/register", json=document, headers=headers, base_url=base_url)

    told = register()
    assert told.status_code == 201
    assert set(demo_data.PERSON_SCOPES) < set(told.json["scope"].split())
    client = services.clients.get(told.json["client_id"])
    assert client is not None
    assert client.active
    services.partners.revoke(services.partners.all()[0].token_id)
    assert register().status_code == 401
    assert demo_data.seed(services, path, 8001).content["initial_access_token"] != token


@pytest.mark.parametrize("lost", ["the file", "a password", "the right password"])
def test_a_password_that_the_file_does_not_know_is_set_anew(
    services: Services, tmp_path: Path, lost: str
) -> None:
    path = tmp_path / "demo.json"
    first = demo_data.seed(services, path, 8001).content
    if lost == "the file":
        path.unlink()
    else:
        changed = json.loads(path.read_text())
        changed["users"][0]["password"] = None if lost == "a password" else "not the one"
        path.write_text(json.dumps(changed))
    second = demo_data.seed(services, path, 8001)
    old, new = (secrets_of(content)["alice"] for content in (first, second.content))
    assert old != new
    assert "alice" in second.fresh
    assert log_in(services, "alice", str(new))
    assert not log_in(services, "alice", str(old))
    assert ("bob" in second.fresh) == (lost == "the file")


def test_a_start_that_was_cut_off_is_finished_by_the_next(services: Services, tmp_path: Path) -> None:
    services.users.create("alice", "alice@example.com", "Alice Adams")
    content = demo_data.seed(services, tmp_path / "demo.json", 8001).content
    assert log_in(services, "alice", content["users"][0]["password"])


def test_whom_an_operator_disabled_the_demo_does_not_bring_back(services: Services, tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    demo_data.seed(services, path, 8001)
    alice = services.users.find("alice")
    assert alice is not None
    services.users.disable(alice.user_id)
    content = demo_data.seed(services, path, 8001).content
    assert content["users"][0] == {"username": "alice", "password": None, "totp_secret": None}
    again = services.users.find("alice")
    assert again is not None
    assert again.state == "disabled"


def test_a_file_that_is_broken_is_made_anew(services: Services, tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    demo_data.seed(services, path, 8001)
    for broken in ("", "[]", "{}", '{"clients": [], "resource_servers": [], "users": 7}', "null"):
        path.write_text(broken)
        content = demo_data.seed(services, path, 8001).content
        assert services.clients.holds("demo-shop", content["clients"][1]["client_secret"])
        assert log_in(services, "alice", content["users"][0]["password"])


def test_alices_app_is_set_up_and_kept_and_its_code_is_told(services: Services, tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    first = demo_data.seed(services, path, 8001).content
    alice, bob = (services.users.find(name) for name in ("alice", "bob"))
    assert alice is not None and bob is not None
    secret = first["users"][0]["totp_secret"]
    assert services.mfa.has_secret(alice.user_id, secret)
    assert first["users"][1]["totp_secret"] is None
    assert services.mfa.factors(bob.user_id).strong == 0
    assert services.mfa.judge(alice.user_id, "totp", demo_data.code_of(path, "alice")) is not None
    with pytest.raises(NotDone, match="no authenticator app of bob"):
        demo_data.code_of(path, "bob")
    assert demo_data.seed(services, path, 8001).content["users"] == first["users"]
    # one that the file does not know is replaced, as passwords are
    path.unlink()
    second = demo_data.seed(services, path, 8001).content["users"][0]["totp_secret"]
    assert second != secret
    assert services.mfa.has_secret(alice.user_id, second)
