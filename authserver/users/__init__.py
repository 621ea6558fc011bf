"""People: their records, attempts to log in, links by which they set a password, payees they trust."""

from .attempts import LOCK_SECONDS, MAX_FAILURES, Attempts
from .contacts import Contacts
from .links import LINK_SECONDS, Links
from .locks import LockNotices
from .record import ERASED, UserRecord, normalise
from .registry import Users
from .trusted_payees import Trusted, TrustedPayees

__all__ = [
    "ERASED",
    "LINK_SECONDS",
    "LOCK_SECONDS",
    "MAX_FAILURES",
    "Attempts",
    "Contacts",
    "Links",
    "LockNotices",
    "Trusted",
    "TrustedPayees",
    "UserRecord",
    "Users",
    "normalise",
]
