"""Production on this machine, to try and to test: ``python -m deploy.rehearsal``.

nginx, PostgreSQL, Redis and two workers, each with its file from this folder, on loopback; the certificate is
made on the spot. Everything is gone when it ends.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import psycopg

from authserver import crypto
from authserver.cli.serve import stop_on_signals

from . import certificates

HERE = Path(__file__).resolve().parent
# the real PostgreSQL, Redis and nginx of the tests: started here, ended with this process
sys.path.insert(0, str(HERE.parent / "tests"))
from nginx import NginxServer, nginx_missing  # noqa: E402
from running import RunningServer  # noqa: E402
from services import (  # noqa: E402
    PostgresCluster,
    RedisServer,
    _program,
    free_port,
    postgres_missing,
    redis_missing,
)

OWNER, SERVING = "authserver_owner", "authserver_app"
AUDIENCE = "https://api.example.com/invoices"
# what production refuses to serve without, in place of the cheap hashes of tests
ARGON2 = {"argon2_memory_kib": "19456", "argon2_time_cost": "2"}


class Redis(RedisServer):
    """Redis with deploy/redis/redis.conf, a password and a port of its own."""

    def __init__(self) -> None:
        self.password = crypto.random_token()
        super().__init__()

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        program = _program("redis-server") or "redis-server"
        options = ["--port", str(self.port), "--requirepass", self.password]
        return [program, str(HERE / "redis" / "redis.conf"), *options]

    def ping(self) -> None:
        import redis

        with redis.Redis.from_url(self.url, socket_timeout=2) as client:
            client.ping()


class Rehearsal:
    """A deployment: its database is migrated by the owner when it is entered, and served after ``serve``."""

    def __init__(self, cluster: PostgresCluster, redis_url: str, directory: Path, https: int = 0) -> None:
        self.directory = directory
        self.port = https or free_port()
        self.issuer = f"https://localhost:{self.port}"
        self.ca = certificates.make(directory / "tls")
        self._cluster = cluster
        app_port = free_port()
        self.settings = {
            "profile": "production",
            "master_keys": f"k1:{crypto.random_token()}",
            "redis_url": redis_url,
            "trusted_peers": "127.0.0.2",
            "client_address_header": "X-Authserver-Peer",
            "audit_anchor": str(directory / "audit-anchor"),
            **ARGON2,
        }
        self.workers = self._as(SERVING, app_port)
        self._owner = self._as(OWNER, app_port)
        self.nginx = NginxServer(app_port, directory / "tls", port=self.port)
        self._stack = ExitStack()

    def _as(self, role: str, port: int) -> RunningServer:
        return RunningServer(
            self.directory,
            workers=2,
            port=port,
            issuer=self.issuer,
            **self.settings,
            database_url=self.database_url(role),
        )

    def database_url(self, role: str) -> str:
        """The database as ``role`` reaches it."""
        return f"postgresql+psycopg://{role}@127.0.0.1:{self._cluster.port}/authserver"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._forget)
            self._execute("postgres", "postgres", HERE / "postgresql" / "roles.sql")
            stack.callback(self.workers.stop)
            stack.callback(self.nginx.close)
            self._owner.command("db", "upgrade")
            self._execute(OWNER, "authserver", HERE / "postgresql" / "grants.sql")
            self._stack = stack.pop_all()
        return self

    def serve(self) -> None:
        """The workers serve, as a role that may do nothing else, and nginx is before them."""
        self.workers.start()
        self.nginx.start()

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def command(self, *arguments: str) -> dict[str, Any]:
        """What ``authserver ARGUMENTS --json`` prints, run as the serving role."""
        done = self.workers.command(*arguments, "--json", check=False)
        if done.returncode:
            raise RuntimeError(f"authserver {shlex.join(arguments)}: {done.stderr}")
        return dict(json.loads(done.stdout))

    def _execute(self, role: str, database: str, file: Path) -> None:
        """The statements of ``file``, each on its own: a database is not made in a transaction."""
        where = f"host=127.0.0.1 port={self._cluster.port} user={role} dbname={database}"
        lines = [line for line in file.read_text().splitlines() if not line.startswith("--")]
        with psycopg.connect(where, autocommit=True) as connection:
            for statement in "\n".join(lines).split(";"):
                if statement.strip():
                    connection.execute(statement.encode())

    def _forget(self) -> None:
        self._cluster.drop_database("authserver")
        for role in (SERVING, OWNER):
            self._cluster.execute(f"DROP ROLE IF EXISTS {role}")


def main() -> int:
    """Serves until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m deploy.rehearsal", description=__doc__)
    parser.add_argument("--port", type=int, default=8443, help="of https; 8443 if left out")
    options = parser.parse_args()
    if missing := nginx_missing() or postgres_missing() or redis_missing():
        print(missing, file=sys.stderr)
        return 1
    stop_on_signals()
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="authserver-rehearsal-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        print("Starting PostgreSQL, Redis, two workers and nginx ...", flush=True)
        cluster, redis = stack.enter_context(PostgresCluster()), stack.enter_context(Redis())
        rehearsal = stack.enter_context(Rehearsal(cluster, redis.url, directory, options.port))
        told = _told(rehearsal)
        rehearsal.serve()
        print(told, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


def _told(rehearsal: Rehearsal) -> str:
    """The first API, scope, client and person are made; gives what to do with them."""
    api = rehearsal.command("clients", "create", "--name", "Invoices API", "--audience", AUDIENCE)
    scope = ("invoices:read", "--description", "See invoices", "--audience", AUDIENCE)
    rehearsal.command("scopes", "set", *scope)
    client = rehearsal.command(
        "clients", "create", "--name", "Shop", "--grant", "client_credentials", "--scope", "invoices:read"
    )
    person = rehearsal.command("users", "create", "--username", "alice")
    curl = f"curl --cacert {rehearsal.ca}"
    ours = f"{client['client_id']}:{client['client_secret']}"
    theirs = f"{api['client_id']}:{api['client_secret']}"
    return f"""
The issuer is {rehearsal.issuer}, http on port {rehearsal.nginx.plain} alone.
Let your browser trust {rehearsal.ca} first, or accept its warning.

Set alice's password: {person["link"]}
Then sign in:         {rehearsal.issuer}/

A token, and what the API is told of it:
  token=$({curl} -s -u {ours} -d grant_type=client_credentials \\
    {rehearsal.issuer}/token | sed 's/.*"access_token":"//;s/".*//')
  {curl} -u {theirs} -d token=$token {rehearsal.issuer}/introspect

Logs:    {rehearsal.workers.log}
         {rehearsal.nginx.access_log}
Metrics: http://127.0.0.1:{rehearsal.workers.port}/metrics
Ctrl-C ends everything and removes it."""


if __name__ == "__main__":
    sys.exit(main())
