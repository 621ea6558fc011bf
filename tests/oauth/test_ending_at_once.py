"""What ends authorizations for different reasons at once: nobody waits for one another in a circle."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from asking import CALLBACK, CHALLENGE, Asking
from plugins.app import ISSUER
from plugins.people import add_user
from sqlalchemy import func, select

from authserver import crypto
from authserver.db import table_of
from authserver.login.session_view import Login
from authserver.models.authorization import Authorization, AuthorizationCode
from authserver.models.session import Session
from authserver.oauth.authorization_request import AuthorizationRequest

codes = table_of(AuthorizationCode)
ROUNDS = 8
SESSIONS = 19
REQUEST = AuthorizationRequest(
    client_id="shop",
    redirect_uri=CALLBACK,
    scopes=("openid",),
    audience=(ISSUER,),
    code_challenge=CHALLENGE,
)


@pytest.fixture
def bob(asking: Asking) -> str:
    return add_user(asking.world.services, "bob")


def allow_everywhere(asking: Asking, user_id: str, sessions: int = SESSIONS) -> list[str]:
    """The cookies of sessions of the person, each with two authorizations under one consent."""
    services = asking.world.services
    cookies = [services.sessions.start(user_id, acr="a", amr=("pwd",)) for _ in range(sessions)]
    with services.database.writing() as connection:
        grant_id = services.consents.remember_in(connection, REQUEST, user_id)
        for cookie in cookies:
            session = services.sessions.read(cookie)
            assert session is not None
            for _ in range(2):
                made = services.authorizations.complete_in(connection, REQUEST, session, grant_id, None)
                kept = select(codes.c.gid).where(codes.c.digest == crypto.digest(made.code))
                assert connection.execute(kept).scalar_one() == made.gid
    return cookies


def at_once(*acts: Callable[[], object]) -> None:
    """All of them begin together; what one raises is raised."""
    begin = Barrier(len(acts))

    def run(act: Callable[[], object]) -> None:
        begin.wait(30)
        act()

    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(run, act) for act in acts]:
            done.result(60)


def left(asking: Asking) -> tuple[int, int]:
    """How many sessions and authorizations have not ended."""
    tables = (table_of(Session), table_of(Authorization))
    with asking.world.services.database.reading() as connection:
        first, second = (
            connection.execute(select(func.count()).where(table.c.ended_at.is_(None))).scalar_one()
            for table in tables
        )
    return first, second


def test_a_withdrawal_and_signing_out_everywhere_both_happen(asking: Asking) -> None:
    services = asking.world.services
    for _ in range(ROUNDS):
        allow_everywhere(asking, asking.alice)
        at_once(
            lambda: services.consents.withdraw(asking.alice, "shop"),
            lambda: services.sessions.end_all(asking.alice, "by_user"),
        )
        assert left(asking) == (0, 0)


def test_a_person_is_disabled_while_they_withdraw_and_sign_out(asking: Asking) -> None:
    services = asking.world.services
    for _ in range(ROUNDS):
        allow_everywhere(asking, asking.alice)
        at_once(
            lambda: services.consents.withdraw(asking.alice, "shop"),
            lambda: services.users.disable(asking.alice),
            lambda: services.sessions.end_all(asking.alice, "by_user"),
        )
        assert left(asking) == (0, 0)
        services.users.enable(asking.alice)


def test_a_login_that_ends_two_peoples_sessions_is_one_of_all_who_end_them(asking: Asking, bob: str) -> None:
    services = asking.world.services
    most = services.settings.sessions_per_user
    for _ in range(ROUNDS):
        (theirs,) = allow_everywhere(asking, bob, 1)
        allow_everywhere(asking, asking.alice, most)

        def log_in(cookie: str = theirs) -> None:
            with services.database.writing() as connection:
                login = Login(asking.alice, "a", ("pwd",), "", "")
                services.sessions.start_in(connection, login, cookie)

        at_once(
            log_in,
            lambda: services.consents.withdraw(asking.alice, "shop"),
            lambda: services.consents.withdraw(bob, "shop"),
        )
        reasons = {row["event"]: row["reason"] for row in asking.world.events() if "session" in row["event"]}
        assert reasons["session.rotated"] == "other_user"
        assert reasons["session.limit"] == "oldest_ended"
        assert len(services.sessions.list(asking.alice)) == most
        services.sessions.end_all(asking.alice, "by_user")
        assert left(asking) == (0, 0)
