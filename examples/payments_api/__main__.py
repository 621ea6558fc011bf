"""python -m examples.payments_api --demo instance/demo.json --port 8001"""

import argparse
import os
import sys

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from .settings import Settings, SettingsError, ShopSettings


def main(arguments: list[str] | None = None) -> int:
    """Serve the API until it is stopped; 2 if the settings are incomplete."""
    parser = argparse.ArgumentParser(prog="python -m examples.payments_api", description=__doc__)
    parser.add_argument("--demo", help="a demo.json of authserver; without it PAYMENTS_* variables count")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    os.umask(0o077)
    if options.demo:
        # Workers read the settings from their environment: a path, never a secret.
        os.environ["PAYMENTS_DEMO"] = options.demo
    try:
        settings = Settings.from_environ(os.environ)
        shop = ShopSettings.from_environ(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"payments API: {error}\n")
        return 2
    sys.stdout.write(f"payments API on http://127.0.0.1:{options.port}, tokens from {settings.issuer}\n")
    if shop is not None:
        sys.stdout.write(f"shop on {shop.home}\n")
    sys.stdout.flush()
    Server(
        "examples.payments_api.site:create_site",
        factory=True,
        address="127.0.0.1",
        port=options.port,
        interface=Interfaces.WSGI,
        workers=options.workers,
        # the shop waits for the API, which is here too
        blocking_threads=64,
        websockets=False,
        workers_kill_timeout=3,
        log_level=LogLevels.error,
    ).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
