"""The demo as a person runs it: lines that work when pasted, and an end when asked."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from services import free_port

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


def test_the_demo_pays_survives_a_restart_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    port = two_ports()
    demo = Demo(tmp_path, port)
    pasted = "\n".join(
        line.strip() for line in demo.lines if line.strip().startswith(("SECRET=", "TOKEN=", "curl "))
    )
    paid = subprocess.run(
        ["bash", "-c", pasted], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(paid.stdout)["status"] == "accepted"
    path = tmp_path / "demo.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = json.loads(path.read_text())
    demo.interrupt()
    assert "Traceback" not in "\n".join(demo.lines)
    for used in (port, port + 1):
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{used}/healthz")

    other = two_ports()
    again = Demo(tmp_path, other)
    moved = json.loads(path.read_text())
    assert moved["clients"][0]["client_secret"] == first["clients"][0]["client_secret"]
    assert moved["issuer"] == f"http://localhost:{other}"
    assert {api["audience"] for api in moved["resource_servers"]} == {
        f"http://127.0.0.1:{other + 1}/{name}" for name in ("payments", "accounts")
    }
    # printed once: the second start shows no credentials
    assert first["clients"][0]["client_secret"] not in "\n".join(again.lines)
    again.interrupt()
    assert "Traceback" not in "\n".join(again.lines)
