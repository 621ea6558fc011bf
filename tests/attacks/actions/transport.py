"""Below HTTP: handshakes that must fail, and requests without any."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from handshakes import nothing_in_the_clear, only_the_newest
from nginx import NginxServer, nginx_missing
from services import free_port

from deploy import certificates

from ..runner import Run


def old_protocols(_run: Run) -> None:
    """nginx as deploy/ has it refuses old TLS and weak ciphers, and answers nothing over http."""
    if reason := nginx_missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory() as directory:
        ca = certificates.make(Path(directory))
        with NginxServer(free_port(), Path(directory)) as nginx:
            only_the_newest(nginx.port, ca)
            nothing_in_the_clear(nginx.port, nginx.plain)
