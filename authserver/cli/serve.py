"""authserver serve: the issuer under granian."""

from __future__ import annotations

import ipaddress
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from ..config import PREFIX, Settings
from ..errors import Invalid, NotDone
from ..login.breached import FilterRefused
from .rooms import open_rooms


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=None, help="The port; the issuer's if left out."
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option(
    "--threads", type=click.IntRange(1, 256), default=16, show_default=True, help="Threads in each."
)
def serve(host: str, port: int | None, workers: int, threads: int) -> None:
    """Serve the issuer. Run `authserver db upgrade` first.

    \b
    Examples:
      authserver serve
      authserver serve --workers 4 --port 8000
    """
    os.umask(0o077)
    os.environ[f"{PREFIX}WORKERS"] = str(workers)
    os.environ[f"{PREFIX}THREADS"] = str(threads)
    settings = Settings.load()
    services = open_rooms()
    try:
        # the workers look at its head alone
        services.password_rules.breached.verify()
    except FilterRefused as error:
        raise NotDone(str(error)) from error
    services.database.engine.dispose()
    if not settings.trusted_peers and not ipaddress.ip_address(host).is_loopback:
        raise Invalid("Beyond loopback a proxy belongs in front: name it in AUTHSERVER_TRUSTED_PEERS.")
    port = port or urlsplit(settings.issuer).port or 8000
    check_port(host, port)
    metrics_dir = Path(tempfile.mkdtemp(prefix="authserver-metrics-"))
    # prometheus-client reads it when it is first imported, which for workers is after this
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_dir)
    try:
        server(host, port, workers, threads).serve()
    finally:
        shutil.rmtree(metrics_dir, ignore_errors=True)


def server(host: str, port: int, workers: int, threads: int) -> Any:
    """Granian's WSGI server, set up: no access log of its own, workers that come back."""
    # a fork would carry the parent's connections, threads and already chosen kind of metrics along
    multiprocessing.set_start_method("spawn", force=True)
    return Granian(
        "authserver.wsgi:app",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        # HTTP/2 without TLS is nobody's need and one parser more to attack
        http=HTTPModes.http1,
        workers=workers,
        blocking_threads=threads,
        backpressure=threads * 64,
        websockets=False,
        log_access=False,
        respawn_failed_workers=True,
        respawn_interval=1,
        workers_kill_timeout=5,
        log_level=LogLevels.error,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=65_536),
    )


def check_port(host: str, port: int) -> None:
    """Nobody listens on ``port``; Invalid otherwise."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Invalid(
                f"Port {port} on {host} cannot be used ({error.strerror}); stop its user or choose another."
            ) from None


def stop_on_signals() -> None:
    """SIGTERM ends the process as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
