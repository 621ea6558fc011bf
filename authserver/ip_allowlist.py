"""Client allowlists: CIDR ranges parsed strictly, compiled once, asked in microseconds."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache

from .errors import Invalid

MAX_NETWORKS = 1000
# ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255; only a zone id, never accepted, makes it longer
MAX_ADDRESS = 45

WHOLE_INTERNET = "This is the whole Internet; say so with --allow-everywhere if you mean it."

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_address(text: str) -> Address | None:
    """The address of ``text`` with IPv4-mapped IPv6 unmapped (RFC 4291 §2.5.5.2); None if it is none."""
    # what is remembered is bounded in length too: a header may say anything
    return _parse(text) if len(text) <= MAX_ADDRESS else None


@lru_cache(maxsize=4096)
def _parse(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def network_of(text: str) -> str:
    """Where an address is, roughly: its /24, or the /64 of an IPv6 one; empty if it is none."""
    address = parse_address(text)
    if address is None:
        return ""
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 64), strict=False))


def parse_network(text: str, *, everywhere: bool = False) -> str:
    """``text`` as a CIDR range in its one spelling; Invalid says what is wrong with it.

    Refused: leading zeros, host bits, ranges with a dash, names, zone ids, and whole address families
    unless ``everywhere``.
    """
    if "%" in text:
        raise Invalid("A network has no zone id.")
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            raise Invalid(
                "A network has host bits set; write its first address, as in 203.0.113.0/24."
            ) from None
        raise Invalid("A network is written as 203.0.113.0/24, 203.0.113.7 or 2001:db8::/32.") from None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise Invalid("Write an IPv4 network as such, not as mapped IPv6.")
    if network.prefixlen == 0 and not everywhere:
        raise Invalid(WHOLE_INTERNET)
    return str(network)


def parse_networks(texts: Iterable[str], *, everywhere: bool = False) -> list[str]:
    """A whole allowlist, each range once, at most ``MAX_NETWORKS``; Invalid for the first wrong one."""
    networks = list(dict.fromkeys(parse_network(text, everywhere=everywhere) for text in texts))
    if len(networks) > MAX_NETWORKS:
        raise Invalid(f"An allowlist has at most {MAX_NETWORKS} networks.")
    # two halves are the whole as well
    if not everywhere and any(n.prefixlen == 0 for n in [*_merged(networks, 4), *_merged(networks, 6)]):
        raise Invalid(WHOLE_INTERNET)
    return networks


def _merged(networks: Iterable[str], version: int) -> list[Network]:
    """The ranges of one address family in order, without overlaps."""
    parsed = [n for n in map(ipaddress.ip_network, networks) if n.version == version]
    return sorted(ipaddress.collapse_addresses(parsed))  # type: ignore[type-var]


class Allowlist:
    """Compiled ranges. An empty list allows every known address."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._ranges: dict[int, tuple[list[int], list[int]]] = {}
        for version in (4, 6):
            # ranges that do not overlap: one bisection finds the only candidate
            merged = _merged(networks, version)
            if merged:
                self._ranges[version] = (
                    [int(n.network_address) for n in merged],
                    [int(n.broadcast_address) for n in merged],
                )

    def allows(self, text: str) -> bool:
        """Whether the address ``text`` is in the list; never for an address that cannot be read."""
        address = parse_address(text)
        if address is None:
            return False
        if not self._ranges:
            return True
        starts, ends = self._ranges.get(address.version, ([], []))
        index = bisect_right(starts, int(address)) - 1
        return index >= 0 and int(address) <= ends[index]
