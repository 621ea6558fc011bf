"""``make bench`` works: a run of a few requests, its answers all as expected, its figures sane."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import load, table
from benchmarks.measure import Sample, ratio


def test_a_small_run_measures_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "result.json"
    few = ["--rounds", "1", "--requests", "16", "--connections", "2"]
    assert benchmarks.main(["--sqlite", *few, "--json", str(file)]) == 0
    told = json.loads(file.read_text())
    cases = {row["case"]: row for row in told["cases"]}
    assert list(cases) == ["empty view", "signing view", *benchmarks.NAMES]
    for row in cases.values():
        assert row["unlike"] == 0
        assert 0 < row["p50"] <= row["p99"] < 60_000
        assert row["per_second"] > 0
        # more than a microsecond, less than a second
        assert 1 < row["cpu"] < 1_000_000
        assert row["sealing"] <= row["cpu"]
        assert 10 < row["memory"] < 4000
        assert row["to_empty"] > 0
    assert cases["empty view"]["to_empty"] == 1
    assert cases["signing view"]["to_signing"] == 1
    assert cases["revocations 304"]["answer_bytes"] < cases["revocations 200"]["answer_bytes"]
    # only what writes an audit row has one sealed
    assert cases["client_credentials"]["sealing"] > 0
    printed = capsys.readouterr().out
    for name in cases:
        assert name in printed
    assert "left out by --sqlite" in printed


def test_the_costs_of_a_warm_request_are_counted(tmp_path: Path) -> None:
    from benchmarks.costs import counted

    costs = {row["case"]: row for row in counted(tmp_path / "counted")}
    token, introspection = costs["client_credentials"], costs["introspection"]
    assert (token["reads"], token["rows inserted"], token["write transactions"]) == (0, 1, 1)
    assert (token["signatures"], token["verifications"]) == (1, 0)
    assert (introspection["reads"], introspection["rows inserted"]) == (1, 1)
    assert (introspection["signatures"], introspection["verifications"]) == (0, 1)
    signed, refreshed = costs["client_credentials, private_key_jwt"], costs["refresh"]
    assert (signed["rows inserted"], signed["signatures"], signed["verifications"]) == (2, 1, 1)
    assert (refreshed["write transactions"], refreshed["signatures"]) == (1, 2)
    for name in ("jwks", "metadata", "revocations 200", "revocations 304"):
        assert sum(value for column, value in costs[name].items() if column not in ("case", "bytes out")) == 0
    assert costs["revocation"]["write transactions"] == 1


def test_an_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        benchmarks.main(["--only", "nothing"])
    assert refused.value.code == 2
    assert "invalid choice: 'nothing'" in capsys.readouterr().err


def test_ratios_are_taken_round_by_round() -> None:
    # a slow second round doubles both: the ratio does not move
    ours, floor = [_sample(300), _sample(600), _sample(330)], [_sample(100), _sample(200), _sample(100)]
    assert ratio(ours, floor) == 3.0
    rows = table.rows({table.EMPTY: floor, table.SIGNING: floor, ("SQLite", "jwks"): ours})
    assert (rows[2]["to_empty"], rows[2]["cpu"]) == (3.0, 330)


def test_the_load_counts_statuses_and_reads_answers_in_pieces() -> None:
    answers = [
        [b"HTTP/1.1 200 OK\r\nContent-Len", b"gth: 4\r\n\r\nab", b"cd"],
        [b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"],
        [b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nab\r\n", b"0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", b""],
    ]
    with _scripted(answers) as port:
        request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        seen = load.run(load.Load(port, [request], count=5, connections=1, keep=True, seconds=20))
    assert seen.statuses == {"200": 2, "429": 1, "304": 1, "broken": 1}
    assert seen.unlike(200) == 3
    assert len(seen.latencies_us) == 4
    assert seen.kept[0].endswith("\r\n\r\nabcd")


def test_a_chain_is_one_request_that_needs_what_came_before() -> None:
    answers = [
        [b"HTTP/1.1 303 See Other\r\nLocation: /next?id=7\r\nContent-Length: 0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"],
        [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"],
    ]
    heard: list[bytes] = []
    with _scripted(answers, heard) as port:
        steps = ["GET /first HTTP/1.1\r\n\r\n", "GET {} HTTP/1.1\r\n\r\n"]
        chain = [r"Location: (\S+)"]
        seen = load.run(load.Load(port, steps, count=2, connections=1, seconds=20, chain=chain))
    assert [line.split()[1] for line in heard] == [b"/first", b"/next?id=7", b"/first"]
    # the second one ended where its first answer led nowhere
    assert seen.statuses == {"200": 1, "400": 1}
    assert len(seen.latencies_us) == 2


def _sample(cpu: float) -> Sample:
    return Sample(1000, 1, 2, cpu, 0, 0, 0, 100, 500, 0)


@contextmanager
def _scripted(answers: list[list[bytes]], heard: list[bytes] | None = None) -> Iterator[int]:
    """A server that answers one connection's requests in turn, piece by piece; an empty piece hangs up."""

    def serve() -> None:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            for pieces in answers:
                asked = connection.recv(4096)
                if heard is not None:
                    heard.append(asked)
                for piece in pieces:
                    if not piece:
                        return
                    connection.sendall(piece)
                    threading.Event().wait(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(timeout=10)
