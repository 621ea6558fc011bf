"""Rounds: every case once in each, one after the other, so that a slow minute hits all alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from . import load
from .cases import Case
from .subjects import Subject, Usage

WARM_UP = 100


@dataclass(frozen=True)
class Run:
    """How much is measured."""

    rounds: int
    requests: int
    connections: int


@dataclass(frozen=True)
class Sample:
    """One case in one round; CPU in µs a request, times in ms."""

    per_second: float
    p50: float
    p99: float
    cpu: float
    sealing: float
    database: float
    redis: float
    memory: float
    answer_bytes: float
    unlike: int


Samples = dict[tuple[str, str], list[Sample]]


def measure(plan: list[tuple[Subject, Case]], run: Run, tell: Callable[[str], None]) -> Samples:
    """The samples of every subject and case, by round."""
    samples: Samples = {(subject.name, case.name): [] for subject, case in plan}
    tell("warming up")
    for subject, case in plan:
        count = min(WARM_UP, run.requests)
        case.prepare(subject)
        load.run(_load(subject, case, count, run.connections))
    for number in range(1, run.rounds + 1):
        tell(f"round {number} of {run.rounds}")
        for subject, case in plan:
            count = max(1, round(run.requests * case.share))
            samples[subject.name, case.name].append(sample(subject, case, count, run.connections))
    return samples


def sample(subject: Subject, case: Case, count: int, connections: int) -> Sample:
    """``count`` requests of one case."""
    case.prepare(subject)
    asked = _load(subject, case, count, connections)
    before = subject.usage()
    seen = load.run(asked)
    if case.writes:
        subject.await_sealed()
    return _sample(seen, subject.usage() - before, count, subject.memory(), case.expect)


def _load(subject: Subject, case: Case, count: int, connections: int) -> load.Load:
    requests = case.requests(subject, count)
    return load.Load(subject.port, requests, count, connections, chain=list(case.chain))


def _sample(seen: load.Seen, used: Usage, count: int, memory: float, expect: int) -> Sample:
    times = sorted(seen.latencies_us) or [0.0]
    each = 1e6 / count
    return Sample(
        per_second=count / seen.seconds,
        p50=times[len(times) // 2] / 1000,
        p99=times[min(len(times) - 1, len(times) * 99 // 100)] / 1000,
        cpu=used.workers * each,
        sealing=used.background * each,
        database=used.database * each,
        redis=used.redis * each,
        memory=memory,
        answer_bytes=seen.received / max(1, len(seen.latencies_us)),
        unlike=seen.unlike(expect),
    )


def middle(samples: list[Sample], name: str) -> float:
    """The median over rounds of one figure."""
    return median(getattr(sample, name) for sample in samples)


def ratio(samples: list[Sample], floor: list[Sample]) -> float:
    """The median over rounds of CPU beside the floor's CPU of the same round."""
    return median(ours.cpu / theirs.cpu for ours, theirs in zip(samples, floor, strict=True))
