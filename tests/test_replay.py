"""Values that count once: of any number of claimants, in any process, one wins."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from plugins.app import CHEAP_ARGON2, ISSUER, MASTER, Moving

from authserver.services import Services

ROUNDS = 100
# A process of its own: one line a round on standard input, its verdicts on standard output.
CLAIMANT = """
import sys
from concurrent.futures import ThreadPoolExecutor
from authserver.app import create_app, services_of
from authserver.config import Settings

replay = services_of(create_app(Settings.load())).replay
print("ready", flush=True)
with ThreadPoolExecutor(4) as pool:
    for line in sys.stdin:
        won = list(pool.map(lambda _: replay.claim("race", line.strip(), 2**40), range(4)))
        print(won.count(True), flush=True)
"""


def test_a_value_counts_once_for_each_purpose(services: Services) -> None:
    assert services.replay.claim("assertion", "value", 2**40)
    assert not services.replay.claim("assertion", "value", 2**40)
    assert services.replay.claim("proof", "value", 2**40)
    assert services.replay.claim("assertion", "Value", 2**40)


def test_hostile_values_are_values_like_others(services: Services) -> None:
    for value in ("", "\x00", "a\x00b", "\ud800", "é" * 100_000, "' OR 1=1 --"):
        assert services.replay.claim("assertion", value, 2**40)
        assert not services.replay.claim("assertion", value, 2**40)


def test_a_value_is_remembered_past_its_time_until_it_is_purged(
    services: Services, moving_clock: Moving
) -> None:
    assert services.replay.claim("assertion", "value", int(moving_clock.at) + 10)
    moving_clock.walk(1000)
    assert not services.replay.claim("assertion", "value", int(moving_clock.at) + 10)


def test_of_claims_that_share_a_transaction_one_wins(services: Services) -> None:
    barrier = threading.Barrier(16)

    def claim(n: int) -> bool:
        barrier.wait()
        return services.replay.claim("race", str(n % 4), 2**40)

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(claim, range(16)))
    assert sum(won) == 4


def test_of_claims_over_threads_and_two_processes_one_wins_in_each_of_100_rounds(
    services: Services, database_url: str, tmp_path: Path
) -> None:
    environment = {
        "AUTHSERVER_ISSUER": ISSUER,
        "AUTHSERVER_INSTANCE_DIR": str(tmp_path),
        "AUTHSERVER_DATABASE_URL": database_url,
        "AUTHSERVER_MASTER_KEYS": MASTER,
        **{f"AUTHSERVER_{name.upper()}": str(value) for name, value in CHEAP_ARGON2.items()},
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMANT],
            cwd=Path(__file__).resolve().parent.parent,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    totals: Counter[int] = Counter()
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        with ThreadPoolExecutor(4) as pool:
            for round_ in range(ROUNDS):
                for process in processes:
                    assert process.stdin is not None
                    process.stdin.write(f"{round_}\n")
                    process.stdin.flush()
                value = str(round_)
                here = pool.map(lambda _, value=value: services.replay.claim("race", value, 2**40), range(4))  # type: ignore[misc]
                won = sum(here)
                for process in processes:
                    assert process.stdout is not None
                    won += int(process.stdout.readline())
                totals[won] += 1
    finally:
        for process in processes:
            with process:
                process.terminate()
    assert totals == {1: ROUNDS}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_value_rests_as_a_digest(services: Services, tmp_path: Path) -> None:
    services.replay.claim("assertion", "a-very-recognisable-value", 2**40)
    files = [p.read_bytes() for p in tmp_path.glob("authserver.db*")]
    assert files
    assert not any(b"a-very-recognisable-value" in content for content in files)
