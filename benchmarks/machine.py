"""What processes used, read from Linux: CPU time to the nanosecond, memory, and who is whose child."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path

# clock_getcpuclockid(3): the clock of all threads of a process, those that ended included
_PROCESS_CLOCK = 2


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes, in seconds; one that is gone counts nothing."""
    total = 0.0
    for pid in pids:
        try:
            total += time.clock_gettime((~pid << 3) | _PROCESS_CLOCK)
        except OSError:
            continue
    return total


def thread_cpu_seconds(threads: Iterable[tuple[int, int]]) -> float:
    """User and system time of single threads, each given as process and thread id."""
    total = 0
    for pid, thread in threads:
        try:
            total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
        except OSError:
            continue
    return total / 1e9


def children(parent: int) -> list[int]:
    """The processes that ``parent`` started and that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text()
        except OSError:
            continue
        # the name in the second field may hold spaces and parentheses
        if int(status.rpartition(")")[2].split()[1]) == parent:
            found.append(int(entry.name))
    return found


def resident_megabytes(pids: Iterable[int]) -> float:
    """The resident memory of processes together, pages that they share counted in each."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def described() -> str:
    """This machine in one line."""
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    linux, python = platform.release().partition("-")[0], platform.python_version()
    return f"{model}, {os.cpu_count()} cores, Linux {linux}, Python {python}"
