"""People: their records, their attempts to log in, and the links by which they set a password."""

from .attempts import LOCK_SECONDS, MAX_FAILURES, Attempts
from .contacts import Contacts
from .links import LINK_SECONDS, Links
from .locks import LockNotices
from .record import ERASED, UserRecord, normalise
from .registry import Users

__all__ = [
    "ERASED",
    "LINK_SECONDS",
    "LOCK_SECONDS",
    "MAX_FAILURES",
    "Attempts",
    "Contacts",
    "Links",
    "LockNotices",
    "UserRecord",
    "Users",
    "normalise",
]
