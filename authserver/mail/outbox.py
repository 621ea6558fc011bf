"""The outbox: messages are written in the transaction that they tell of, a job sends them afterwards.

A row is claimed before its try by moving it on, so a process that dies in between tries again later: at least
once, by one at a time, and never with a transaction open.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from .. import clock, context, crypto, metrics
from ..audit import Audit, Entry, Event
from ..config import Settings
from ..db import Database, table_of
from ..models.outbox import Outbox
from ..models.user import User
from ..outgoing import Outgoing
from .letter import Letter, compose, deliverable, kept
from .senders import Files, NotSent, Sender, Smtp
from .sms import Sms
from .templates import TEMPLATES

log = logging.getLogger(__name__)

MAIL, SMS = "mail", "sms"
# until the second try, the third, and so on; the last one is the rest of them all
DELAYS = (60, 60, 120, 300, 900, 1800, 3600)
# so long nobody is tried after the service itself could not be used
AWAY_SECONDS = 15.0
# one run, but for its last message, ends within the lease of its job
RUN_SECONDS = 6.0
# of one person; more than that wait for nobody
MOST_WAITING = 100
# what may go to an address that is nobody's by now, or not yet
TO_ADDRESSES = frozenset({"account_erased", "email_changed", "email_confirm"})
TOO_LATE, FULL, NO_ADDRESS, NO_CHANNEL = "too_late", "queue_full", "address", "no_channel"
table = table_of(Outbox)
users = table_of(User)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many messages wait, and for how many seconds the oldest of them has."""

    count: int
    oldest: int


class Mail:
    """Queues messages to people and sends them."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        master: crypto.MasterKeys,
        audit: Audit,
        outgoing: Outgoing,
    ) -> None:
        self._settings = settings
        self._database = database
        self._master = master
        self._audit = audit
        self._away_until: dict[str, float] = {}
        self.senders: dict[str, Sender] = {}
        if settings.smtp_host:
            self.senders[MAIL] = Smtp(settings)
        elif settings.profile == "dev":
            self.senders[MAIL] = Files(settings)
        if settings.sms_url:
            self.senders[SMS] = Sms(settings, outgoing)

    @property
    def on(self) -> bool:
        """Whether mails leave at all: without an SMTP server they do in the dev profile alone, into files."""
        return MAIL in self.senders

    def queue_in(
        self,
        connection: Connection,
        recipient: str,
        template: str,
        values: Mapping[str, Any] | None = None,
        locale: str = "",
    ) -> bool:
        """Whether the message of ``template`` leaves once this transaction is committed.

        ``recipient`` is a user id, or the address that a person had before: nothing that a request names,
        but for the question to a new address whether it is the person's.
        ``values`` are what the template ``needs`` and ``may`` have; ``locale`` is the person's own unless
        given. False for a person without an address that mails can be sent to. ValueError for other values.
        """
        if "@" in recipient and template not in TO_ADDRESSES:
            raise ValueError(f"{template} goes to people, not to addresses")
        person = self._person(connection, recipient)
        address = recipient if "@" in recipient else person and person.email
        return self._queue(connection, (MAIL, address), person, (template, values or {}, locale))

    def text_in(self, connection: Connection, user_id: str, values: Mapping[str, Any]) -> bool:
        """As ``queue_in``, for the code of ``values`` as a text message to the person's telephone."""
        person = self._person(connection, user_id)
        phone = person and person.phone
        return self._queue(connection, (SMS, phone), person, ("text_code", values, ""))

    def reaches(self, channel: str, email: str | None, phone: str | None = None) -> bool:
        """Whether messages of a channel leave for somebody with these addresses."""
        if channel not in self.senders:
            return False
        return bool(phone) if channel == SMS else bool(email and deliverable(email))

    def due(self) -> bool:
        """Whether a message waits to be sent now."""
        with self._database.reading() as connection:
            query = select(table.c.id).where(table.c.due_at <= clock.now(), self._open()).limit(1)
            return connection.execute(query).first() is not None

    def deliver(self) -> int:
        """Messages that were due have been tried, for ``RUN_SECONDS`` and one more; gives how many left."""
        sent, until = 0, clock.monotonic() + RUN_SECONDS
        while clock.monotonic() < until and (row := self._next()) is not None:
            if self._claim(row):
                reason = self._try(row)
                self._settle(row, reason)
                sent += reason is None
        metrics.mail_oldest.set(self.waiting().oldest)
        return sent

    def waiting(self) -> Waiting:
        """What is in the queue."""
        with self._database.reading() as connection:
            count, since = connection.execute(select(func.count(), func.min(table.c.created_at))).one()
        return Waiting(count, clock.now() - since if count else 0)

    def _queue(
        self,
        connection: Connection,
        way: tuple[str, str | None],
        person: Any,
        what: tuple[str, Mapping[str, Any], str],
    ) -> bool:
        template, values, locale = what
        found = TEMPLATES[template]
        if not found.needs <= values.keys() <= found.needs | found.may:
            raise ValueError(f"{template} needs {sorted(found.needs)} and may have {sorted(found.may)}")
        channel, address = way
        user_id = person.user_id if person else ""
        if not address:
            return False
        if reason := self._unfit(connection, (channel, address), user_id, template):
            detail = {"template": template, "channel": channel, "attempts": 0, "over": True}
            failed = Entry(Event.MAIL_FAILED, "failed", reason, user_id=user_id, detail=detail)
            self._audit.record_in(connection, failed)
            return False
        id_, now = crypto.random_token(128), clock.now()
        content = {
            "to": address,
            "values": {name: kept(value) for name, value in (self._usual(person) | dict(values)).items()},
        }
        row = {
            "id": id_, "user_id": user_id, "channel": channel, "template": template,
            "language": self._language(person, locale), "created_at": now, "attempts": 0, "due_at": now,
            "expires_at": now + found.lifetime,
            "sealed": self._master.seal(json.dumps(content).encode(), _place(id_)),
        }  # fmt: skip
        connection.execute(insert(table).values(row))
        return True

    def _unfit(self, connection: Connection, place: tuple[str, str], user_id: str, template: str) -> str:
        """Why nothing can be sent to a place, which is a channel and an address; empty if it can."""
        channel, address = place
        if channel not in self.senders:
            return NO_CHANNEL
        if channel == MAIL and deliverable(address) is None:
            return NO_ADDRESS
        # each kind of message apart: what a stranger can cause at will leaves room for warnings
        mine = (table.c.user_id == user_id) & (table.c.template == template)
        waiting = select(func.count()).select_from(table).where(mine)
        crowded = user_id and connection.execute(waiting).scalar_one() >= MOST_WAITING
        return FULL if crowded else ""

    def _usual(self, person: Any) -> dict[str, str]:
        return {
            "name": person.name if person else "",
            "operator": self._settings.operator_name,
            "issuer": self._settings.issuer,
        } | ({"address": address} if (address := context.current.get().address) else {})

    def _language(self, person: Any, locale: str) -> str:
        offered = self._settings.languages
        wanted = (locale, person.language if person else "")
        return next((one for one in wanted if one in offered), offered[0])

    @staticmethod
    def _person(connection: Connection, recipient: str) -> Any:
        """Whom it is for; for an address that they no longer have, nobody."""
        columns = (users.c.user_id, users.c.name, users.c.email, users.c.phone, users.c.language)
        which = users.c.email == recipient if "@" in recipient else users.c.user_id == recipient
        return connection.execute(select(*columns).where(which)).one_or_none()

    def _open(self) -> Any:
        """Rows of channels that can be used now, as far as this process knows."""
        now = clock.monotonic()
        return table.c.channel.not_in([name for name, until in self._away_until.items() if until > now])

    def _next(self) -> Any:
        query = (
            select(table)
            .where(table.c.due_at <= clock.now(), self._open())
            .order_by(table.c.due_at, table.c.id)
            .limit(1)
        )
        with self._database.reading() as connection:
            return connection.execute(query).one_or_none()

    def _claim(self, row: Any) -> bool:
        """The row is ours until it is due again; False when another process was first."""
        delay = DELAYS[min(row.attempts, len(DELAYS) - 1)]
        claimed = (
            update(table)
            .where(table.c.id == row.id, table.c.attempts == row.attempts, table.c.due_at == row.due_at)
            .values(attempts=row.attempts + 1, due_at=clock.now() + delay)
        )
        with self._database.writing() as connection:
            return connection.execute(claimed).rowcount == 1

    def _try(self, row: Any) -> NotSent | None:
        """Why the message did not leave; None when it did."""
        if row.expires_at <= clock.now():
            return NotSent(TOO_LATE, lasting=True)
        sender = self.senders.get(row.channel)
        if sender is None:
            return NotSent(NO_CHANNEL, lasting=True)
        try:
            sender.send(self._letter(row))
        except NotSent as problem:
            if problem.away:
                self._away_until[row.channel] = clock.monotonic() + AWAY_SECONDS
            return problem
        except (crypto.SealBroken, ValueError):
            return NotSent("unreadable", lasting=True)
        return None

    def _letter(self, row: Any) -> Letter:
        content = json.loads(self._master.open(row.sealed, _place(row.id)))
        if row.channel == MAIL:
            content["to"] = deliverable(content["to"])
        return compose(row.id, content, row.template, row.language, row.created_at)

    def _settle(self, row: Any, problem: NotSent | None) -> None:
        """The row is gone, with an audit row, when it left or never will; the first failure is told, too."""
        attempts = row.attempts + 1
        if problem is not None:
            log.warning("a message (%s) did not leave: %s", row.template, problem.reason)
        over = problem is None or problem.lasting
        if not over and attempts > 1:
            return
        detail = {"template": row.template, "channel": row.channel, "attempts": attempts, "over": over}
        told = {"user_id": row.user_id, "actor": "system", "detail": detail}
        entry = Entry(Event.MAIL_SENT, **told)
        if problem is not None:
            entry = Entry(Event.MAIL_FAILED, "failed", problem.reason, **told)
        with self._database.writing() as connection:
            gone = not over or connection.execute(delete(table).where(table.c.id == row.id)).rowcount == 1
            if gone:
                self._audit.record_in(connection, entry)


def _place(id_: str) -> str:
    return f"outbox.sealed.{id_}"
