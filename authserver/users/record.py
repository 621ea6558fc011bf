"""A person as a process holds them, and the one spelling of a login name."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, fields
from typing import Self

from sqlalchemy import RowMapping

from ..errors import Invalid

MAX_USERNAME = 128
MAX_EMAIL = 254
MAX_NAME = 200
# the state of whoever is here no more, and the beginning of what their row is called
ERASED = "erased"


@dataclass(frozen=True)
class UserRecord:
    """A person. ``failures`` and ``locked_until`` are as of the read: only ``Attempts`` judges by them."""

    user_id: str
    username: str
    email: str | None
    name: str
    state: str
    password_hash: str | None = field(repr=False)
    failures: int
    locked_until: int | None
    version: int
    # what the policy of second factors knows them by
    groups: tuple[str, ...] = ()
    # when the person showed that mails reach them
    email_verified_at: int | None = None
    phone: str | None = None
    # in which messages are written; empty before they read any page
    language: str = ""
    # the last whole login, or when the account was given to use
    last_used_at: int | None = None

    @property
    def active(self) -> bool:
        """Whether the person may log in and stay logged in."""
        return self.state == "active"

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        """The record of a row of the table."""
        return cls(**{f.name: row[f.name] for f in fields(cls)} | {"groups": tuple(row["groups"])})


def normalise(text: str) -> str:
    """The form in which user names and e-mail addresses rest and are looked up."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


def username_of(text: str) -> str:
    """The user name in its resting form; Invalid if it cannot be one."""
    name = normalise(text)
    if not 1 <= len(name) <= MAX_USERNAME or "@" in name or not _one_word(name):
        raise Invalid("A user name is up to 128 characters without spaces and without @.")
    return name


def email_of(text: str) -> str:
    """The e-mail address in its resting form; Invalid if it cannot be one."""
    address = normalise(text)
    local, _, domain = address.rpartition("@")
    if not local or not domain or "@" in local or len(address) > MAX_EMAIL or not _one_word(address):
        raise Invalid("An e-mail address looks like alice@example.com.")
    return address


def name_of(text: str) -> str:
    """The name that pages show; Invalid if it cannot be one line."""
    name = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise Invalid("A name is one line of up to 200 characters.")
    return name


def phone_of(text: str) -> str:
    """The telephone number in E.164; Invalid if it cannot be one."""
    number = re.sub(r"[ ()/.-]", "", text)
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", number):
        raise Invalid("A telephone number has its country's code, such as +49 151 23456789.")
    return number


def group_of(text: str) -> str:
    """The name of a group; Invalid if it cannot be one."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", text):
        raise Invalid("A group is up to 32 small letters, digits, - and _, such as operators.")
    return text


def _one_word(text: str) -> bool:
    return text.isprintable() and not any(c.isspace() for c in text)
