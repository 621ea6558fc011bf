"""Real PostgreSQL and Redis servers for tests: each started here, on loopback, in a folder of its own.

A server ends with its `close()`, at the exit of the process, or, if the process is killed, by a
watchdog that waits for the other end of a pipe to close. Only processes started here get a signal.
"""

from __future__ import annotations

import atexit
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psycopg
import redis
from psycopg import sql
from redis.backoff import NoBackoff
from redis.retry import Retry

START_TIMEOUT = 120.0
STOP_TIMEOUT = 20.0

# Reads the server's pid (an empty line: none) until the pipe closes, then ends it and removes $1.
_WATCHDOG = """
pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
    kill -QUIT "$pid"; kill -CONT "$pid"
    for _ in 1 2 3 4 5; do kill -0 "$pid" || break; sleep 0.2; done
    kill -KILL "$pid"
fi
rm -rf "$1"
"""


def free_port() -> int:
    """A loopback port that nothing listens on, below the range from which the kernel lends ports.

    A server that is killed and started again needs its own port back: a lent one may have gone to
    an outgoing connection meanwhile.
    """
    for port in random.sample(range(12000, 32000), 200):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 12000 and 32000")


def _program(name: str) -> str | None:
    """The program's path; of several PostgreSQL versions in Debian's folders the newest."""
    packaged = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]), reverse=True
    )
    return shutil.which(name) or (str(packaged[0]) if packaged else None)


def postgres_missing() -> str | None:
    """Why PostgreSQL cannot be started here, or None."""
    if not _program("initdb") or not _program("postgres"):
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "PostgreSQL refuses to run as root and there is no user named postgres"
    return None


def redis_missing() -> str | None:
    """Why Redis cannot be started here, or None."""
    if not _program("redis-server"):
        return "Redis is not installed (Debian: apt-get install redis-server)"
    return None


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text()
        except OSError:
            continue
        # The second field is the program's name in parentheses, which may hold spaces and parentheses.
        if int(status.rpartition(")")[2].split()[1]) == parent:
            found.append(int(entry.name))
    return found


class _Server:
    """A server process on a loopback port, which stays the same from one start to the next."""

    program: str
    account: str | None = None

    def __init__(self, directory: Path | None = None) -> None:
        # Not in pytest's tmp_path: only root may enter that, and PostgreSQL runs as another user.
        made = None if directory else tempfile.mkdtemp(prefix=f"authserver-{self.program}-")
        self.directory = Path(made or directory or ".").absolute()
        self.directory.mkdir(exist_ok=True)
        if self.account:
            shutil.chown(self.directory, self.account, pwd.getpwnam(self.account).pw_gid)
        self.port = free_port()
        self.log = self.directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog = subprocess.Popen(
            ["sh", "-c", _WATCHDOG, "sh", made or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(self.close)

    def command(self) -> list[str]:
        raise NotImplementedError

    def ping(self) -> None:
        """Returns when the server answers a query; otherwise raises."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        if self.running:
            return self
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the tests; they stop the server in their own time.
                start_new_session=True,
                **self._identity(),
            )
        self._tell_watchdog(str(self._process.pid))
        self._await_answer()
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends the server in order; returns when it has gone."""
        process = self._process
        if process is None:
            return
        if self.running:
            self.resume()
            process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget()

    def kill(self) -> None:
        """Ends the server and its children at once, as a crash does; returns when they have gone."""
        process = self._process
        if process is None:
            return
        # Stopped first, the parent makes no more children and none of their pids is given away.
        if self.running:
            process.send_signal(signal.SIGSTOP)
            children = _children(process.pid)
            for pid in (process.pid, *children):
                os.kill(pid, signal.SIGKILL)
            process.wait()
            _await_end(children)
        self._forget()

    def pause(self) -> None:
        """Freezes the server: connections stay open, new ones are accepted, nothing is answered."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGSTOP)
            for pid in _children(self._process.pid):
                _send(pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None and self.running:
            for pid in _children(self._process.pid):
                _send(pid, signal.SIGCONT)
            self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def close(self) -> None:
        """Stops the server and removes the folder that was made for it; a second call changes nothing."""
        atexit.unregister(self.close)
        self.stop()
        if self._watchdog.stdin and not self._watchdog.stdin.closed:
            self._watchdog.stdin.close()
            self._watchdog.wait()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _identity(self) -> dict[str, Any]:
        if not self.account:
            return {}
        return {"user": self.account, "group": pwd.getpwnam(self.account).pw_gid, "extra_groups": []}

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                self.ping()
                return
            except (psycopg.Error, redis.RedisError, OSError) as error:
                if not self.running or time.monotonic() > deadline:
                    log = self.log.read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"{self.program} did not start: {error}\n{log}") from error
                time.sleep(0.02)

    def _forget(self) -> None:
        self._process = None
        self._tell_watchdog("")

    def _tell_watchdog(self, pid: str) -> None:
        if self._watchdog.stdin and not self._watchdog.stdin.closed:
            self._watchdog.stdin.write(f"{pid}\n".encode())
            self._watchdog.stdin.flush()


def _send(pid: int, number: int) -> None:
    # a child may end by itself between the look at the list and the signal
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _await_end(pids: list[int]) -> None:
    """Returns when none of these killed processes is left: a new start needs their shared memory free."""
    deadline = time.monotonic() + STOP_TIMEOUT
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.005)


def _alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


class PostgresCluster(_Server):
    """A PostgreSQL cluster with trust authentication on 127.0.0.1; its superuser is `postgres`."""

    program = "postgres"

    def __init__(self, directory: Path | None = None, max_connections: int = 200) -> None:
        # PostgreSQL refuses to run as root.
        self.account = "postgres" if os.geteuid() == 0 else None
        self.max_connections = max_connections
        self._databases = 0
        super().__init__(directory)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": self.max_connections,
            # A commit is in the kernel's hands before it is answered, so it survives kill -9 of every
            # process here. Only a crash of the machine itself could lose it: that fsync is saved.
            "synchronous_commit": "on",
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "64MB",
            "autovacuum_naptime": "10min",
            "log_line_prefix": "%m [%p] ",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [_program("postgres") or "postgres", "-D", str(self.data), *options]

    def start(self) -> Self:
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        return super().start()

    def stop(self, mode: str | int = "fast") -> None:
        """Ends the cluster in PostgreSQL's mode: smart (awaits clients), fast or immediate."""
        modes = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        super().stop(modes[mode] if isinstance(mode, str) else mode)

    def close(self) -> None:
        # A killed postmaster leaves its lock file, and a few bytes of shared memory that it names.
        lock = self.data / "postmaster.pid"
        killed = not self.running and lock.exists()
        shared_memory = lock.read_text().splitlines()[6].split()[-1] if killed else None
        super().close()
        if shared_memory:
            subprocess.run(["ipcrm", "-m", shared_memory], capture_output=True, check=False)

    def ping(self) -> None:
        self.execute("SELECT 1")

    def execute(self, statement: str | sql.Composable, database: str = "postgres") -> None:
        """Runs one statement as the superuser, outside of a transaction."""
        with psycopg.connect(self.conninfo(database), autocommit=True, connect_timeout=2) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    def conninfo(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"

    def create_database(self, template: str | None = None) -> str:
        """The SQLAlchemy URL of a new database: empty, or a copy of `template` (a name or such a URL).

        A template must have no open connections while it is copied.
        """
        self._databases += 1
        name = f"test_{self._databases}"
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(_database_name(template)))
        self.execute(statement)
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def drop_database(self, database: str) -> None:
        """Removes a database (a name or its URL), cutting connections to it."""
        name = sql.Identifier(_database_name(database))
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def _initdb(self) -> None:
        command = [_program("initdb") or "initdb", "-D", str(self.data), "--username=postgres"]
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        done = subprocess.run(
            [*command, *options],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **self._identity(),
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr or done.stdout}")


def _database_name(name_or_url: str) -> str:
    return name_or_url.rpartition("/")[2]


class RedisServer(_Server):
    """A Redis server in memory alone: it is empty after every start."""

    program = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        return [_program("redis-server") or "redis-server", *options]

    def ping(self) -> None:
        # The client's own retries sleep for seconds: _await_answer() tries again sooner.
        with redis.Redis(port=self.port, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
            client.ping()

    def empty_beside(self) -> str:
        """The URL of a database of this server that is empty now, beside the one of ``url``."""
        with redis.Redis(port=self.port, db=1, socket_timeout=5) as client:
            client.flushdb()
        return f"redis://127.0.0.1:{self.port}/1"

    def flushall(self) -> None:
        with redis.Redis(port=self.port, socket_timeout=5) as client:
            client.flushall()
