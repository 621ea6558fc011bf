"""The issuer as it is served, telling the benchmark which thread does the background jobs."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from authserver.wsgi import app

from .serve import JOBS_FILE

for thread in threading.enumerate():
    if thread.name == "jobs" and JOBS_FILE in os.environ:
        with Path(os.environ[JOBS_FILE]).open("a") as file:
            file.write(f"{os.getpid()} {thread.native_id}\n")

__all__ = ["app"]
