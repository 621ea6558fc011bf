"""What answers depend on goes away under load: 503, nothing stale, nothing unrecorded, recovery by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fleet import Ask, Asked, Fleet, Reply, asking, until
from plugins.app import World, make_settings
from services import PostgresCluster, RedisServer, postgres_missing, redis_missing
from sqlalchemy import Engine, event, text
from werkzeug.test import TestResponse

from authserver import migrate
from authserver.app import EDGE, create_app, services_of

RECOVERY = 5.0
# a frozen server is found out in four seconds; the rest is for a busy machine
PATIENCE = 6.0
PROTECTED = ("token", "introspect", "introspect revoked", "revoke")
METADATA = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
PUBLIC = ("/jwks", "/healthz")


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    """A cluster of this module's own: it is killed."""
    if reason := postgres_missing():
        pytest.skip(reason)
    with PostgresCluster() as running:
        yield running


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis of this module's own: it is killed."""
    if reason := redis_missing():
        pytest.skip(reason)
    with RedisServer() as running:
        yield running


@pytest.fixture(scope="module")
def fleet(
    cluster: PostgresCluster, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    url = cluster.create_database()
    with Fleet(tmp_path_factory.mktemp("lost"), url, redis_url=redis.url) as running:
        yield running


@contextmanager
def load(fleet: Fleet) -> Iterator[dict[str, Asked]]:
    """Every endpoint is asked all the time, each over a connection to each worker."""
    with fleet.client() as client:
        good, ended = (fleet.token()(client).json["access_token"] for _ in range(2))
        assert fleet.revoke(ended)(client).status == 200
    asks: dict[str, Ask] = {
        "token": fleet.token(),
        "introspect": fleet.introspect(good),
        "introspect revoked": fleet.introspect(ended),
        "revoke": fleet.revoke(ended),
        "/readyz": fleet.get("/readyz"),
        **{path: fleet.get(path) for path in PUBLIC},
    }
    # a connection of its own for each question and worker
    opened: list[httpx.Client] = []
    questions: list[tuple[httpx.Client, Ask]] = []
    names: list[str] = []
    for worker in fleet.server.worker_pids():
        for name, ask in asks.items():
            while fleet.worker_of(client := fleet.client()) != worker:
                client.close()
            opened.append(client)
            questions.append((client, ask))
            names.append(f"{worker} {name}")
    try:
        with asking(questions, pause=0.05, in_turns=False) as asked:
            until(lambda: all(len(got.replies) >= 3 for got in asked), 10, "load on every endpoint")
            yield dict(zip(names, asked, strict=True))
    finally:
        for client in opened:
            client.close()


def of(asked: dict[str, Asked], *names: str) -> list[Asked]:
    """The loops of these endpoints, on every worker."""
    found = [got for name, got in asked.items() if name.partition(" ")[2] in names]
    assert len(found) == 2 * len(names)
    return found


def is_503(reply: Reply) -> bool:
    return (
        reply.status == 503
        and reply.json["error"] == "temporarily_unavailable"
        and 1 <= int(reply.headers["Retry-After"]) <= 60
        and reply.headers["Cache-Control"] == "no-store"
        and "access_token" not in reply.json
        and "active" not in reply.json
    )


def recovered(asked: dict[str, Asked], since: float) -> Callable[[], bool]:
    """Whether every endpoint of every worker has answered three times in a row as it should."""

    def fine() -> bool:
        return all(
            len(got.since(since)) >= 3 and all(reply.status == 200 for reply in got.since(since)[-3:])
            for got in asked.values()
        )

    return fine


def check_answers(asked: dict[str, Asked], lost: float, back: float) -> None:
    """What was asked between ``lost`` and ``back`` was answered as it must be without a database."""
    for got in asked.values():
        assert got.broken == []
    for got in of(asked, *PROTECTED):
        during = [reply for reply in got.replies if lost < reply.began and reply.ended < back]
        assert during
        assert [(r.status, r.headers, r.body) for r in during if not is_503(r)] == []
    for got in of(asked, *PUBLIC):
        assert {reply.status for reply in got.replies} == {200}
        assert any(lost < reply.began for reply in got.replies)
    for got in of(asked, "/readyz"):
        assert {r.status for r in got.replies if lost < r.began and r.ended < back} == {503}
    # whenever it was asked: a revoked token was never active, a good one never inactive
    for name, active in (("introspect", True), ("introspect revoked", False)):
        for got in of(asked, name):
            assert {reply.json["active"] for reply in got.replies if reply.status == 200} == {active}


def check_record(fleet: Fleet, asked: dict[str, Asked], lost: float) -> None:
    """Every token that anybody received is on record, and so is the failure."""
    # the connections of this process are as dead as those of the workers were
    fleet.services.database.engine.dispose()
    received = {r.claims["jti"] for got in of(asked, "token") for r in got.replies if r.status == 200}
    assert len(received) > 10
    assert received - fleet.issued() == set()

    def failure_told() -> bool:
        rows = fleet.world.events("dependency.failed")
        return any(row["at_ms"] >= lost * 1000 and row["reason"].startswith("database") for row in rows)

    until(failure_told, 5, "dependency.failed is in the audit log")
    until(lambda: all(row["seq"] for row in fleet.world.events()), 15, "every row is sealed")
    verdict = fleet.verdict()
    assert verdict.whole, verdict
    print(f"{len(received)} tokens received, all on record; {verdict.rows} rows in a whole chain")


def test_postgresql_killed_under_load(fleet: Fleet, cluster: PostgresCluster) -> None:
    with fleet.pinned() as clients, load(fleet) as asked:
        time.sleep(0.5)
        cluster.kill()
        lost = time.time()
        # nobody asked these workers for their metadata before: they hold it all the same
        for path in METADATA:
            for client in clients.values():
                assert fleet.get(path)(client).json["issuer"] == fleet.server.issuer
        time.sleep(1.5)
        back = time.time()
        cluster.start()
        seconds = until(recovered(asked, time.time()), RECOVERY, "recovery without hands")
    check_answers(asked, lost, back)
    statuses = {r.status for got in of(asked, "token") for r in got.since(lost)}
    assert statuses == {200, 503}
    print(f"recovered {seconds:.2f} s after PostgreSQL answered again")
    check_record(fleet, asked, lost)


def test_postgresql_frozen_under_load(fleet: Fleet, cluster: PostgresCluster) -> None:
    """Connections stay open and nothing answers: the wait has an end, for everybody in the queue."""
    with load(fleet) as asked:
        time.sleep(0.3)
        with cluster.paused():
            lost = time.time()
            # twice: a question that was on its way when the server froze holds up the next one
            time.sleep(2 * PATIENCE)
            back = time.time()
        seconds = until(recovered(asked, time.time()), RECOVERY, "recovery without hands")
    longest = max(reply.ended - reply.began for got in asked.values() for reply in got.replies)
    print(f"the longest wait was {longest:.2f} s; recovered in {seconds:.2f} s")
    assert longest <= PATIENCE
    check_answers(asked, lost, back)
    check_record(fleet, asked, lost)


def test_a_database_that_takes_no_writes(fleet: Fleet, cluster: PostgresCluster) -> None:
    """As after a failover to a standby, or a disk that an operator protects."""
    name = fleet.services.database.engine.url.database

    def read_only(value: str) -> None:
        cluster.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
        others = f"datname = '{name}' AND pid <> pg_backend_pid()"
        cluster.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")

    before = fleet.issued()
    with fleet.pinned() as clients:
        asks = [fleet.token(), fleet.introspect("junk"), fleet.revoke("junk")]
        read_only("on")
        try:
            # one answer tells each worker that its connections are gone
            for _ in range(2):
                replies = [ask(client) for ask in asks for client in clients.values()]
            assert [reply.body for reply in replies if not is_503(reply)] == []
            assert all(fleet.get("/jwks")(client).status == 200 for client in clients.values())
        finally:
            read_only("off")
        fine = [lambda c=c, ask=ask: ask(c).status == 200 for c in clients.values() for ask in asks]  # type: ignore[misc]
        for answers in fine:
            until(answers, RECOVERY, "recovery without hands")
    fleet.services.database.engine.dispose()
    assert len(fleet.issued() - before) >= 2
    until(lambda: fleet.verdict().unsealed == 0, 15, "every row is sealed")
    assert fleet.verdict().whole


def test_a_document_that_was_never_held_is_a_503_of_the_same_form(
    cluster: PostgresCluster, tmp_path: Path
) -> None:
    """A worker that starts while the database is away: no bare 500 of the server's, and it heals."""
    url = cluster.create_database()
    app = create_app(make_settings(tmp_path, url))
    services = services_of(app)
    world = World(app, services)
    migrate.upgrade(services.database)
    services.rotation.ensure("ES256")
    name = services.database.engine.url.database
    services.database.engine.dispose()
    cluster.execute(f"ALTER DATABASE {name} RENAME TO away")
    app.extensions[EDGE].warm()
    for path in ("/jwks", *METADATA):
        answer = world.send("GET", path)
        assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable")
        assert answer.headers["Retry-After"]
        assert answer.headers["Cache-Control"] == "no-store"
    cluster.execute(f"ALTER DATABASE away RENAME TO {name}")
    for path in ("/jwks", *METADATA):
        assert world.send("GET", path).status_code == 200
    services.audit.flush_late()
    assert len(world.events("dependency.failed")) == 3
    services.database.engine.dispose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_sqlite_database_issues_nothing_and_goes_on_when_there_is_room(world: World) -> None:
    engine = world.services.database.engine
    token = world.access_token()

    def limit(pages: int) -> Callable[..., None]:
        def connected(connection: object, _record: object) -> None:
            connection.execute(f"PRAGMA max_page_count={pages}")  # type: ignore[attr-defined]

        return connected

    with engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()

    def round_() -> list[TestResponse]:
        return [
            world.token(),
            world.post("/introspect", as_="rs_payments", form={"token": token}),
            world.post("/revoke", as_="svc1", form={"token": "junk"}),
        ]

    with _on_connect(engine, limit(pages + 5)):
        answers = round_()
        while any(answer.status_code == 200 for answer in answers[-3:]):
            assert len(answers) < 1000
            answers += round_()
        # and once not even the smallest row fits it stays so: nothing slips through
        answers += round_() + round_()
        assert {answer.status_code for answer in answers[-9:]} == {503}
        assert {answer.json["error"] for answer in answers[-9:]} == {"temporarily_unavailable"}
        assert all(answer.headers["Retry-After"] for answer in answers[-9:])
        granted = sum(answer.status_code == 200 for answer in answers[::3])
        assert granted > 0
        issued = len(world.events("token.issued"))
        assert issued == 1 + granted
        assert world.send("GET", "/jwks").status_code == 200
    assert world.token().status_code == 200
    world.services.audit.flush_late()
    assert {row["reason"] for row in world.events("dependency.failed")} == {"database_write"}


@contextmanager
def _on_connect(engine: Engine, listener: Callable[..., None]) -> Iterator[None]:
    """New connections, and there are only new ones, begin with ``listener``."""
    event.listen(engine, "connect", listener)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "connect", listener)
        engine.dispose()
