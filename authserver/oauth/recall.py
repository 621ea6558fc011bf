"""Recall: an operator ends what was given out, one token or all of a client or person."""

from __future__ import annotations

from sqlalchemy import String, cast, select

from .. import clock
from ..audit import Audit, Entry, Event
from ..audit.chain import rows
from ..audit.search import first_since
from ..config import Settings
from ..db import Database
from .authorizations import Authorizations
from .revocation import Revocations

# no access token lives longer, whatever the setting was when it was issued
LONGEST_SECONDS = 3600
BATCH = 500
# by so much a clock may have been set back meanwhile
SLACK_SECONDS = 600


class Recall:
    """Ends tokens by what names them. They are inactive at once for who asks, in a second for who polls."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        authorizations: Authorizations,
        revocations: Revocations,
        audit: Audit,
    ) -> None:
        self._lifetime = settings.access_token_lifetime
        self._database = database
        self._authorizations = authorizations
        self._revocations = revocations
        self._audit = audit

    def token(self, jti: str, client_id: str = "") -> bool:
        """The access token of ``jti`` counts no longer; whether it was this call that ended it."""
        detail = {"kind": "access_token", "jti": jti}
        entry = Entry(Event.TOKEN_REVOKED, reason="by_operator", client_id=client_id, detail=detail)
        return self._revocations.end("jti", jti, clock.now() + LONGEST_SECONDS, entry)

    def authorization(self, gid: str) -> bool:
        """The authorization of ``gid`` has ended, with its refresh tokens; whether it had not before."""
        with self._database.writing() as connection:
            return self._authorizations.end_in(connection, gid, "by_operator")

    def of_user(self, user_id: str) -> int:
        """Every authorization of the person has ended, offline ones too; gives how many. Sessions go on."""
        with self._database.writing() as connection:
            return self._authorizations.end_for_user_in(connection, user_id, "by_operator")

    def of_client(self, client_id: str) -> tuple[int, int]:
        """Nothing that the client holds counts; gives how many authorizations and own tokens ended.

        Its own tokens rest nowhere: those that may still live are in the audit log.
        """
        with self._database.writing() as connection:
            authorizations = self._authorizations.end_for_client_in(connection, client_id, "by_operator")
        own = self.issued(client_id)
        until = clock.now() + self._lifetime
        for start in range(0, len(own), BATCH):
            with self._database.writing() as connection:
                self._revocations.end_all_in(connection, "jti", own[start : start + BATCH], until)
        with self._database.writing() as connection:
            detail = {"kind": "all", "authorizations": authorizations, "tokens": len(own)}
            entry = Entry(Event.TOKEN_REVOKED, reason="by_operator", client_id=client_id, detail=detail)
            self._audit.record_in(connection, entry)
        return authorizations, len(own)

    def issued(self, client_id: str) -> list[str]:
        """The ``jti`` of every token for the client itself that may still live."""
        after = clock.now() - self._lifetime - 1
        query = select(rows.c.detail).where(
            rows.c.event == Event.TOKEN_ISSUED.value,
            rows.c.client_id == client_id,
            rows.c.at_ms >= after * 1000,
        )
        with self._database.reading() as connection:
            since = first_since(connection, (after - SLACK_SECONDS) * 1000)
            found = connection.execute(query.where(rows.c.id >= since)).scalars()
            return [detail["jti"] for detail in found if "gid" not in detail]

    def client_of(self, jti: str) -> str | None:
        """The client that got the token of ``jti`` in the last hour; None if the audit log has none."""
        query = select(rows.c.client_id).where(
            rows.c.event == Event.TOKEN_ISSUED.value,
            cast(rows.c.detail, String).contains(jti, autoescape=True),
        )
        with self._database.reading() as connection:
            since = first_since(connection, (clock.now() - LONGEST_SECONDS) * 1000)
            return connection.execute(query.where(rows.c.id >= since).limit(1)).scalar()
