"""The audit log under somebody with direct access to the database, and what its rows and lines hold."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from sqlalchemy import delete, insert, select, update

from authserver.audit import Entry, Event
from authserver.audit.chain import CHECKPOINT_TYP, heads, rows
from authserver.audit.record import COLUMNS
from authserver.audit.verify import Verdict, verify
from authserver.purge import purge

from ..runner import Run
from ..wire import Request
from ._terminal import command


def fill_log(run: Run, rows: int) -> None:
    """The log has at least ``rows`` sealed rows."""
    for _ in range(rows):
        run.world.services.audit.record(Entry(Event.REVOCATION_NOOP, client_id="web1", detail={"jti": "x"}))
    run.world.services.sealer.seal()
    assert _verdict(run).whole


def change_a_row(run: Run, seq: int) -> None:
    """One character of a row is another."""
    with run.world.services.database.writing() as connection:
        connection.execute(update(rows).where(rows.c.seq == seq).values(client_ip="192.0.2.11"))


def change_each_column(run: Run, seq: int) -> None:
    """Each column in turn, back again afterwards."""
    database = run.world.services.database
    mine = rows.c.seq == seq
    with database.reading() as connection:
        row = dict(connection.execute(select(rows).where(mine)).mappings().one())
    for name in (*COLUMNS, "mac", "hash"):
        value: Any = {"at_ms": row["at_ms"] + 1, "detail": {"jti": "y"}}.get(name, f"{row[name]}x"[-60:])
        with database.writing() as connection:
            connection.execute(update(rows).where(mine).values({name: value}))
        verdict = _verdict(run)
        assert not verdict.whole, name
        # a changed hash shows in the row itself or in the one after it
        assert verdict.first_bad in ((seq, seq + 1) if name == "hash" else (seq,)), (name, verdict)
        with database.writing() as connection:
            connection.execute(update(rows).where(mine).values({name: row[name]}))
    assert _verdict(run).whole


def remove_a_row(run: Run, seq: int) -> None:
    """One row is gone."""
    with run.world.services.database.writing() as connection:
        connection.execute(delete(rows).where(rows.c.seq == seq))


def insert_a_copy(run: Run, seq: int) -> None:
    """The row at ``seq`` is there twice, those after it moved on by one."""
    with run.world.services.database.writing() as connection:
        row = dict(connection.execute(select(rows).where(rows.c.seq == seq)).mappings().one())
        later = list(connection.execute(select(rows.c.seq).where(rows.c.seq > seq)).scalars())
        for number in sorted(later, reverse=True):
            connection.execute(update(rows).where(rows.c.seq == number).values(seq=number + 1))
        del row["id"]
        connection.execute(insert(rows).values(row | {"seq": seq + 1}))


def swap_rows(run: Run, seq: int) -> None:
    """Two neighbours have each other's place."""
    with run.world.services.database.writing() as connection:
        for old, new in ((seq, -1), (seq + 1, seq), (-1, seq + 1)):
            connection.execute(update(rows).where(rows.c.seq == old).values(seq=new))


def cut_the_end(run: Run, seq: int) -> None:
    """The rows from ``seq`` on are gone."""
    with run.world.services.database.writing() as connection:
        connection.execute(delete(rows).where(rows.c.seq >= seq))


def cut_and_set_head_back(run: Run, seq: int) -> None:
    """The rows from ``seq`` on are gone, and the head names the one before."""
    with run.world.services.database.writing() as connection:
        connection.execute(delete(rows).where(rows.c.seq >= seq))
        last = connection.execute(select(rows.c.hash).where(rows.c.seq == seq - 1)).scalar_one()
        connection.execute(update(heads).values(seq=seq - 1, hash=last))


def verify_finds(run: Run, seq: int | None = None) -> None:
    """``authserver audit verify`` fails, names the place and leaves an event."""
    result = command(run, "audit", "verify", "--json")
    assert result.exit_code == 1, result.output
    told = json.loads(result.stdout)
    assert told["whole"] is False
    assert told["fault"]
    if seq is not None:
        assert told["first_bad"] == seq, told
        assert f"at sequence number {seq}:" in command(run, "audit", "verify").output
    row = run.world.events("audit.chain.broken")[-1]
    assert row["outcome"] == "failed"
    assert row["actor"].startswith("operator:")
    assert row["detail"]["first_bad"] == told["first_bad"]


def read_log(run: Run) -> None:
    """Reading by the command line is itself an event, and prints no hash key or secret."""
    result = command(run, "audit", "tail", "-n", "5")
    assert result.exit_code == 0
    row = run.world.events("audit.read")[-1]
    assert (row["outcome"], row["detail"]) == ("succeeded", {"count": 5})
    assert row["actor"].startswith("operator:")
    assert row["request_id"]


def purge_keeps_events(run: Run) -> None:
    """Purging removes no event, neither as a job nor as a command."""
    before = run.world.events()
    assert "audit_event" not in purge(run.world.services.database)
    assert command(run, "db", "purge").exit_code == 0
    after = run.world.events()
    assert [row["id"] for row in before] == [row["id"] for row in after][: len(before)]
    for arguments in (("audit", "purge"), ("audit", "delete"), ("db", "reset")):
        assert command(run, *arguments).exit_code == 2


def rows_are_complete(run: Run, events: list[str]) -> None:
    """Each event has time, outcome, actor, request or command, place and worker."""
    for event in events:
        found = run.world.events(event)
        assert found, event
        for row in found:
            assert row["at_ms"] > 10**12
            assert row["outcome"] in ("succeeded", "denied", "failed")
            assert row["actor"]
            assert ":" in row["worker"]
            if row["request_id"]:
                assert row["client_ip"]
                assert row["resource"].startswith(("POST /", "GET /"))
                # whoever it is about, unless that is nobody's business to know yet
                assert row["client_id"] or row["user_id"] or event in ("csrf.rejected", "resource.rejected")
            if row["outcome"] == "denied":
                assert row["reason"], row


def log_lines_are_json(run: Run) -> None:
    """Every line of the log is one JSON object in ASCII: nobody writes lines of his own into it."""
    assert run.logbook.lines
    for line in run.logbook.lines:
        assert line.isascii()
        assert "\n" not in line
        assert isinstance(json.loads(line), dict)


def failure_inside(run: Run) -> None:
    """An exception whose text holds a secret: the answer and the log tell its type and place alone."""
    secret = run.world.secrets["web_post"]
    form = {"grant_type": "client_credentials", "client_id": "web_post", "client_secret": secret}
    body = "&".join(f"{k}={v}" for k, v in form.items()).encode()
    headers = (("Content-Type", "application/x-www-form-urlencoded"),)
    with mock.patch.object(type(run.world.services.clients), "get", side_effect=LookupError(body.decode())):
        reply = run.wire.send(Request("POST", "/token", headers, body))
    assert reply.status == 500
    assert reply.json == {
        "error": "server_error", "error_description": "Something went wrong on our side.",
    }  # fmt: skip
    assert secret not in reply.body.decode()
    row = run.world.events("error.unhandled")[-1]
    assert (row["outcome"], row["request_id"]) == ("failed", reply.request_id)
    assert any("LookupError" in line and reply.request_id in line for line in run.logbook.lines)


def _verdict(run: Run) -> Verdict:
    services = run.world.services
    read = services.keys.verify_checkpoint
    return verify(services.database, services.master, lambda text: read(text, CHECKPOINT_TYP))
