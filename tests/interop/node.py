"""Scripts in Node.js with packages from npm, spoken to line by line."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FOLDER = Path(__file__).resolve().parent.parent / "node"
SECONDS = 60


def node_missing(package: str) -> str | None:
    """Why a script that needs ``package`` cannot run here, or None."""
    if shutil.which("node") is None:
        return "Node.js is not installed (Debian: apt-get install nodejs npm)"
    if not (FOLDER / "node_modules" / package).is_dir():
        return f"{package} is not installed (npm ci --prefix tests/node)"
    return None


class Failed(Exception):
    """A step that the script could not take: ``told`` is what it said."""

    def __init__(self, told: dict[str, str]) -> None:
        super().__init__(str(told))
        self.told = told


class Script:
    """A running script of tests/node; it ends with the block, or after a minute."""

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(
            ["node", str(FOLDER / name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._watchdog = threading.Timer(SECONDS, self._process.kill)
        self._watchdog.start()

    def step(self, step: str, **given: Any) -> Any:
        """What came of the step; Failed if nothing did."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"step": step, **given}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError("the script has ended: " + self._process.communicate()[1])
        told = json.loads(line)
        if "error" in told:
            raise Failed(told["error"])
        return told.get("ok")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.cancel()
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
