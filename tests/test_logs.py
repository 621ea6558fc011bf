"""The log as processes write it."""

from __future__ import annotations

import json
import logging
import os
import threading

import pytest

from authserver import logs
from authserver.logs import JSONLines, Lines


def never() -> None:
    raise AssertionError("a line was lost")


def test_lines_of_many_threads_stay_whole() -> None:
    reader, writer = os.pipe()
    handler = Lines(writer, never)
    handler.setFormatter(JSONLines())
    log = logging.Logger("test")
    log.addHandler(handler)
    got: list[bytes] = []

    def read() -> None:
        while part := os.read(reader, 65536):
            got.append(part)

    collecting = threading.Thread(target=read)
    collecting.start()
    threads = [
        threading.Thread(target=lambda n=n: [log.info("x" * n * 40) for _ in range(50)]) for n in range(8)
    ]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(writer)
    collecting.join(10)
    os.close(reader)
    lines = [json.loads(line) for line in b"".join(got).splitlines()]
    assert sorted(len(line["message"]) for line in lines) == sorted([n * 40 for n in range(8)] * 50)


def test_lines_of_one_request_leave_together_at_its_end() -> None:
    reader, writer = os.pipe()
    handler = Lines(writer, never)
    handler.setFormatter(JSONLines())
    log = logging.Logger("test")
    log.addHandler(handler)
    os.set_blocking(reader, False)
    outer = logs.hold()
    log.info("one")
    log.info("two")
    with pytest.raises(BlockingIOError):
        os.read(reader, 65536)
    logs.release(outer)
    log.info("after")
    told = [json.loads(line)["message"] for line in os.read(reader, 65536).splitlines()]
    assert told == ["one", "two", "after"]
    os.close(writer)
    os.close(reader)


def test_who_collected_the_lines_has_gone_and_a_request_goes_on() -> None:
    reader, writer = os.pipe()
    lost: list[None] = []
    handler = Lines(writer, lambda: lost.append(None))
    handler.setFormatter(JSONLines())
    log = logging.Logger("test")
    log.addHandler(handler)
    os.close(reader)
    log.info("alone")
    outer = logs.hold()
    log.info("one")
    log.info("two")
    logs.release(outer)
    assert len(lost) == 2
    os.close(writer)
