"""Purging: rows whose time is over leave in batches, so that no table grows without end."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, delete, exists, select

from . import clock
from .db import Database, table_of
from .models.authorization import Authorization, AuthorizationCode, Interaction
from .models.client import ClientSecret
from .models.factor import TotpSecret
from .models.one_time_code import OneTimeCode
from .models.outbox import Outbox
from .models.payment_evidence import PaymentEvidence
from .models.person import EmailChange
from .models.replay import Replay
from .models.session import Session
from .models.sign_in import SignIn, TrustedDevice
from .models.token import ReferenceToken, RefreshToken, Revocation
from .models.trusted_payee import TrustedPayee
from .models.user import ResetRequest, UserLink
from .models.webauthn import WebauthnChallenge

BATCH = 1000
# what goes when its time is over, by itself
PLAIN = (
    Replay, Revocation, ReferenceToken, ClientSecret, Session, UserLink, ResetRequest, TotpSecret,
    OneTimeCode, EmailChange, WebauthnChallenge, SignIn, TrustedDevice, TrustedPayee,
)  # fmt: skip
# an authorization is kept for as long as its last access token may live, so that ending it still matters
LONGEST_ACCESS_TOKEN = 3600 + 60
# a request that is too old can be cancelled for a while yet
INTERACTION_KEPT = 3600
# a message that nobody sent in time, where no worker has run for long
OUTBOX_KEPT = 86_400
# people can look up what they approved for as long as they may dispute it (PSD2 art. 71(1): 13 months)
PAYMENT_KEPT = 400 * 86_400


def purge(database: Database) -> dict[str, int]:
    """No expired row is left; gives how many went, by table. Audit events are never purged here."""
    gone: dict[str, int] = {}
    evidence, payees = table_of(PaymentEvidence), table_of(TrustedPayee)
    # what a list of trusted payees rests on stays with it
    trusted = payees.c.evidence_id == evidence.c.evidence_id
    for model in PLAIN:
        table: Table = table_of(model)
        gone[table.name] = _purge_table(database, table)
    gone["payment_evidence"] = _purge_table(database, evidence, unless=exists().where(trusted))
    # the job that sends gives up first and says so
    gone["outbox"] = _purge_table(database, table_of(Outbox), kept=OUTBOX_KEPT)
    gone["interaction"] = _purge_table(database, table_of(Interaction), kept=INTERACTION_KEPT)
    return gone | _purge_authorizations(database)


def _purge_authorizations(database: Database) -> dict[str, int]:
    """Authorizations leave with their codes and refresh tokens, which are known as replays until then."""
    family = [table_of(model) for model in (AuthorizationCode, RefreshToken, Authorization)]
    table = family[-1]
    now = clock.now()
    # as long as its session lives it says who is to hear of the end of that
    session = table_of(Session)
    lives = (session.c.sid == table.c.sid) & session.c.ended_at.is_(None) & (session.c.expires_at > now)
    over = (table.c.expires_at <= now - LONGEST_ACCESS_TOKEN) & ~exists().where(lives)
    over &= ~table.c.pays | (table.c.expires_at <= now - PAYMENT_KEPT)
    gone = {member.name: 0 for member in family}
    while True:
        with database.reading() as connection:
            gids = list(connection.execute(select(table.c.gid).where(over).limit(BATCH)).scalars())
        if not gids:
            return gone
        with database.writing() as connection:
            for member in family:
                gone[member.name] += connection.execute(delete(member).where(member.c.gid.in_(gids))).rowcount


def _purge_table(
    database: Database, table: Table, kept: int = 0, unless: ColumnElement[bool] | None = None
) -> int:
    total, over = 0, table.c.expires_at <= clock.now() - kept
    over = over if unless is None else over & ~unless
    keys = list(table.primary_key.columns)
    while True:
        with database.reading() as connection:
            expired = connection.execute(select(*keys).where(over).limit(BATCH)).all()
        if not expired:
            return total
        with database.writing() as connection:
            for row in expired:
                same = [column == value for column, value in zip(keys, row, strict=True)]
                connection.execute(delete(table).where(*same, over))
        total += len(expired)
