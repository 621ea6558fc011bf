"""authserver demo: everything at once on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import click
import httpx

from .. import demo as demo_data
from ..config import PREFIX, Settings, asset_dir
from ..errors import Invalid
from .db import ensure_master_key, prepare
from .rooms import DEMO_FILE, json_option, open_rooms, show
from .serve import check_port, server, stop_on_signals

START_SECONDS = 30
OPERATOR = "Harbour Bank (demo)"


@click.group()
def demo() -> None:
    """Run the demo: the issuer, a shop, a payments API, and random credentials."""


@demo.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65534),
    default=8000,
    show_default=True,
    help="The issuer's port; the shop and its API take the next one.",
)
def run(port: int) -> None:
    """Migrate, seed and serve on this machine.

    \b
    Example:
      authserver demo run --port 8000
    """
    os.umask(0o077)
    os.environ[f"{PREFIX}THREADS"] = "8"
    os.environ.setdefault(f"{PREFIX}ISSUER", f"http://localhost:{port}")
    os.environ[f"{PREFIX}WORKERS"] = "1"
    os.environ.setdefault(f"{PREFIX}OPERATOR_NAME", OPERATOR)
    # nobody's money moves, and not every machine has a passkey
    os.environ.setdefault(f"{PREFIX}PAYMENT_SCA", "totp")
    if (examples := _examples()) is not None:
        os.environ.setdefault(f"{PREFIX}DEMO_URL", f"http://127.0.0.1:{port + 1}/")
    settings = Settings.load()
    if settings.profile != "dev":
        raise Invalid("The demo runs in the dev profile alone.")
    check_port("127.0.0.1", port)
    check_port("127.0.0.1", port + 1)
    click.echo("Preparing the database and keys …")
    ensure_master_key(settings)
    services = open_rooms(migrated=False)
    prepare(services)
    path = settings.instance_dir / DEMO_FILE
    seeded = demo_data.seed(services, path, port + 1)
    services.database.engine.dispose()
    stop_on_signals()
    api = _start_api(examples, path, port + 1) if examples is not None else None
    threading.Thread(target=_tell, args=(seeded, path, port, api is not None), daemon=True).start()
    try:
        server("127.0.0.1", port, 1, 8).serve()
    finally:
        if api is not None:
            _end(api)


def _examples() -> Path | None:
    """The folder that the examples are in; None where they are not (an installed package)."""
    root = asset_dir("templates").parent
    return root if (root / "examples" / "payments_api").is_dir() else None


def _start_api(root: Path, path: Path, port: int) -> subprocess.Popen[bytes]:
    """The payments API and the shop in a process of their own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    command = [
        sys.executable,
        "-m",
        "examples.payments_api",
        "--demo",
        str(path.resolve()),
        "--port",
        str(port),
    ]
    # in a session of its own: Ctrl-C is told to it by this process, once
    return subprocess.Popen(  # noqa: S603 - our own module
        command, cwd=root, env=environment, start_new_session=True
    )


def _end(api: subprocess.Popen[bytes]) -> None:
    """The payments API has ended, by itself or not."""
    api.terminate()
    try:
        api.wait(timeout=6)
    except subprocess.TimeoutExpired:
        os.killpg(api.pid, signal.SIGKILL)
        api.wait()


def _tell(seeded: demo_data.Demo, path: Path, port: int, with_api: bool) -> None:
    issuer = seeded.content["issuer"]
    addresses = [f"{issuer}/readyz"] + ([f"http://127.0.0.1:{port + 1}/"] if with_api else [])
    for address in addresses:
        if not _answers(address):
            click.echo(f"{address} does not answer after {START_SECONDS} s; see the log above.", err=True)
            return
    merchant = seeded.content["clients"][0]
    if seeded.fresh:
        click.echo(f"\nCredentials made just now, kept in {path}:")
        for name, secret in _credentials(seeded.content):
            if name in seeded.fresh:
                click.echo(f"  {name}  {secret}")
    places = {
        "issuer": issuer,
        "api": f"http://127.0.0.1:{port + 1}",
        "path": path,
        "client_id": merchant["client_id"],
    }
    if not with_api:
        click.echo(f"\nIssuer {issuer}. The payments API of the demo is in the project's checkout alone.")
        return
    lines = commands(places, with_curl=shutil.which("curl") is not None)
    nobody = f"{path.parent / 'mail'} (nobody is reached: each is a file there)"
    places["mails"] = os.environ.get(f"{PREFIX}SMTP_HOST") or nobody
    places["code"] = f"{_command()} demo code"
    click.echo(LINES.format(commands="\n".join(f"  {line}" for line in lines), **places))


@demo.command()
@click.argument("username", default="alice")
@json_option
def code(username: str, as_json: bool) -> None:
    """Print the code that a demo person's authenticator app shows now.

    \b
    Example:
      authserver demo code alice
    """
    found = demo_data.code_of(Settings.load().instance_dir / DEMO_FILE, username)
    show({"username": username, "code": found}, as_json, found)


def _credentials(content: dict[str, Any]) -> list[tuple[str, str]]:
    """Names with what goes with them, people first."""
    people = [(user["username"], user["password"]) for user in content["users"]]
    machines = [*content["clients"], *content["resource_servers"]]
    return people + [(entry["client_id"], entry["client_secret"]) for entry in machines]


def _command() -> str:
    """How this program was called, as another terminal in this folder can call it."""
    called = Path(sys.argv[0])
    if called.name != "authserver":
        return f"{Path(sys.executable).name} -m authserver"
    here = Path.cwd()
    return str(called.relative_to(here) if called.is_relative_to(here) else called)


def _answers(address: str) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(address, timeout=2).status_code == httpx.codes.OK:
                return True
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    return False


def commands(places: dict[str, Any], with_curl: bool) -> list[str]:
    """Lines for a shell that get a token and pay with it; by Python alone where there is no curl."""
    lines = (FROM_FILE, *BY_CURL) if with_curl else (FROM_FILE, *BY_PYTHON)
    return [line.format(**places) for line in lines]


FROM_FILE = (
    'SECRET=$(python3 -c \'import json; print(json.load(open("{path}"))["clients"][0]["client_secret"])\')'
)
FROM_ANSWER = "python3 -c 'import json,sys; print(json.load(sys.stdin)[\"access_token\"])'"
ORDER = (
    '{{"instructedAmount": {{"amount": "12.50", "currency": "EUR"}}, '
    '"creditorName": "Corner shop", "creditorAccount": {{"iban": "DE89370400440532013000"}}}}'
)
BY_CURL = (
    "TOKEN=$(curl -s -u {client_id}:$SECRET -d grant_type=client_credentials "
    f"-d scope=payments:initiate {{issuer}}/token | {FROM_ANSWER})",
    'curl -s {api}/payments -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: order-1" '
    f"-H \"Content-Type: application/json\" -d '{ORDER}'",
)
BY_PYTHON = (
    "post() {{ python3 -c 'import sys, urllib.request as web; url, body, *headers = sys.argv[1:]; "
    'print(web.urlopen(web.Request(url, body.encode(), dict(h.split(": ", 1) for h in headers)))'
    '.read().decode())\' "$@"; }}',
    "TOKEN=$(post {issuer}/token 'grant_type=client_credentials&scope=payments:initiate' "
    f'"Authorization: Basic $(printf %s "{{client_id}}:$SECRET" | base64 -w 0)" | {FROM_ANSWER})',
    f'post {{api}}/payments \'{ORDER}\' "Authorization: Bearer $TOKEN" "Idempotency-Key: order-1" '
    '"Content-Type: application/json"',
)
LINES = """
Open this in a browser:  {issuer}

Issuer        {issuer}
Shop          {api}
Payments API  {api}/payments
Credentials   {path}
Mails         {mails}

Pay in the shop as alice; her password is in the credentials, under "users". For the code of her
authenticator app run this in another terminal, in this folder: {code}
Or put totp_secret of the credentials into an app of your own.

A machine pays without a person. Paste this in another terminal, in this folder: get a token, pay with it.

{commands}

Stop with Ctrl-C.
"""
