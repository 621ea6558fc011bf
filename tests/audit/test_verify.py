"""`authserver audit verify`: every way to falsify the log is found, and a whole log raises no alarm.

The falsifier here writes to the database as he likes. He does not have the master key.
"""

from __future__ import annotations

import contextvars
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from joserfc import jwt
from plugins.app import CHEAP_ARGON2, MASTER, Moving, World, populate
from running import RunningServer
from sqlalchemy import insert, text

from authserver import crypto
from authserver.app import services_of
from authserver.audit import Entry, Event
from authserver.audit.chain import CHECKPOINT_TYP, GENESIS, checkpoints, head_mac, heads, link, rows
from authserver.audit.record import COLUMNS, row_mac
from authserver.audit.verify import Verdict
from authserver.audit.verify import verify as verify_log
from authserver.cli import main
from authserver.keys.store import generate
from authserver.services import Services

SEALED = 40


# What is asked here does not depend on the database; the others are asked of both.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def anchor(tmp_path: Path) -> Path:
    return tmp_path / "anchor.txt"


@pytest.fixture
def log(make_app: Callable[..., Flask], anchor: Path) -> World:
    """A world whose log has ``SEALED`` rows more than set-up wrote, a checkpoint every ten of them."""
    world = populate(make_app(audit_anchor=anchor, audit_checkpoint_rows=10, audit_checkpoint_seconds=10**6))
    world.services.sealer.seal()
    for n in range(SEALED):
        world.services.audit.record(Entry(Event.AUDIT_READ, client_id=f"client-{n}", detail={"n": n}))
        if n % 10 == 9:
            world.services.sealer.seal()
    return world


def execute(world: World, statement: str, **values: Any) -> None:
    with world.services.database.writing() as connection:
        assert connection.execute(text(statement), values).rowcount >= 1


def last(world: World) -> int:
    with world.services.database.reading() as connection:
        return int(connection.execute(text("SELECT max(seq) FROM audit_event")).scalar_one())


def verdict_of(services: Services) -> Verdict:
    return verify_log(
        services.database,
        services.master,
        lambda jws: services.keys.verify_checkpoint(jws, CHECKPOINT_TYP),
        services.settings.audit_anchor,
    )


@pytest.fixture
def verify(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[int, dict[str, Any]]]]:
    """Runs the command; gives its exit code and what it says."""
    settings: dict[str, Any] = {
        "database_url": database_url,
        "instance_dir": tmp_path,
        "master_keys": MASTER,
        **CHEAP_ARGON2,
    }

    def run(anchor: Path | None = None, **changed: str) -> tuple[int, dict[str, Any]]:
        given = settings | changed | ({"audit_anchor": anchor} if anchor else {})
        with monkeypatch.context() as patch:
            for name, value in given.items():
                patch.setenv(f"AUTHSERVER_{name.upper()}", str(value))
            # the command names its caller for the rest of its process: here, of this context
            arguments = (main, ["audit", "verify", "--json"])
            result = contextvars.copy_context().run(CliRunner().invoke, *arguments)
        assert result.stdout, result.stderr
        return result.exit_code, json.loads(result.stdout)

    yield run


def swap(world: World, one: int, other: int) -> None:
    """The contents of two rows change places; sequence numbers and hashes stay where they are."""
    names = ", ".join([*COLUMNS, "mac"])
    with world.services.database.writing() as connection:
        found = {
            seq: dict(connection.execute(rows.select().where(rows.c.seq == seq)).mappings().one())
            for seq in (one, other)
        }
        for here, there in ((one, other), (other, one)):
            content = {name: found[there][name] for name in names.split(", ")}
            connection.execute(rows.update().where(rows.c.seq == here).values(content))


def move(world: World, one: int, other: int) -> None:
    """Two whole rows change places in the sequence, hashes and all."""
    for statement in (
        f"UPDATE audit_event SET seq = -1 WHERE seq = {one}",
        f"UPDATE audit_event SET seq = {one} WHERE seq = {other}",
        f"UPDATE audit_event SET seq = {other} WHERE seq = -1",
    ):
        execute(world, statement)


def copy(world: World, of: int, seq: int | None, hash_: str | None = "x" * 43) -> None:
    """A row is there once more, at ``seq``."""
    with world.services.database.writing() as connection:
        row = dict(connection.execute(rows.select().where(rows.c.seq == of)).mappings().one())
        del row["id"]
        connection.execute(insert(rows).values(row | {"seq": seq, "hash": hash_ if seq else None}))


def make_room(world: World, at: int) -> None:
    """Every row from ``at`` on is one further back, from the last one down."""
    for seq in range(last(world), at - 1, -1):
        execute(world, f"UPDATE audit_event SET seq = {seq + 1} WHERE seq = {seq}")


def insert_between(world: World, seq: int) -> None:
    make_room(world, seq)
    copy(world, seq - 1, seq)


def cut_tail(world: World, from_: int) -> None:
    execute(world, f"DELETE FROM audit_event WHERE seq >= {from_}")


def close_gap(world: World, seq: int) -> None:
    """The row is gone and all behind it have moved up."""
    end = last(world)
    execute(world, f"DELETE FROM audit_event WHERE seq = {seq}")
    for at in range(seq + 1, end + 1):
        execute(world, f"UPDATE audit_event SET seq = {at - 1} WHERE seq = {at}")


Falsify = Callable[[World, int], object]
# What is done to the row at a place; where verify finds it, from there, or None for the first row.
FALSIFICATIONS: dict[str, tuple[Falsify, int | None]] = {
    "removed": (lambda w, at: execute(w, f"DELETE FROM audit_event WHERE seq = {at}"), 0),
    "removed, gap closed": (close_gap, 0),
    "several removed": (
        lambda w, at: execute(w, f"DELETE FROM audit_event WHERE seq BETWEEN {at} AND {at + 5}"),
        0,
    ),
    "unsealed again": (
        lambda w, at: execute(w, f"UPDATE audit_event SET seq = NULL, hash = NULL WHERE seq = {at}"),
        0,
    ),
    "copied in between": (insert_between, 0),
    "contents swapped": (lambda w, at: swap(w, at, at + 1), 0),
    "rows swapped": (lambda w, at: move(w, at, at + 3), 0),
    "moved far": (lambda w, at: move(w, at, 1), None),
    "cut from the end": (cut_tail, 0),
}


def test_a_change_of_any_column_is_found_and_its_row_named(log: World) -> None:
    log.services.sealer.seal()
    at = last(log) - 15
    with log.services.database.reading() as connection:
        row = dict(connection.execute(rows.select().where(rows.c.seq == at)).mappings().one())
    forged: dict[str, Any] = dict.fromkeys([*COLUMNS, "mac", "hash"], "forged")
    forged |= {"at_ms": row["at_ms"] - 1, "detail": row["detail"] | {"n": 99}}
    for name, value in forged.items():
        for content in ({name: value}, {name: row[name]}):
            with log.services.database.writing() as connection:
                connection.execute(rows.update().where(rows.c.seq == at).values(content))
            verdict = verdict_of(log.services)
            assert verdict.first_bad == (at if content[name] == value else None), (name, verdict)


@pytest.mark.parametrize("name", FALSIFICATIONS)
def test_a_falsified_row_is_found_and_its_place_named(
    log: World, verify: Callable[..., tuple[int, dict[str, Any]]], name: str
) -> None:
    assert verdict_of(log.services).whole
    log.services.sealer.seal()
    at = last(log) - 15
    falsify, offset = FALSIFICATIONS[name]
    falsify(log, at)
    code, told = verify()
    assert (code, told["whole"]) == (1, False), told
    assert told["first_bad"] == (1 if offset is None else at + offset), told
    (event,) = log.events("audit.chain.broken")
    assert event["detail"]["first_bad"] == told["first_bad"]


@on_sqlite
def test_the_command_says_in_words_where_the_log_broke(log: World, database_url: str, tmp_path: Path) -> None:
    """The one time in a process of its own: the exit code is what a monitoring job sees."""
    server = RunningServer(tmp_path, database_url=database_url, master_keys=MASTER)
    whole = server.command("audit", "verify", check=False)
    assert whole.returncode == 0
    assert whole.stdout.startswith("The log is whole: ")
    execute(log, "UPDATE audit_event SET outcome = 'denied' WHERE seq = 7")
    broken = server.command("audit", "verify", check=False)
    assert broken.returncode == 1
    assert broken.stdout == "The log is broken at sequence number 7: a row was changed.\n"


def test_a_row_changed_before_it_is_sealed_is_found_before_and_after_sealing(
    log: World, verify: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    log.services.audit.record(Entry(Event.AUDIT_READ, detail={"n": 1}))
    execute(log, "UPDATE audit_event SET reason = 'forged' WHERE seq IS NULL")
    code, told = verify()
    assert (code, told["fault"]) == (1, "a row not sealed yet was changed")
    place = last(log) + 1
    log.services.sealer.seal()
    code, told = verify()
    assert (code, told["first_bad"], told["fault"]) == (1, place, "a row was changed")


def test_an_unsealed_copy_is_found_before_and_after_sealing(
    log: World, verify: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    """The MAC of a copied row fits and the sealer would chain it: the same event would count twice."""
    copy(log, of=12, seq=None)
    code, told = verify()
    assert (code, told["fault"]) == (1, "a row not sealed yet is a copy")
    place = last(log) + 1
    log.services.sealer.seal()
    code, told = verify()
    assert (code, told["first_bad"], told["fault"]) == (1, place, "a row is a copy of an earlier one")


@pytest.mark.parametrize("seq", [0, -7])
def test_a_row_before_the_first_one_is_found(
    log: World, verify: Callable[..., tuple[int, dict[str, Any]]], seq: int
) -> None:
    copy(log, of=12, seq=seq)
    # zero is a place that `copy` would leave empty
    execute(log, f"UPDATE audit_event SET seq = {seq} WHERE seq IS NULL OR seq = {seq}")
    code, told = verify()
    assert (code, told["first_bad"]) == (1, seq)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("where", "first_bad"), [("seq = 9", 9), ("seq IS NULL", None)])
def test_a_row_whose_json_no_longer_parses_is_a_changed_row(
    log: World,
    verify: Callable[..., tuple[int, dict[str, Any]]],
    where: str,
    first_bad: int | None,
) -> None:
    log.services.audit.record(Entry(Event.AUDIT_READ))
    execute(log, f"UPDATE audit_event SET detail = 'not JSON' WHERE {where}")
    code, told = verify()
    assert (code, told["first_bad"]) == (1, first_bad)
    assert "changed" in told["fault"]


def test_a_head_that_was_rolled_back_changed_or_removed_is_found(
    log: World, verify: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    with log.services.database.reading() as connection:
        old = dict(connection.execute(heads.select()).mappings().one())
    for _ in range(3):
        log.services.audit.record(Entry(Event.AUDIT_READ))
    log.services.sealer.seal()
    with log.services.database.reading() as connection:
        new = dict(connection.execute(heads.select()).mappings().one())
    assert verify()[0] == 0
    execute(log, "UPDATE audit_head SET seq = :seq, hash = :hash, mac = :mac", **old)
    code, told = verify()
    assert (code, told["first_bad"]) == (1, old["seq"] + 1)
    assert told["fault"] == "the head of the chain was rolled back"
    execute(log, "UPDATE audit_head SET seq = :seq, hash = :hash, mac = :mac", **new)
    execute(log, "UPDATE audit_head SET seq = seq - 1")
    assert verify()[1]["fault"] == "the head of the chain was changed"
    execute(log, "DELETE FROM audit_head")
    code, told = verify()
    assert (code, told["fault"]) == (1, "the head of the chain is missing")


def test_a_chain_built_anew_without_the_key_is_found(
    log: World, verify: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    """A falsifier who knows the code changes a row and computes all anew, with a key of his own."""
    log.services.sealer.seal()
    own = b"k" * 32
    previous = GENESIS
    with log.services.database.writing() as connection:
        for found in connection.execute(rows.select().order_by(rows.c.seq)).mappings().all():
            row = dict(found)
            if row["seq"] == 5:
                row["outcome"] = "denied"
                row["mac"] = f"k1.nonce.{row_mac(own, 'nonce', row)}"
            row["hash"] = previous = link(own, previous, row["seq"], row)
            seq = row["seq"]
            connection.execute(rows.update().where(rows.c.id == row["id"]).values(row))
        connection.execute(heads.update().values(seq=seq, hash=previous, mac=head_mac(own, seq, previous)))
        connection.execute(checkpoints.delete())
    code, told = verify()
    # the very first link is wrong already
    assert (code, told["first_bad"], told["fault"]) == (1, 1, "a row was inserted, replaced or moved")


def test_tail_head_and_checkpoints_taken_back_together_show_at_the_anchor(
    log: World, verify: Callable[..., tuple[int, dict[str, Any]]], anchor: Path
) -> None:
    """An older state of all three is consistent in itself: only what lies outside tells of the rest."""
    assert verify(anchor)[0] == 0
    with log.services.database.reading() as connection:
        old = dict(connection.execute(heads.select()).mappings().one())
    for _ in range(12):
        log.services.audit.record(Entry(Event.AUDIT_READ))
    log.services.sealer.seal()
    assert len(anchor.read_text().split()) >= 2
    with log.services.database.writing() as connection:
        connection.execute(rows.delete().where((rows.c.seq > old["seq"]) | rows.c.seq.is_(None)))
        connection.execute(heads.update().values(old))
        connection.execute(checkpoints.delete().where(checkpoints.c.seq > old["seq"]))
    code, told = verify(anchor)
    assert (code, told["first_bad"], told["fault"]) == (1, old["seq"] + 1, "rows were cut from the end")


def test_a_log_emptied_altogether_shows_at_the_anchor(
    log: World, verify: Callable[..., tuple[int, dict[str, Any]]], anchor: Path
) -> None:
    with log.services.database.writing() as connection:
        for table in (rows, heads, checkpoints):
            connection.execute(table.delete())
    code, told = verify(anchor)
    assert (code, told["first_bad"]) == (1, 1)


def test_a_checkpoint_beyond_the_end_shows_that_rows_were_cut(
    log: World, verify: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    with log.services.database.writing() as connection:
        highest = connection.execute(text("SELECT max(seq) FROM audit_checkpoint")).scalar_one()
        connection.execute(rows.delete().where(rows.c.seq >= highest))
        previous = connection.execute(text(f"SELECT hash FROM audit_event WHERE seq = {highest - 1}"))
        hash_ = previous.scalar_one()
        key = log.services.master.derive("audit.chain")
        # even with a head that fits: this falsifier got hold of the chain's key, not of the signing keys
        values = {"seq": highest - 1, "hash": hash_, "mac": head_mac(key, highest - 1, hash_)}
        connection.execute(heads.update().values(values))
    code, told = verify()
    assert (code, told["first_bad"], told["fault"]) == (1, highest, "rows were cut from the end")


def checkpoint(world: World, seq: int, hash_: str, at: int = 1) -> str:
    claims = {"iat": at, "seq": seq, "hash": hash_}
    return world.services.keys.sign(CHECKPOINT_TYP, claims, "ES256")


@on_sqlite
def test_checkpoints_that_contradict_the_chain_or_each_other_are_found(
    log: World, verify: Callable[..., tuple[int, dict[str, Any]]], anchor: Path
) -> None:
    with log.services.database.reading() as connection:
        known = connection.execute(text("SELECT max(seq) FROM audit_checkpoint")).scalar_one()
    anchor.write_text(checkpoint(log, known, "y" * 43) + "\n")
    code, told = verify(anchor)
    assert (code, told["first_bad"]) == (1, known)
    assert told["fault"] == "two checkpoints contradict each other"
    anchor.write_text(checkpoint(log, 5, "y" * 43) + "\n")
    code, told = verify(anchor)
    assert (code, told["first_bad"], told["fault"]) == (1, 5, "differs from a signed checkpoint")


@on_sqlite
def test_a_forged_checkpoint_is_found(
    log: World, verify: Callable[..., tuple[int, dict[str, Any]]], anchor: Path
) -> None:
    genuine = anchor.read_text().split()[0]
    head, body, signature = genuine.split(".")
    kid = json.loads(crypto.b64u_decode(head))["kid"]
    claims = json.loads(crypto.b64u_decode(body))
    own = generate("ES256")
    header = {"alg": "ES256", "kid": kid, "typ": CHECKPOINT_TYP}
    forgeries = [
        jwt.encode(header, claims, own, algorithms=["ES256"]),
        jwt.encode(header | {"kid": "unknown"}, claims, own, algorithms=["ES256"]),
        f"{head}.{crypto.b64u(json.dumps(claims | {'seq': 1}).encode())}.{signature}",
        f"{crypto.b64u(json.dumps({'alg': 'none', 'typ': CHECKPOINT_TYP}).encode())}.{body}.",
        # signed by this server, as something else
        log.access_token(),
        "junk",
    ]
    for forged in forgeries:
        anchor.write_text(f"{genuine}\n{forged}\n")
        code, told = verify(anchor)
        assert (code, told["fault"]) == (1, "a checkpoint's signature does not hold"), forged
    anchor.write_text(f"{genuine}\n")
    assert verify(anchor)[0] == 0
    execute(log, "UPDATE audit_checkpoint SET jws = :jws", jws=forgeries[0])
    assert verify()[0] == 1


def test_a_whole_log_raises_no_alarm_while_it_grows(log: World) -> None:
    """Rows come and are sealed the whole time; nobody who looks sees a gap."""
    stop = threading.Event()

    def write() -> None:
        # with a breath between: who looks reads all of it each time
        while not stop.wait(0.005):
            log.services.audit.record(Entry(Event.AUDIT_READ, detail={"n": 1}))

    def seal() -> None:
        while not stop.is_set():
            log.services.sealer.seal()

    threads = [threading.Thread(target=work) for work in (write, write, seal)]
    for thread in threads:
        thread.start()
    verdicts: list[Verdict] = []
    deadline = time.monotonic() + 60
    try:
        while len(verdicts) < 10 or verdicts[-1].rows <= verdicts[0].rows:
            assert time.monotonic() < deadline, "the log does not grow"
            verdicts.append(verdict_of(log.services))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [v.fault for v in verdicts if not v.whole] == []


@on_sqlite
def test_events_that_say_the_same_are_no_copies(log: World, moving_clock: Moving) -> None:
    for _ in range(5):
        log.services.audit.record(Entry(Event.AUDIT_READ))
    assert verdict_of(log.services).whole
    log.services.sealer.seal()
    assert verdict_of(log.services).whole


@on_sqlite
def test_an_empty_log_and_one_never_sealed_are_whole(
    services: Services, verify: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    with services.database.writing() as connection:
        connection.execute(rows.delete())
    assert verdict_of(services) == Verdict(0, 0)
    services.audit.record(Entry(Event.AUDIT_READ))
    code, told = verify()
    assert (code, told["rows"], told["unsealed"]) == (0, 0, 1)


def test_the_log_outlives_a_new_master_key(
    log: World,
    make_app: Callable[..., Flask],
    verify: Callable[..., tuple[int, dict[str, Any]]],
    anchor: Path,
) -> None:
    """The new key comes first, the old one stays behind it: what it sealed and signed still holds."""
    master_keys = f"k2:{crypto.random_token()},{MASTER}"
    renewed = services_of(make_app(master_keys=master_keys, audit_anchor=anchor, audit_checkpoint_rows=1))
    renewed.audit.record(Entry(Event.AUDIT_READ))
    with renewed.database.reading() as connection:
        macs = connection.execute(text("SELECT mac FROM audit_event")).scalars().all()
    assert {mac.partition(".")[0] for mac in macs} == {"k1", "k2"}
    assert renewed.sealer.seal() >= 1
    assert verify(anchor, master_keys=master_keys)[0] == 0
    # a process that still has the old setting cannot judge the newest rows, and says so
    assert verify(anchor)[0] == 1


@on_sqlite
def test_the_log_outlives_its_signing_keys(
    log: World, moving_clock: Moving, verify: Callable[..., tuple[int, dict[str, Any]]], anchor: Path
) -> None:
    """Checkpoints of keys that were retired, erased or revoked still count: they were true when signed."""
    for round_ in range(4):
        log.services.rotation.rotate("ES256", compromise=True)
        log.services.versions.forget()
        for _ in range(10):
            log.services.audit.record(Entry(Event.AUDIT_READ, detail={"round": round_}))
        log.services.sealer.seal()
    signers = {
        json.loads(crypto.b64u_decode(line.partition(".")[0]))["kid"] for line in anchor.read_text().split()
    }
    assert len(signers) == 5
    assert verify(anchor)[0] == 0
