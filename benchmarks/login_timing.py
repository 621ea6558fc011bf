"""``python -m benchmarks.login_timing``: how long a refused login takes, for whomever it was tried.

An unknown name, a wrong password and a locked account, tried in turns with the password hash of production.
The median of each must lie within a twentieth of one hash of the others: then time tells nobody who exists.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count, repeat
from pathlib import Path
from statistics import median, quantiles

from sqlalchemy import update
from werkzeug.test import Client

from authserver import clock, crypto, migrate
from authserver.app import create_app, services_of
from authserver.config import Settings
from authserver.db import table_of
from authserver.models.user import User
from authserver.services import Services

TRIES = 300
# of the tries at one account that do not lock it
EACH = 4
SHARE = 0.05
WIDE = "1000000/60"


def main() -> int:
    """0 when all medians are within a twentieth of a hash, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.login_timing", description=__doc__)
    parser.add_argument("--tries", type=int, default=TRIES)
    tries = parser.parse_args().tries
    with tempfile.TemporaryDirectory(prefix="authserver-timing-") as directory:
        times, hash_ = _measure(Path(directory), tries)
    print(f"one hash: median {hash_ * 1000:.2f} ms")
    for kind, seconds in times.items():
        low, _, high = quantiles(seconds, n=4)
        line = (
            f"{kind:15} median {median(seconds) * 1000:.2f} ms, quartiles {low * 1000:.2f} {high * 1000:.2f}"
        )
        print(line)
    medians = [median(seconds) for seconds in times.values()]
    apart = (max(medians) - min(medians)) / hash_
    print(f"medians lie {apart:.1%} of a hash apart ({tries} tries each)")
    return 0 if apart <= SHARE else 1


def _measure(directory: Path, tries: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of each try by kind, and the median of one hash."""
    settings = Settings.load(
        {},
        instance_dir=directory,
        master_keys="k1:" + crypto.b64u(crypto.random_bytes(32)),
        log_level="ERROR",
        limit_login_address=WIDE,
        limit_login_server=WIDE,
        login_alarm=WIDE,
    )
    app = create_app(settings)
    services = services_of(app)
    migrate.upgrade(services.database)
    names = _people(services, tries)
    client = Client(app)
    kinds: dict[str, Iterator[str]] = {
        "unknown user": (f"nobody-{number}" for number in count()),
        "wrong password": iter(names * EACH),
        "locked account": repeat("locked"),
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(tries):
        for kind, those in kinds.items():
            times[kind].append(_try(client, settings.issuer, next(those)))
    hasher = services.password_login._hasher
    hashes = []
    for _ in range(50):
        began = time.perf_counter()
        hasher.verify(None, "wrong")
        hashes.append(time.perf_counter() - began)
    services.database.engine.dispose()
    return times, median(hashes)


def _people(services: Services, tries: int) -> list[str]:
    """Names of active people, enough of them that no wrong try locks one."""
    hash_ = services.password_login._hasher.hash(crypto.random_token())
    names = [f"person-{number}" for number in range(-(-tries // EACH))]
    for name in (*names, "locked"):
        services.users.create(name, None, name)
    with services.database.writing() as connection:
        users = table_of(User)
        connection.execute(update(users).values(state="active", password_hash=hash_))
        until = clock.now() + 86_400
        locked = users.c.username == "locked"
        connection.execute(update(users).where(locked).values(failures=5, locked_until=until))
    services.versions.forget()
    return names


def _try(client: Client, issuer: str, name: str) -> float:
    """Seconds from sending the login form to its refusal."""
    page = client.get("/login", base_url=issuer)
    token = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    began = time.perf_counter()
    answer = client.post(
        "/login", base_url=issuer, data={"csrf": token, "username": name, "password": "wrong"}
    )
    seconds = time.perf_counter() - began
    assert answer.status_code == 401, answer.status
    return seconds


if __name__ == "__main__":
    sys.exit(main())
