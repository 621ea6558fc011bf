"""Databases of places in MaxMind's format 2.0, made for tests: networks and what is said of them."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path
from typing import Any

MARKER = b"\xab\xcd\xefMaxMind.com"
# what separates the tree from the data
GAP = 16

BERLIN = {"country": {"iso_code": "DE"}, "location": {"latitude": 52.52, "longitude": 13.40}}
LYON = {"country": {"iso_code": "FR"}, "location": {"latitude": 45.76, "longitude": 4.84}}
TOKYO = {"country": {"iso_code": "JP"}, "location": {"latitude": 35.68, "longitude": 139.69}}
# where the addresses of documentation are, for tests
PLACES: dict[str, Any] = {
    "192.0.2.0/24": BERLIN,
    "2001:db8:1::/48": BERLIN,
    "198.51.100.0/24": TOKYO,
    "203.0.113.0/25": LYON,
    "203.0.113.128/25": {"continent": {"code": "EU"}},
}


def write(path: Path, places: dict[str, Any] | None = None) -> Path:
    """``path`` as a database of ``places``: what is known by network."""
    data, offsets = b"", {}
    tree: list[list[int | None]] = [[None, None]]
    for network, known in (PLACES if places is None else places).items():
        offsets[network] = len(data)
        data += _encode(known)
        _put(tree, network, -1 - offsets[network])
    body = b"".join(_record(value, len(tree)) for node in tree for value in node)
    about = {
        "node_count": len(tree), "record_size": 24, "ip_version": 6, "database_type": "Test-City",
        "languages": ["en"], "binary_format_major_version": 2, "binary_format_minor_version": 0,
        "build_epoch": 1_790_000_000, "description": {"en": "for tests"},
    }  # fmt: skip
    path.write_bytes(body + b"\0" * GAP + data + MARKER + _encode(about))
    return path


def _put(tree: list[list[int | None]], text: str, leaf: int) -> None:
    network = ipaddress.ip_network(text)
    number, length = int(network.network_address), network.prefixlen
    # IPv4 is the first 2^32 of IPv6 (MaxMind DB 2.0, "IPv4 addresses in an IPv6 tree")
    length += 96 if network.version == 4 else 0
    node = 0
    for depth in range(length):
        bit = number >> (127 - depth) & 1
        if depth == length - 1:
            tree[node][bit] = leaf
            return
        following = tree[node][bit]
        if following is None:
            following = len(tree)
            tree[node][bit] = following
            tree.append([None, None])
        node = following


def _record(value: int | None, nodes: int) -> bytes:
    found = nodes if value is None else value if value >= 0 else nodes + GAP + (-1 - value)
    return found.to_bytes(3, "big")


def _encode(value: Any) -> bytes:
    if isinstance(value, str):
        return _head(2, len(value.encode())) + value.encode()
    if isinstance(value, float):
        return _head(3, 8) + struct.pack(">d", value)
    if isinstance(value, int):
        size = (value.bit_length() + 7) // 8
        return _head(9, size) + value.to_bytes(size, "big")
    if isinstance(value, list):
        return _head(11, len(value)) + b"".join(map(_encode, value))
    return _head(7, len(value)) + b"".join(_encode(k) + _encode(v) for k, v in value.items())


def _head(kind: int, size: int) -> bytes:
    assert size < 29
    return bytes([kind << 5 | size]) if kind <= 7 else bytes([size, kind - 7])
