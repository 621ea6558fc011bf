"""What is measured: the floor, and the issuer on each storage, each a server process on loopback."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import delete, insert

from authserver import clock, crypto, demo, tiers
from authserver.app import create_app, services_of
from authserver.cache import raise_version
from authserver.cli.db import prepare
from authserver.config import PREFIX, Settings
from authserver.models.token import Revocation
from authserver.services import Services

from . import machine
from .people import SHOP, People, settle
from .serve import JOBS_FILE, THREADS, WORKERS

ROOT = Path(__file__).resolve().parent.parent
# the real PostgreSQL and Redis of the tests: started here, ended with this process
sys.path.insert(0, str(ROOT / "tests"))
from services import PostgresCluster, RedisServer, free_port, postgres_missing, redis_missing  # noqa: E402

START_SECONDS = 30
SEAL_SECONDS = 20
# they count as ever, but refuse nobody
WIDE = "999999999/60"
LISTED = 100


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far: the workers, the background thread within them, and the services beside."""

    workers: float
    background: float
    database: float
    redis: float

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.workers - other.workers,
            self.background - other.background,
            self.database - other.database,
            self.redis - other.redis,
        )


@dataclass
class Subject:
    """A running server; ``services`` and the credentials are of the issuer, absent for the floor."""

    name: str
    port: int
    workers: list[int]
    jobs: list[tuple[int, int]] = field(default_factory=list)
    postmaster: int = 0
    redis: int = 0
    services: Services | None = None
    people: People | None = None
    merchant: str = ""
    shop: str = ""
    api: str = ""

    def usage(self) -> Usage:
        database = [self.postmaster, *machine.children(self.postmaster)] if self.postmaster else []
        return Usage(
            machine.cpu_seconds(self.workers),
            machine.thread_cpu_seconds(self.jobs),
            machine.cpu_seconds(database),
            machine.cpu_seconds([self.redis] if self.redis else []),
        )

    def memory(self) -> float:
        """Resident megabytes of the workers."""
        return machine.resident_megabytes(self.workers)

    def await_sealed(self) -> None:
        """The background has chained every audit row: its cost belongs to the requests that made them."""
        deadline = time.monotonic() + SEAL_SECONDS
        while self.services and self.services.sealer.pending():
            if time.monotonic() > deadline:
                raise RuntimeError("audit rows were not sealed in time: their cost would be left out")
            time.sleep(0.05)

    def list_revocations(self, count: int = LISTED) -> None:
        """The list of revocations has ``count`` entries, the same in every round."""
        assert self.services is not None
        rows = [
            {
                "kind": "jti",
                "value": crypto.random_token(128),
                "revoked_at": clock.now(),
                "expires_at": clock.now() + 3600,
            }
            for _ in range(count)
        ]
        with self.services.database.writing() as connection:
            connection.execute(delete(Revocation))
            connection.execute(insert(Revocation), rows)
            raise_version(connection, "revocations")
        # every worker asks for versions anew, and signs the new list once, before it is measured
        time.sleep(0.6)
        httpx.get(f"http://127.0.0.1:{self.port}/revocations", timeout=5).raise_for_status()


@contextmanager
def floor(directory: Path) -> Iterator[Subject]:
    """The plain Flask views."""
    port = free_port()
    with _served("benchmarks.floor:app", port, "/empty", directory / "floor.log", {}) as process:
        yield Subject("floor", port, _workers(process))


@contextmanager
def on_sqlite(directory: Path, **settings: str) -> Iterator[Subject]:
    """The issuer on SQLite, limits in its memory; ``settings`` besides the usual ones."""
    with _issuer("SQLite", directory / "sqlite", settings) as subject:
        yield subject


@contextmanager
def on_postgresql(directory: Path) -> Iterator[Subject]:
    """The issuer on a PostgreSQL and a Redis of its own."""
    with ExitStack() as stack:
        cluster = stack.enter_context(PostgresCluster())
        redis = stack.enter_context(RedisServer())
        settings = {"database_url": cluster.create_database(), "redis_url": redis.url}
        subject = stack.enter_context(_issuer("PostgreSQL + Redis", directory / "postgresql", settings))
        subject.postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
        subject.redis = _pid_of_redis(redis)
        yield subject


def postgresql_missing() -> str | None:
    """Why there is no measurement on PostgreSQL and Redis, or None."""
    return postgres_missing() or redis_missing()


def prepared(settings: Settings, directory: Path) -> tuple[Services, dict[str, Any]]:
    """A migrated issuer with the demo's clients under wide limits, and their credentials."""
    directory.mkdir(parents=True, exist_ok=True)
    services = services_of(create_app(settings))
    prepare(services)
    content = demo.seed(services, directory / "demo.json", 8001).content
    for endpoint in ("*", "introspect"):
        tiers.change(services.database, services.audit, "gold", endpoint, (10**9, 60))
    services.versions.forget()
    return services, content


def settings_for(directory: Path, port: int, **values: str) -> dict[str, str]:
    """The settings of a measured issuer, by their names."""
    return {
        "issuer": f"http://127.0.0.1:{port}",
        "instance_dir": str(directory),
        "master_keys": f"k1:{crypto.random_token()}",
        "limit_address": WIDE,
        "limit_address_failures": WIDE,
        "limit_client_failures": WIDE,
        "limit_authorize_address": WIDE,
        "revocations_lifetime": "3600",
        **values,
    }


@contextmanager
def _issuer(name: str, directory: Path, values: dict[str, str]) -> Iterator[Subject]:
    port = free_port()
    settings = settings_for(directory, port, **values)
    services, content = prepared(Settings.load({}, **settings), directory)
    people = settle(services)
    environment = {f"{PREFIX}{key.upper()}": value for key, value in settings.items()}
    metrics = directory / "metrics"
    metrics.mkdir()
    jobs = directory / "jobs"
    environment |= {
        f"{PREFIX}WORKERS": str(WORKERS),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        JOBS_FILE: str(jobs),
    }
    try:
        with _served(
            "benchmarks.issuer:app", port, "/readyz", directory / "server.log", environment
        ) as process:
            yield Subject(
                name,
                port,
                _workers(process),
                [(int(pid), int(thread)) for pid, thread in map(str.split, jobs.read_text().splitlines())],
                services=services,
                people=people,
                merchant=_basic(content["clients"][0]),
                shop=_basic({"client_id": SHOP, "client_secret": people.secret}),
                api=_basic(content["resource_servers"][0]),
            )
    finally:
        services.database.engine.dispose()


@contextmanager
def _served(target: str, port: int, probe: str, log: Path, environment: dict[str, str]) -> Iterator[int]:
    """The pid of a server that answers ``probe``; every process of it has ended afterwards."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serve", target, str(port)],
            cwd=ROOT,
            env=inherited | environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        _await_answer(f"http://127.0.0.1:{port}{probe}", process, log)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=5)


def _await_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{url} did not answer:\n{log.read_text()[-3000:]}")


def _workers(parent: int) -> list[int]:
    """The processes that serve: the parent only starts them, and its helper tracks resources."""
    return [
        pid for pid in machine.children(parent) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def _pid_of_redis(server: RedisServer) -> int:
    import redis

    with redis.Redis(port=server.port) as client:
        return int(client.info("server")["process_id"])


def _basic(entry: dict[str, str]) -> str:
    pair = f"{entry['client_id']}:{entry['client_secret']}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def server_described() -> str:
    """The server that all subjects run under, in one line."""
    return f"granian, {WORKERS} worker, {THREADS} threads"
