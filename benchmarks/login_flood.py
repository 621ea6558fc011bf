"""``python -m benchmarks.login_flood``: how much longer a token takes while somebody floods the login form.

Two connections ask for tokens, sixteen send wrong passwords as fast as they are answered, at Argon2's cost of
production. Once with the limits on logins taken away, so that every guess that finds a place is hashed; once
with the limits as they are delivered; and once sixteen that merely read the login page, for what so many cost
by themselves. Quiet and flooded rounds take turns; a ratio is that of their medians.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import httpx

from . import cases, load, subjects
from .serve import THREADS

ROUNDS = 5
TOKENS = 100
ASKING = 2
FLOODING = 16
# the flood lasts for so long, and never comes to so many
FLOOD_SECONDS = 10.0
ENDLESS = 1_000_000
# until the load's process runs and every place to hash is taken
START_SECONDS = 1.0
WIDE = dict.fromkeys(("limit_login_address", "limit_login_server", "login_alarm"), subjects.WIDE)


@dataclass(frozen=True)
class Flood:
    """What the sixteen send, and the settings of the server that they send it to."""

    request: Callable[[subjects.Subject], str]
    settings: dict[str, str]


@dataclass
class Taken:
    """Latencies of tokens in µs, quiet and flooded, and how the flood's requests were answered."""

    quiet: list[float] = field(default_factory=list)
    flooded: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    def line(self, name: str) -> str:
        p99 = [quantiles(given, n=100)[98] / 1000 for given in (self.quiet, self.flooded)]
        p50 = [median(given) / 1000 for given in (self.quiet, self.flooded)]
        answers = ", ".join(f"{count} × {status}" for status, count in sorted(self.answers.items()))
        return (
            f"{name}: p50 {p50[0]:.2f} ms quiet, {p50[1]:.2f} ms flooded, ratio {p50[1] / p50[0]:.2f}; "
            f"p99 {p99[0]:.1f} and {p99[1]:.1f} ms; the flood got {answers}"
        )


def main() -> int:
    """0 when every token was given out, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.login_flood", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    given = parser.parse_args()
    for name, flood in FLOODS.items():
        with (
            tempfile.TemporaryDirectory(prefix="authserver-flood-") as directory,
            subjects.on_sqlite(Path(directory), threads=str(THREADS), **flood.settings) as subject,
        ):
            taken = _measure(subject, flood, given.rounds, given.tokens)
        if taken is None:
            print("not every token was given out", file=sys.stderr)
            return 1
        print(taken.line(name), flush=True)
    return 0


def _measure(subject: subjects.Subject, flood: Flood, rounds: int, tokens: int) -> Taken | None:
    ask = load.Load(subject.port, cases.token(subject), tokens, connections=ASKING)
    load.run(ask)
    taken = Taken()
    for _ in range(rounds):
        quiet = load.run(ask)
        flooded = _flooded(subject, flood.request(subject), taken, ask)
        if quiet.unlike(200) or flooded.unlike(200):
            return None
        taken.quiet += quiet.latencies_us
        taken.flooded += flooded.latencies_us
    return taken


def _flooded(subject: subjects.Subject, request: str, taken: Taken, ask: load.Load) -> load.Seen:
    """Tokens asked for while ``request`` comes in as fast as it is answered."""
    guess = load.Load(subject.port, [request], ENDLESS, connections=FLOODING, seconds=FLOOD_SECONDS)
    with ThreadPoolExecutor(1) as other:
        flood = other.submit(load.run, guess)
        time.sleep(START_SECONDS)
        seen = load.run(ask)
        if flood.done():
            raise RuntimeError("the flood ended before the tokens were given out: ask for fewer")
        answered = {name: count for name, count in flood.result().statuses.items() if name != "unanswered"}
        taken.answers.update(answered)
    return seen


def _guess(subject: subjects.Subject) -> str:
    """A wrong password in the form of a browser that has been on the page."""
    with httpx.Client(base_url=f"http://127.0.0.1:{subject.port}") as client:
        page = client.get("/login")
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert token is not None
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    form = {"csrf": token[1], "username": "nobody", "password": "not the right one"}
    return cases.request(subject, "POST", "/login", form=form, headers={"Cookie": cookies})


FLOODS = {
    "pages": Flood(lambda subject: cases.request(subject, "GET", "/login"), {}),
    "guesses, no limits on logins": Flood(_guess, WIDE),
    "guesses, no limits on logins, one hash at a time": Flood(_guess, WIDE | {"login_hash_concurrency": "1"}),
    "guesses, limits as delivered": Flood(_guess, {}),
}


if __name__ == "__main__":
    sys.exit(main())
