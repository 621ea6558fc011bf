"""Interactions: checked requests that wait for a person, each bound to the first browser that resumes it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from .. import clock, crypto
from ..clients import ClientRecord, Clients
from ..clients.redirect_uris import is_registered
from ..db import Database, table_of
from ..models.authorization import Interaction
from .authorization_request import AuthorizationRequest

LIFETIME = 900
ID_LENGTH = 43
table = table_of(Interaction)


@dataclass(frozen=True, slots=True)
class InteractionRecord:
    """An interaction as it was read. ``session_before`` is the digest of its browser's session, if any."""

    id: str
    request: AuthorizationRequest
    browser: bytes | None
    session_before: bytes | None
    created_at: int
    expires_at: int
    finished_at: int | None

    @property
    def finished(self) -> bool:
        """Whether it was answered: there is no second answer."""
        return self.finished_at is not None

    @property
    def expired(self) -> bool:
        """Whether its time is over: it can only be cancelled."""
        return clock.now() >= self.expires_at

    def belongs_to(self, browser: str | None) -> bool:
        """Whether the browser with this cookie is the one that resumed it first."""
        if self.browser is None or browser is None:
            return False
        return crypto.equal(self.browser, crypto.digest(browser))


class Unusable(Exception):
    """An interaction that this browser gets no further with.

    ``reason`` is unknown, foreign (another browser's), client (gone meanwhile), finished or expired; only
    an expired one can be told about, and cancelled.
    """

    def __init__(self, reason: str, interaction: InteractionRecord | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.interaction = interaction


class Interactions:
    """Opens, finds, binds and finishes interactions."""

    def __init__(self, database: Database, clients: Clients) -> None:
        self._database = database
        self._clients = clients

    def open(self, request: AuthorizationRequest) -> str:
        """The id under which ``request`` waits, for 15 minutes; only its digest rests."""
        id_, now = crypto.random_token(), clock.now()
        row = {
            "digest": crypto.digest(id_),
            "client_id": request.client_id,
            "request": request.to_json(),
            "created_at": now,
            "expires_at": now + LIFETIME,
        }
        with self._database.writing() as connection:
            connection.execute(insert(table).values(row))
        return id_

    def read(self, id_: str | None) -> InteractionRecord | None:
        """The interaction of an id, also one that is finished or expired; None if there is none."""
        if id_ is None or len(id_) != ID_LENGTH:
            return None
        with self._database.reading() as connection:
            query = select(table).where(table.c.digest == crypto.digest(id_))
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        return InteractionRecord(
            id=id_,
            request=AuthorizationRequest.from_json(row["request"]),
            browser=row["browser"],
            session_before=row["session_before"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            finished_at=row["finished_at"],
        )

    def bind(self, id_: str, browser: str, session: bytes | None) -> bool:
        """The interaction is this browser's from now on; False if it is another's, or none."""
        unbound = (table.c.digest == crypto.digest(id_)) & table.c.browser.is_(None)
        values = {"browser": crypto.digest(browser), "session_before": session}
        with self._database.writing() as connection:
            return connection.execute(update(table).where(unbound).values(values)).rowcount == 1

    def hand_over(self, id_: str, browser: str, to: str) -> None:
        """The interaction is that of the cookie ``to``, if it was that of ``browser``."""
        mine = (table.c.digest == crypto.digest(id_)) & (table.c.browser == crypto.digest(browser))
        with self._database.writing() as connection:
            connection.execute(update(table).where(mine).values(browser=crypto.digest(to)))

    def claim(self, id_: str | None, browser: str | None, *, late: bool = False) -> InteractionRecord:
        """The interaction that the browser with this cookie may answer, ``late`` to cancel it; Unusable else.

        Its client is judged again: one that was suspended since, or lost the redirect URI, gets nothing.
        """
        found = self.read(id_)
        if found is None:
            raise Unusable("unknown")
        if not found.belongs_to(browser):
            raise Unusable("foreign", found)
        client = self._clients.get(found.request.client_id)
        if client is None or not client.active or not _still_registered(client, found.request):
            raise Unusable("client", found)
        if found.finished:
            raise Unusable("finished", found)
        if found.expired and not late:
            raise Unusable("expired", found)
        return found

    def finish_in(self, connection: Connection, id_: str, *, late: bool = False) -> bool:
        """Whether this call is the one that answers it; ``late`` for a refusal, which never expires."""
        now = clock.now()
        open_ = (table.c.digest == crypto.digest(id_)) & table.c.finished_at.is_(None)
        if not late:
            open_ &= table.c.expires_at > now
        return connection.execute(update(table).where(open_).values(finished_at=now)).rowcount == 1


def _still_registered(client: ClientRecord, request: AuthorizationRequest) -> bool:
    return is_registered(request.redirect_uri, client.redirect_uris, client.application_type)
