"""What is personal in the log: under the key of the person, open while it exists, erased with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from plugins.app import World
from plugins.people import add_user
from sqlalchemy import select, update

from authserver import clock, context, crypto
from authserver.app import services_of
from authserver.audit import Entry, Event, person_keys
from authserver.audit.chain import CHECKPOINT_TYP, rows
from authserver.audit.search import Wanted, newest
from authserver.audit.verify import Verdict, verify
from authserver.services import Services

ADDRESS, AGENT = "192.0.2.77", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
CALLER = context.Caller("request-1", ADDRESS, AGENT, "POST /login")


@pytest.fixture
def as_alice() -> Any:
    token = context.current.set(CALLER)
    yield
    context.current.reset(token)


def verified(services: Services) -> Verdict:
    services.sealer.seal()
    return verify(
        services.database, services.master, lambda jws: services.keys.verify_checkpoint(jws, CHECKPOINT_TYP)
    )


def resting(services: Services) -> str:
    with services.database.reading() as connection:
        return str(connection.execute(select(rows)).all())


def about(services: Services, user_id: str, **wanted: str) -> list[dict[str, Any]]:
    with services.database.reading() as connection:
        return newest(services.person_keys, connection, Wanted(user_id=user_id, **wanted), 0, 100)


def destroy(services: Services, user_id: str) -> None:
    with services.database.writing() as connection:
        services.person_keys.destroy_in(connection, user_id)


def test_what_is_personal_rests_under_the_key_and_goes_with_it_while_the_chain_holds(
    services: Services, alice: str, as_alice: None
) -> None:
    bob = add_user(services, "bob")
    for who in (alice, bob):
        entry = Entry(Event.LOGIN_SUCCEEDED, user_id=who, detail={"amr": ["pwd"], "country": "Portugal"})
        services.audit.record(entry)
        with services.database.writing() as connection:
            services.audit.record_in(connection, Entry(Event.MFA_SUCCEEDED, user_id=who))
    services.audit.record(Entry(Event.TOKEN_ISSUED, client_id="svc1"))
    dump = resting(services)
    assert AGENT not in dump
    assert "Portugal" not in dump
    # the one row that is about nobody
    assert dump.count(ADDRESS) == 1
    row = about(services, alice, event="login.succeeded")[0]
    assert (row["client_ip"], row["detail"]) == (
        ADDRESS,
        {"amr": ["pwd"], "country": "Portugal", "user_agent": AGENT},
    )
    before = verified(services)
    assert before.whole
    destroy(services, alice)
    assert verified(services) == before
    gone = about(services, alice, event="login.succeeded")[0]
    assert (gone["client_ip"], gone["detail"]) == ("erased", {"amr": ["pwd"]})
    assert about(services, bob, event="login.succeeded")[0]["client_ip"] == ADDRESS


def test_nothing_personal_is_written_after_the_key_is_destroyed(
    services: Services, alice: str, as_alice: None
) -> None:
    destroy(services, alice)
    services.audit.record(Entry(Event.SESSION_REJECTED, "denied", "ended", user_id=alice))
    with services.database.writing() as connection:
        services.audit.record_in(connection, Entry(Event.LOGOUT_DONE, user_id=alice))
    services.audit.record_late(Entry(Event.LOGIN_FAILED, "denied", "bad_password", user_id=alice))
    services.audit.flush_late()
    assert ADDRESS not in resting(services)
    assert services.person_keys.of(alice) is None
    services.person_keys.tend()
    assert services.person_keys.of(alice) is None


def test_a_row_under_a_key_that_was_changed_is_found_and_nothing_of_it_is_told(
    services: Services, alice: str, as_alice: None
) -> None:
    services.audit.record(Entry(Event.LOGIN_SUCCEEDED, user_id=alice))
    with services.database.writing() as connection:
        made = connection.execute(select(rows.c.detail).where(rows.c.event == "login.succeeded")).scalar_one()
        sealed = made["sealed"]
        swapped = {"sealed": sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBB")}
        changed = update(rows).where(rows.c.event == "login.succeeded").values(detail=swapped)
        connection.execute(changed)
    assert not verified(services).whole
    assert about(services, alice, event="login.succeeded")[0]["client_ip"] == "erased"


def test_the_key_of_another_person_opens_nothing(services: Services, alice: str, as_alice: None) -> None:
    """Nor does a row that is given to somebody else tell them anything."""
    bob = add_user(services, "bob")
    services.audit.record(Entry(Event.LOGIN_SUCCEEDED, user_id=alice))
    with services.database.writing() as connection:
        connection.execute(update(rows).where(rows.c.event == "login.succeeded").values(user_id=bob))
    assert about(services, bob, event="login.succeeded")[0]["client_ip"] == "erased"


def test_a_key_of_a_transaction_that_failed_is_used_nowhere_else(services: Services, as_alice: None) -> None:
    with pytest.raises(ZeroDivisionError), services.database.writing() as connection:
        services.audit.record_in(connection, Entry(Event.USER_CREATED, user_id="somebody"))
        services.audit.record_in(connection, Entry(Event.USER_STATE_CHANGED, user_id="somebody"))
        raise ZeroDivisionError
    services.audit.record(Entry(Event.LOGIN_SUCCEEDED, user_id="somebody"))
    with services.database.writing() as connection:
        services.audit.record_in(connection, Entry(Event.LOGOUT_DONE, user_id="somebody"))
    assert [row["client_ip"] for row in about(services, "somebody")] == [ADDRESS] * 2


def test_one_key_for_a_person_on_every_worker_and_none_to_read_with_once_it_is_gone(
    make_app: Callable[..., Flask], as_alice: None
) -> None:
    here, there = services_of(make_app()), services_of(make_app())
    alice = add_user(here, "alice")
    for services in (here, there):
        services.audit.record(Entry(Event.LOGIN_SUCCEEDED, user_id=alice))
    assert [r["client_ip"] for r in about(here, alice, event="login")] == [ADDRESS] * 2
    destroy(there, alice)
    # what this worker still remembers reads nothing, and in time writes nothing either
    assert [r["client_ip"] for r in about(here, alice, event="login")] == ["erased"] * 2
    assert here.person_keys.of(alice) is not None
    moved = clock.monotonic() + person_keys.KEPT_SECONDS + 1
    here.person_keys._known = {who: (at - moved, key) for who, (at, key) in here.person_keys._known.items()}
    assert here.person_keys.of(alice) is None


def test_whoever_has_no_key_gets_one_by_a_job_and_all_follow_the_active_master_key(
    make_app: Callable[..., Flask], as_alice: None
) -> None:
    services = services_of(make_app())
    alice = add_user(services, "alice")
    with services.database.writing() as connection:
        connection.execute(person_keys.table.delete())
    services.person_keys._known.clear()
    assert services.person_keys.untended()
    assert services.person_keys.tend() == 1
    services.audit.record(Entry(Event.LOGIN_SUCCEEDED, user_id=alice))
    assert not services.person_keys.untended()
    first = services.master.keys["k1"]
    newer = crypto.MasterKeys({"k2": bytes(32), "k1": first})
    renewed = services_of(make_app(master_keys=f"k2:{crypto.b64u(bytes(32))},k1:{crypto.b64u(first)}"))
    assert renewed.person_keys.untended()
    assert renewed.person_keys.tend() == 1
    assert not renewed.person_keys.untended()
    only = person_keys.PersonKeys(services.database, crypto.MasterKeys({"k2": newer.keys["k2"]}))
    assert only.of(alice) == services.person_keys.of(alice)
    assert about(renewed, alice, event="login")[0]["client_ip"] == ADDRESS


def test_rows_of_an_address_are_found_though_it_rests_nowhere(
    services: Services, alice: str, as_alice: None
) -> None:
    services.audit.record(Entry(Event.LOGIN_SUCCEEDED, user_id=alice))
    services.audit.record(Entry(Event.HTTP_REJECTED, "denied", "method"))
    with services.database.reading() as connection:

        def found(address: str, count: int = 10) -> list[str]:
            wanted = Wanted(client_ip=address)
            return [row["event"] for row in newest(services.person_keys, connection, wanted, 0, count)]

        assert found(ADDRESS) == ["login.succeeded", "http.rejected"]
        assert found(ADDRESS, 1) == ["http.rejected"]
        assert found("192.0.2.78") == []


def test_rows_of_before_there_were_keys_are_told_as_they_are(services: Services, alice: str) -> None:
    services.audit.record(Entry(Event.LOGIN_SUCCEEDED, user_id=alice))
    with services.database.writing() as connection:
        old = update(rows).where(rows.c.event == "login.succeeded").values(client_ip=ADDRESS, detail={})
        connection.execute(old)
    assert about(services, alice, event="login")[0]["client_ip"] == ADDRESS


def test_what_concerns_a_person_is_found_by_an_index(services: Services, alice: str) -> None:
    if not services.database.sqlite:
        return
    from authserver.audit.search import OF_PEOPLE

    query = select(rows).where(rows.c.user_id == alice, OF_PEOPLE).order_by(rows.c.id.desc()).limit(20)
    compiled = query.compile(services.database.engine, compile_kwargs={"literal_binds": True})
    with services.database.reading() as connection:
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all())
    assert "ix_audit_event_person" in plan
    assert "TEMP B-TREE" not in plan


def test_a_row_about_nobody_is_as_it_was(services: Services, as_alice: None) -> None:
    services.audit.record(Entry(Event.TOKEN_ISSUED, client_id="svc1", detail={"jti": "1"}))
    row = World(Flask("unused"), services).events("token.issued")[-1]
    assert (row["client_ip"], row["detail"]) == (ADDRESS, {"jti": "1"})
