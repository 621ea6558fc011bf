"""Serving: under granian and gunicorn, from a checkout and from an installed wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from running import RunningServer
from services import free_port

from authserver.cli import main

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def gunicorn(
    server: RunningServer, log: Path, workers: int, *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """``wsgi:app`` under gunicorn, with the settings of ``server`` but its count of workers unknown."""
    command = [sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "4", "-w", str(workers)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "-b", f"127.0.0.1:{server.port}", "--no-control-socket", *options, "wsgi:app"],
            cwd=ROOT,
            env=server.environment,
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


def answers(address: str, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/readyz", timeout=2).status_code == 200:
                return True
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    return False


def issue(server: RunningServer, client: dict[str, str]) -> httpx.Response:
    return httpx.post(
        f"{server.address}/token",
        auth=(client["client_id"], client["client_secret"]),
        data={"grant_type": "client_credentials"},
    )


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder of a migrated instance with one client that may have one scope."""
    directory = tmp_path_factory.mktemp("instance")

    def command(*arguments: str) -> str:
        # as in a process of its own, which would load for a second each time; who called ends with the call
        runner = CliRunner(env=RunningServer(directory).environment)
        done = copy_context().run(runner.invoke, main, arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    command("db", "upgrade")
    command("clients", "create", "--name", "API", "--id", "api", "--audience", "https://api.example")
    command("scopes", "set", "read", "--description", "Read", "--audience", "https://api.example")
    created = command(
        "clients", "create", "--name", "Shop", "--grant", "client_credentials", "--scope", "read", "--json"
    )
    return directory, json.loads(created)


@pytest.fixture
def prepared(instance: tuple[Path, dict[str, str]], tmp_path: Path) -> tuple[RunningServer, dict[str, str]]:
    """A server on a copy of that folder, not started, and its client."""
    shutil.copytree(instance[0], tmp_path / "instance")
    return RunningServer(tmp_path / "instance"), instance[1]


def test_two_granian_workers_share_sqlite_when_the_command_knows_of_them(
    prepared: tuple[RunningServer, dict[str, str]],
) -> None:
    server, client = prepared
    server.workers = 2
    with server:
        assert [issue(server, client).status_code for _ in range(6)] == [200] * 6
        assert len(server.worker_pids()) == 2
    log = server.log.read_text()
    assert client["client_secret"] not in log


@pytest.mark.parametrize("options", [[], ["--preload"]])
def test_gunicorn_serves_the_same_app(
    prepared: tuple[RunningServer, dict[str, str]], tmp_path: Path, options: list[str]
) -> None:
    server, client = prepared
    with gunicorn(server, tmp_path / "gunicorn.log", 1, *options):
        assert answers(server.address)
        assert issue(server, client).status_code == 200
        # the jobs run in the process that serves, also when the app was loaded before the fork
        deadline = time.monotonic() + 10
        jobs: dict[str, object] = {}
        while time.monotonic() < deadline and "audit_seal" not in jobs:
            jobs = httpx.get(f"{server.address}/readyz").json()["jobs"]
            time.sleep(0.2)
        assert "audit_seal" in jobs


def test_a_second_process_on_sqlite_refuses_to_start_where_nobody_counts_them(
    prepared: tuple[RunningServer, dict[str, str]], tmp_path: Path
) -> None:
    server, _ = prepared
    log = tmp_path / "gunicorn.log"
    with gunicorn(server, log, 2) as process:
        process.wait(timeout=30)
    assert process.returncode != 0
    assert "Another process serves from this folder" in log.read_text()


def test_a_server_goes_on_when_whoever_collected_its_log_has_gone(
    prepared: tuple[RunningServer, dict[str, str]],
) -> None:
    server, client = prepared
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "authserver", "serve", "--port", str(server.port)],
        cwd=ROOT,
        env=server.environment,
        stdout=writer,
        stderr=writer,
    )
    os.close(writer)
    try:
        assert answers(server.address)
        os.close(reader)
        assert [issue(server, client).status_code for _ in range(3)] == [200] * 3
        assert httpx.get(f"{server.address}/login").status_code == 200
    finally:
        process.terminate()
        process.wait(timeout=15)


def test_a_port_in_use_is_told_in_one_line(prepared: tuple[RunningServer, dict[str, str]]) -> None:
    server, _ = prepared
    with server:
        again = server.command("serve", "--port", str(server.port), check=False)
    assert again.returncode == 2
    assert again.stderr.strip().count("\n") == 0
    assert "cannot be used" in again.stderr


def test_an_installed_wheel_works_from_any_folder(tmp_path: Path) -> None:
    """Dependencies come from this environment; the package and its assets from the wheel alone."""
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    subprocess.run([*build, str(ROOT)], check=True, timeout=120)
    (wheel,) = tmp_path.glob("authserver-*.whl")
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    (site,) = environment.glob("lib/python3.*/site-packages")
    ours = next(p for p in sys.path if p.endswith("site-packages"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel)],
        check=True,
    )
    # after the wheel's own folder, so that nothing of the checkout is found first
    (site / "dependencies.pth").write_text(ours + "\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    python = str(environment / "bin" / "python")
    where = subprocess.run(
        [python, "-P", "-c", "import authserver.config as c; print(c.asset_dir('migrations'))"],
        cwd=elsewhere, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "site-packages/authserver/_assets/migrations" in where.stdout
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AUTHSERVER_", "PYTHON"))}
    clean |= {
        "AUTHSERVER_ISSUER": f"http://localhost:{free_port()}",
        "AUTHSERVER_INSTANCE_DIR": str(elsewhere / "i"),
    }

    def run(*arguments: str) -> str:
        return subprocess.run(
            [python, "-P", "-m", "authserver", *arguments],
            cwd=elsewhere, env=clean, capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    assert "revision" in run("db", "upgrade")
    assert "client_secret" in run(
        "clients", "create", "--name", "API", "--audience", "https://api.example", "--json"
    )
    assert json.loads(run("audit", "verify", "--json"))["whole"] is True
    serving = subprocess.Popen(
        [python, "-P", "-m", "authserver", "serve"], cwd=elsewhere, env=clean, stderr=subprocess.DEVNULL
    )
    try:
        assert answers(clean["AUTHSERVER_ISSUER"])
        assert "authserver" in httpx.get(clean["AUTHSERVER_ISSUER"] + "/").text
        assert httpx.get(clean["AUTHSERVER_ISSUER"] + "/static/site.css").status_code == 200
        german = httpx.get(clean["AUTHSERVER_ISSUER"] + "/login", headers={"Accept-Language": "de"})
        assert "<h1>Anmelden</h1>" in german.text
    finally:
        serving.terminate()
        serving.wait(timeout=15)
