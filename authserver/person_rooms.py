"""The rooms of what people do with their own data: copies, erasure, another address, recovery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .login.email_change import EmailChanges
from .login.email_change import Rooms as EmailRooms
from .login.recovery import Recovery
from .personal_data import Erasure, Export
from .personal_data.erasure import Rooms as ErasureRooms
from .personal_data.export import Rooms as ExportRooms

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from .audit import Audit, PersonKeys
    from .cache import Versions
    from .config import Settings
    from .db import Database
    from .login import Mfa, Sessions
    from .mail import Mail
    from .users import Contacts, TrustedPayees


@dataclass(frozen=True)
class PersonRooms:
    """Changes of address, recovery, copies and erasure."""

    email_changes: EmailChanges
    recovery: Recovery
    export: Export
    erasure: Erasure


@dataclass(frozen=True)
class Below:
    """The rooms that they rest on; ``person_ends`` ends all that a person is signed in to."""

    settings: Settings
    database: Database
    versions: Versions
    audit: Audit
    person_keys: PersonKeys
    mail: Mail
    mfa: Mfa
    sessions: Sessions
    contacts: Contacts
    trusted_payees: TrustedPayees
    person_ends: Callable[[Connection, str, str], None]


def build(below: Below) -> PersonRooms:
    """The rooms of what people do with their own data."""
    database, versions, audit = below.database, below.versions, below.audit
    mfa, tell, issuer = below.mfa, below.mail.queue_in, below.settings.issuer
    erasing = ErasureRooms(audit, below.person_keys, mfa, tell, below.person_ends)
    return PersonRooms(
        EmailChanges(
            database, versions, EmailRooms(audit, mfa, below.sessions, below.contacts, tell, issuer)
        ),
        Recovery(database, audit, tell, below.person_ends),
        Export(database, ExportRooms(audit, below.person_keys, mfa, below.trusted_payees), issuer),
        Erasure(database, versions, erasing),
    )
