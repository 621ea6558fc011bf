"""Where an address is: its networks as keyed digests, and what files that the operator keeps say of it."""

from __future__ import annotations

import ipaddress
import logging
import threading
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import maxminddb

from ... import crypto
from ...errors import Invalid
from ...ip_allowlist import Address, parse_address
from .history import Place

log = logging.getLogger(__name__)

PURPOSE = "risk.marks"
# so many bytes of a digest: enough that two are never the same by chance
MARK_BYTES = 16
# the network of one line, and the wider one that a provider has
NARROW = {4: 24, 6: 48}
WIDE = {4: 16, 6: 32}
MOST_DEGREES = {"latitude": 90, "longitude": 180}


class FileUnusable(Invalid):
    """A file that a setting names cannot be read as what it should be; says which and why."""


class Marks:
    """Digests of what is compared and never read, under a key of this server: nobody can try them all."""

    def __init__(self, master: crypto.MasterKeys) -> None:
        self._master = master

    def of(self, kind: str, text: str) -> str:
        """The mark of ``text``; empty for nothing."""
        return self._under(self._master.active, kind, text)

    def renamed(self, kind: str, text: str) -> dict[str, str]:
        """What the mark was under each other master key, and is now: keys are rotated, habits stay."""
        now = self.of(kind, text)
        others = [kid for kid in self._master.keys if kid != self._master.active]
        return {self._under(kid, kind, text): now for kid in others if text}

    def _under(self, kid: str, kind: str, text: str) -> str:
        if not text:
            return ""
        key = self._master.derive(PURPOSE, kid)
        return crypto.b64u(crypto.mac(key, kind.encode(), text.encode("utf-8", "replace"))[:MARK_BYTES])


class Places:
    """Knows the place of an address. Where no database knows the country, it is unknown."""

    def __init__(self, marks: Marks, database: Path | None, anonymisers: Path | None) -> None:
        self._marks = marks
        self._countries = None if database is None else _Countries(database)
        self._anonymisers = None if anonymisers is None else _Networks.read(anonymisers)

    def of(self, address: str) -> Place:
        """The place; all of it unknown for what is no address."""
        found = parse_address(address)
        if found is None:
            return Place()
        nowhere = ("", None, None)
        country, latitude, longitude = self._countries.of(found) if self._countries else nowhere
        network, wide = networks_of(found)
        return Place(
            self._marks.of("network", network),
            self._marks.of("network", wide),
            country,
            latitude,
            longitude,
            None if self._anonymisers is None else found in self._anonymisers,
        )

    def renamed(self, address: str) -> dict[str, str]:
        """``Marks.renamed`` for both networks of the address."""
        found = parse_address(address)
        networks = () if found is None else networks_of(found)
        return {old: new for text in networks for old, new in self._marks.renamed("network", text).items()}


def networks_of(address: Address) -> tuple[str, str]:
    """The narrow and the wide network of an address."""
    narrow, wide = (
        ipaddress.ip_network((address, lengths[address.version]), strict=False) for lengths in (NARROW, WIDE)
    )
    return str(narrow), str(wide)


class _Countries:
    """A database in MaxMind's format, read again when its file was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._reader: maxminddb.Reader | None = None
        try:
            self._open()
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            raise FileUnusable(f"{path.name} is no database of places: {type(error).__name__}.") from error

    def of(self, address: Address) -> tuple[str, int | None, int | None]:
        """The country and the position in whole degrees; empty and None where it does not know."""
        try:
            self._open()
            found = None if self._reader is None else self._reader.get(address)
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            # nobody is kept from signing in by it, and nobody passes as usual
            log.warning("places cannot be read", extra={"cause": type(error).__name__})
            found = None
        record = found if isinstance(found, Mapping) else {}
        position = _part(record, "location")
        latitude, longitude = (_degrees(position, name) for name in MOST_DEGREES)
        return _country(record), latitude, longitude

    def _open(self) -> None:
        about = self._path.stat()
        stamp = (about.st_mtime_ns, about.st_ino)
        if stamp == self._stamp:
            return
        with self._lock:
            if stamp != self._stamp:
                # in memory: a file that is written in place while it is mapped would end the process
                reader = maxminddb.open_database(self._path, maxminddb.MODE_MEMORY)
                self._reader, self._stamp = reader, stamp


def _country(record: Mapping[str, Any]) -> str:
    for name in ("country", "registered_country"):
        code = _part(record, name).get("iso_code")
        if isinstance(code, str) and len(code) == 2:
            return code
    return ""


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, Mapping) else {}


def _degrees(position: Mapping[str, Any], name: str) -> int | None:
    value = position.get(name)
    if not isinstance(value, int | float) or not abs(value) <= MOST_DEGREES[name]:
        return None
    return round(value)


class _Networks:
    """Networks of one file, one a line, ``#`` before a remark."""

    def __init__(self, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
        self._starts: dict[int, list[int]] = {}
        self._ends: dict[int, list[int]] = {}
        for version in (4, 6):
            merged = list(ipaddress.collapse_addresses(n for n in networks if n.version == version))  # type: ignore[type-var]
            self._starts[version] = [int(network.network_address) for network in merged]
            self._ends[version] = [int(network.broadcast_address) for network in merged]

    @classmethod
    def read(cls, path: Path) -> _Networks:
        """The networks of ``path``; FileUnusable names the line that is none."""
        found = []
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise FileUnusable(f"{path.name} cannot be read: {type(error).__name__}.") from error
        for number, line in enumerate(lines, 1):
            if text := line.partition("#")[0].strip():
                try:
                    found.append(ipaddress.ip_network(text))
                except ValueError as error:
                    raise FileUnusable(f"line {number} of {path.name} is no network.") from error
        return cls(found)

    def __contains__(self, address: Address) -> bool:
        at = bisect_right(self._starts[address.version], int(address)) - 1
        return at >= 0 and int(address) <= self._ends[address.version][at]
