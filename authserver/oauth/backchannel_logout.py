"""Back-channel logout (OpenID Connect Back-Channel Logout 1.0): clients hear of the end of sessions.

Who is to hear is written in the transaction that ends the session; a job calls. A row is claimed before its
call by moving it on, so a process that dies in between calls again later: at least once, by one at a time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection, delete, insert, select, update

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..audit.record import Outcome
from ..clients import ClientRecord, Clients
from ..config import Settings
from ..db import Database, table_of
from ..errors import Unavailable
from ..keys import KeyStore
from ..models.authorization import Authorization, AuthorizationCode
from ..models.client import Client
from ..models.logout import LogoutDelivery
from ..outgoing import Failed, Outgoing, Refused
from .request import FORM
from .subjects import Subjects

log = logging.getLogger(__name__)

TYP = "logout+jwt"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
TOKEN_SECONDS = 120
# until the second try, the third, and so on; after the last one nobody tries again
DELAYS = (15, 60, 300, 1800, 7200)
ATTEMPTS = len(DELAYS) + 1
# one run, its last call included, ends within the lease of its job
RUN_SECONDS = 6.0
SLOW_SECONDS = 1.0
# the client is gone, suspended or without an address by now: no later try would help
NO_ADDRESS = "no_address"
table = table_of(LogoutDelivery)
authorizations = table_of(Authorization)
codes = table_of(AuthorizationCode)
clients_ = table_of(Client)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A claimed row; ``attempts`` counts this one."""

    id: str
    client_id: str
    user_id: str
    sid: str
    attempts: int


class BackchannelLogout:
    """Queues and delivers logout tokens."""

    def __init__(  # noqa: PLR0913, PLR0917 - the rooms that meet here
        self,
        settings: Settings,
        database: Database,
        clients: Clients,
        subjects: Subjects,
        keys: KeyStore,
        outgoing: Outgoing,
        audit: Audit,
    ) -> None:
        self._issuer = settings.issuer
        self._database = database
        self._clients = clients
        self._subjects = subjects
        self._keys = keys
        self._outgoing = outgoing
        self._audit = audit

    def queue_in(self, connection: Connection, sid: str) -> None:
        """Every client that got an ID token in the session, or still may, is to hear of its end."""
        now = clock.now()
        query = (
            select(authorizations.c.client_id, authorizations.c.user_id, authorizations.c.scopes)
            .join(clients_, clients_.c.client_id == authorizations.c.client_id)
            .join(codes, codes.c.gid == authorizations.c.gid)
            .where(
                authorizations.c.sid == sid,
                clients_.c.backchannel_logout_uri.is_not(None),
                codes.c.used_at.is_not(None) | (codes.c.expires_at > now),
            )
        )
        told = {(row.client_id, row.user_id) for row in connection.execute(query) if "openid" in row.scopes}
        rows = [
            {
                "id": crypto.random_token(128), "client_id": client_id, "user_id": user_id, "sid": sid,
                "created_at": now, "attempts": 0, "due_at": now,
            }
            for client_id, user_id in sorted(told)
        ]  # fmt: skip
        if rows:
            connection.execute(insert(table), rows)

    def due(self) -> bool:
        """Whether a call waits to be made now."""
        with self._database.reading() as connection:
            query = select(table.c.id).where(table.c.due_at <= clock.now()).limit(1)
            return connection.execute(query).first() is not None

    def deliver(self) -> int:
        """Calls that were due have been made, for ``RUN_SECONDS`` at most; gives how many succeeded.

        A client that fails or is slow rests until the next run: the others do not wait for it.
        """
        sent, resting, until = 0, set[str](), clock.monotonic() + RUN_SECONDS
        while clock.monotonic() < until:
            found = self._next(resting)
            if found is None:
                break
            if (delivery := self._claim(found)) is None:
                continue
            began = clock.monotonic()
            reason = self._call(delivery)
            if reason or clock.monotonic() - began > SLOW_SECONDS:
                resting.add(delivery.client_id)
            self._settle(delivery, reason)
            sent += not reason
        return sent

    def token(self, client: ClientRecord, user_id: str, sid: str) -> str:
        """A logout token (§2.4), new at every try: it is short-lived, and its ``jti`` counts once."""
        now = clock.now()
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": client.client_id,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "jti": crypto.random_token(128),
            "sub": self._subjects.subject_of(client, user_id),
            "sid": self._subjects.session_of(client, sid),
            "events": {EVENT: {}},
        }
        return self._keys.sign(TYP, claims, client.id_token_alg)

    def _next(self, resting: set[str]) -> Any:
        query = (
            select(table)
            .where(table.c.due_at <= clock.now(), table.c.client_id.not_in(resting))
            .order_by(table.c.due_at, table.c.id)
            .limit(1)
        )
        with self._database.reading() as connection:
            return connection.execute(query).one_or_none()

    def _claim(self, row: Any) -> Delivery | None:
        """The row is ours until it is due again; None when another process was first."""
        delay = DELAYS[min(row.attempts, len(DELAYS) - 1)]
        claimed = (
            update(table)
            .where(table.c.id == row.id, table.c.attempts == row.attempts, table.c.due_at == row.due_at)
            .values(attempts=row.attempts + 1, due_at=clock.now() + delay)
        )
        with self._database.writing() as connection:
            if connection.execute(claimed).rowcount != 1:
                return None
        return Delivery(row.id, row.client_id, row.user_id, row.sid, row.attempts + 1)

    def _call(self, delivery: Delivery) -> str:
        """Why the client did not take its logout token; empty when it did."""
        client = self._clients.get(delivery.client_id)
        if client is None or not client.active or client.backchannel_logout_uri is None:
            return NO_ADDRESS
        try:
            body = urlencode({"logout_token": self.token(client, delivery.user_id, delivery.sid)})
            headers = {"Content-Type": FORM}
            answer = self._outgoing.post(client.backchannel_logout_uri, headers, body.encode())
        except Refused as error:
            return error.reason
        except Failed:
            return "unreachable"
        except Unavailable as error:
            return error.dependency
        # §2.8: 200; some frameworks answer 204 to an empty body
        return "" if answer.status in (200, 204) else "refused"

    def _settle(self, delivery: Delivery, reason: str) -> None:
        """The row is gone, with an audit row, when the call succeeded or was the last one."""
        if reason:
            log.info("back-channel logout of %s: %s", delivery.client_id, reason)
        if reason and reason != NO_ADDRESS and delivery.attempts < ATTEMPTS:
            return
        event = Event.LOGOUT_BACKCHANNEL_FAILED if reason else Event.LOGOUT_BACKCHANNEL_SENT
        outcome: Outcome = "failed" if reason else "succeeded"
        entry = Entry(
            event,
            outcome,
            reason,
            client_id=delivery.client_id,
            user_id=delivery.user_id,
            session_id=delivery.sid,
            actor="system",
            detail={"attempts": delivery.attempts},
        )
        with self._database.writing() as connection:
            if connection.execute(delete(table).where(table.c.id == delivery.id)).rowcount == 1:
                self._audit.record_in(connection, entry)
