"""Scopes and the APIs that own them, kept in the database, held by every process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, insert, select, update

from ..audit import Audit, Entry, Event
from ..cache import Versions, Whole, raise_version
from ..db import Database, table_of
from ..errors import Invalid, NotDone
from ..models.client import ResourceServer
from ..models.scope import Scope
from ..visible_text import shows
from .record import ResourceServerRecord

scopes = table_of(Scope)
resource_servers = table_of(ResourceServer)
SENTENCE = "A scope's sentence is one line with a letter or digit, and nothing hidden in it."


@dataclass(frozen=True)
class ScopeRecord:
    """A scope value, the audience of the API that owns it (None: the server itself), and its sentence.

    With an ``authorization_details_type`` a person is asked for it only in detail.
    """

    name: str
    audience: str | None
    description: str
    authorization_details_type: str | None = None
    # the sentence in other languages
    translations: Mapping[str, str] = field(default_factory=dict)

    def sentence(self, language: str) -> str:
        """What people read in ``language``; the description where nobody wrote it in that."""
        return self.translations.get(language, self.description)


@dataclass(frozen=True)
class _Catalogue:
    scopes: dict[str, ScopeRecord]
    by_audience: dict[str, ResourceServerRecord]


class Scopes:
    """The catalogue of scopes and resource servers."""

    def __init__(self, database: Database, versions: Versions, audit: Audit) -> None:
        self._database = database
        self._audit = audit
        self._cache = Whole(versions, "scopes", self._load)

    def all(self) -> dict[str, ScopeRecord]:
        """Every scope by its value."""
        return self._cache.get().scopes

    def resource_server(self, audience: str) -> ResourceServerRecord | None:
        """The API of an audience."""
        return self._cache.get().by_audience.get(audience)

    def resource_servers(self) -> tuple[ResourceServerRecord, ...]:
        """Every API."""
        return tuple(self._cache.get().by_audience.values())

    def describe(
        self, name: str, description: str, audience: str | None = None, details_type: str | None = None
    ) -> None:
        """The scope exists with this sentence, owned by the API of ``audience``, with details of a type.

        None keeps the owner and the type that it has; an empty type is none. Another sentence than before has
        no translations yet. Invalid for a scope that another
        API owns: its clients' tokens would move from one API to another.
        """
        if not name or any(not 0x21 <= ord(c) <= 0x7E or c in '"\\' for c in name):
            raise Invalid("A scope is printable ASCII without space, quote or backslash (RFC 6749 §3.3).")
        if not shows(description):
            raise Invalid(SENTENCE)
        with self._database.writing() as connection:
            known = connection.execute(select(scopes).where(scopes.c.name == name)).mappings().one_or_none()
            owner = known["audience"] if known else None
            if audience is not None and owner not in (None, audience):
                raise NotDone("Another API owns this scope; remove the scope first if that is meant.")
            if (
                audience is not None
                and not connection.execute(
                    select(resource_servers.c.name).where(resource_servers.c.audience == audience)
                ).scalar()
            ):
                raise NotDone("There is no resource server of this audience.")
            values: dict[str, Any] = {"description": description}
            if known and known["description"] != description:
                # what was said in other languages was said of another sentence
                values["translations"] = {}
            if audience is not None:
                values["audience"] = audience
            if details_type is not None:
                values["authorization_details_type"] = details_type or None
            if known:
                connection.execute(update(scopes).where(scopes.c.name == name).values(values))
            else:
                connection.execute(insert(scopes).values(name=name, **values))
            raise_version(connection, "scopes")
            self._audit.record_in(connection, Entry(Event.SCOPE_CHANGED, detail={"scope": name}))

    def translate(self, name: str, language: str, sentence: str | None) -> None:
        """The scope has this sentence in another language, or none any more; NotDone if there is no scope."""
        if sentence is not None and not shows(sentence):
            raise Invalid(SENTENCE)
        with self._database.writing() as connection:
            query = select(scopes.c.translations).where(scopes.c.name == name).with_for_update()
            held = connection.execute(query).scalar()
            if held is None:
                raise NotDone("There is no scope of this name.")
            others = {tag: text for tag, text in held.items() if tag != language}
            said = others if sentence is None else others | {language: sentence}
            connection.execute(update(scopes).where(scopes.c.name == name).values(translations=said))
            raise_version(connection, "scopes")
            detail = {"scope": name, "language": language}
            self._audit.record_in(connection, Entry(Event.SCOPE_CHANGED, reason="translated", detail=detail))

    def remove(self, name: str) -> None:
        """The scope is gone; clients that held it no longer get it. Invalid if there is none."""
        with self._database.writing() as connection:
            if not connection.execute(delete(scopes).where(scopes.c.name == name)).rowcount:
                raise NotDone("There is no scope of this name.")
            raise_version(connection, "scopes")
            self._audit.record_in(
                connection, Entry(Event.SCOPE_CHANGED, reason="removed", detail={"scope": name})
            )

    def _load(self) -> _Catalogue:
        with self._database.reading() as connection:
            found = connection.execute(select(scopes)).mappings().all()
            servers = connection.execute(select(resource_servers)).mappings().all()
        return _Catalogue(
            {row["name"]: ScopeRecord(**row) for row in found},
            {row["audience"]: ResourceServerRecord(**row) for row in servers},
        )
