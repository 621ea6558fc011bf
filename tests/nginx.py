"""A real nginx for tests, with the configuration of deploy/ for other ports and names."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

from services import _program, _Server, free_port

DEPLOY = Path(__file__).resolve().parent.parent / "deploy" / "nginx"
_MAIN = """
daemon off;
user {user};
worker_processes {processes};
pid {directory}/nginx.pid;
error_log {directory}/error.log notice;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/authserver.conf;
}}
"""


def nginx_missing() -> str | None:
    """Why nginx cannot be started here, or None."""
    found = _program("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    return None if found else "nginx is not installed (Debian: apt-get install nginx-light)"


class NginxServer(_Server):
    """nginx before the workers on ``upstream``: https on ``port``, its certificate in ``tls``."""

    program = "nginx"

    def __init__(self, upstream: int, tls: Path, port: int = 0, processes: int = 2, **changed: str) -> None:
        """``changed`` directives have other values than in deploy/: ``proxy_read_timeout="1s"``."""
        super().__init__()
        self.port = port or self.port
        self.plain = free_port()
        self.access_log = self.directory / "authserver.log"
        # its workers are another user than root
        self.directory.chmod(0o755)
        shutil.copytree(DEPLOY / "errors", self.directory / "errors")
        values = {
            "/etc/authserver/nginx": str(self.directory),
            "/etc/authserver/tls": str(tls),
            "/var/log/nginx": str(self.directory),
            "https://auth.example.com": f"https://localhost:{self.port}",
            "Host auth.example.com": f"Host localhost:{self.port}",
            "auth.example.com": "localhost",
            "listen 443": f"listen 127.0.0.1:{self.port}",
            "listen 80": f"listen 127.0.0.1:{self.plain}",
            "127.0.0.1:8000": f"127.0.0.1:{upstream}",
        }
        for file in DEPLOY.glob("*.conf"):
            text = file.read_text()
            for old, new in values.items():
                text = text.replace(old, new)
            for name, value in changed.items():
                text = re.sub(rf"(?m)^{name} .*;$", f"{name} {value};", text)
            (self.directory / file.name).write_text(text)
        user = "www-data" if os.geteuid() == 0 else "nobody"
        values = {"directory": self.directory, "user": user, "processes": processes}
        (self.directory / "nginx.conf").write_text(_MAIN.format(**values))

    def command(self) -> list[str]:
        program = _program("nginx") or "/usr/sbin/nginx"
        return [program, "-p", str(self.directory), "-c", str(self.directory / "nginx.conf"), "-e", "stderr"]

    def ping(self) -> None:
        socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
