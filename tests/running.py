"""A server as operators run it: ``authserver serve`` in processes of its own, on a loopback port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx
from services import free_port

ROOT = Path(__file__).resolve().parent.parent
# a machine that does much else at once may need most of it
START_SECONDS = 120


class RunningServer:
    """``authserver serve`` with ``workers`` processes; its log is in ``log``."""

    def __init__(self, directory: Path, workers: int = 1, port: int | None = None, **settings: str) -> None:
        self.port = port or free_port()
        self.issuer = settings.pop("issuer", f"http://localhost:{self.port}")
        self.log = directory / f"server-{self.port}.log"
        self.workers = workers
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AUTHSERVER_")},
            "AUTHSERVER_ISSUER": self.issuer,
            "AUTHSERVER_INSTANCE_DIR": str(directory),
            "AUTHSERVER_ARGON2_MEMORY_KIB": "8",
            "AUTHSERVER_ARGON2_TIME_COST": "1",
            "AUTHSERVER_PAYMENT_SCA": "totp",
            **{f"AUTHSERVER_{name.upper()}": value for name, value in settings.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """``authserver`` with the server's settings, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "authserver", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=check,
        )

    def serving(self) -> list[str]:
        """The module that serves, with its arguments."""
        return ["authserver", "serve", "--port", str(self.port), "--workers", str(self.workers)]

    def start(self) -> RunningServer:
        """It answers /readyz; the last lines of its log are in the error otherwise."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.serving()],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(f"{self.address}/readyz", timeout=2).status_code == 200:
                    return self
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        self.stop()
        raise RuntimeError("the server did not start:\n" + self.log.read_text()[-3000:])

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def children(self) -> list[int]:
        """The processes that the one that was started has started."""
        return [*map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]

    def worker_pids(self) -> list[int]:
        """The processes that serve: children of the one that was started."""
        found = []
        for child in self.children():
            line = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"spawn_main" in line or b"multiprocessing" in line:
                found.append(child)
        return [pid for pid in found if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def stop(self) -> None:
        """Every process of it has ended."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            for worker in self.worker_pids():
                os.kill(worker, signal.SIGKILL)
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=5)

    def __enter__(self) -> RunningServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class ForkingServer(RunningServer):
    """The app under gunicorn, which loads its modules once and forks: a killed worker is soon replaced."""

    def __init__(self, directory: Path, workers: int = 1, port: int | None = None, **settings: str) -> None:
        super().__init__(directory, workers, port, **settings)
        # said to the app, as `authserver serve` does: on SQLite it would refuse company otherwise
        self.environment["AUTHSERVER_WORKERS"] = str(workers)
        # the app is made in each worker: connections and threads do not survive a fork
        self._loads = directory / f"gunicorn-{self.port}.py"
        self._loads.write_text("import authserver.app\n")

    def serving(self) -> list[str]:
        """gunicorn with what is needed to serve many requests on one connection."""
        return [
            "gunicorn", "-k", "gthread", "-w", str(self.workers), "--threads", "8", "--keep-alive", "75",
            "--no-control-socket", "-c", str(self._loads), "-b", f"127.0.0.1:{self.port}", "wsgi:app",
        ]  # fmt: skip

    def worker_pids(self) -> list[int]:
        """The processes that serve."""
        return self.children()
