"""Allowlists: strict notation, exact membership."""

from __future__ import annotations

import pytest

from authserver.errors import Invalid
from authserver.ip_allowlist import Allowlist, parse_address, parse_network, parse_networks


@pytest.mark.parametrize(
    "text",
    [
        "203.0.113.007",
        "203.0.113.0/33",
        "203.0.113.5/24",
        "0.0.0.0/0",
        "::/0",
        "203.0.113.0-255",
        "localhost",
        "",
        "fe80::1%eth0",
        "fe80::%eth0/64",
        "203.0.113.0/255.255.255.0/1",
        "::ffff:203.0.113.0/120",
        " 203.0.113.0/24",
        "0x7f.1.1.1",
        "2130706433",
        "1.2.3",
        "203.0.113.0/-1",
        "203.0.113.0/ 24",
        "2001:db8::1/32",
    ],
)
def test_networks_in_any_loose_notation_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_network(text)


def test_networks_have_one_spelling() -> None:
    assert parse_network("203.0.113.7") == "203.0.113.7/32"
    assert parse_network("2001:DB8:0::/48") == "2001:db8::/48"
    assert parse_network("0.0.0.0/0", everywhere=True) == "0.0.0.0/0"
    assert parse_networks(["10.0.0.0/8", "10.0.0.0/8"]) == ["10.0.0.0/8"]


def test_a_list_has_a_limit() -> None:
    with pytest.raises(Invalid):
        parse_networks(f"10.{i // 256}.{i % 256}.0/24" for i in range(1001))


def test_membership() -> None:
    allowed = Allowlist(["203.0.113.0/24", "203.0.113.64/26", "198.51.100.7/32", "2001:db8::/32"])
    for address in ("203.0.113.0", "203.0.113.255", "198.51.100.7", "2001:db8::1", "::ffff:203.0.113.9"):
        assert allowed.allows(address), address
    for address in (
        "203.0.114.0",
        "203.0.112.255",
        "198.51.100.6",
        "198.51.100.8",
        "2001:db9::",
        "::1",
        "",
        "unknown",
        "203.0.113.1%eth0",
        "fe80::1%eth0",
        "203.0.113.001",
    ):
        assert not allowed.allows(address), address


def test_an_empty_list_allows_every_address_that_is_known() -> None:
    assert Allowlist([]).allows("192.0.2.1")
    assert not Allowlist([]).allows("")


def test_one_family_in_the_list_does_not_open_the_other() -> None:
    assert not Allowlist(["203.0.113.0/24"]).allows("2001:db8::1")
    assert not Allowlist(["2001:db8::/32"]).allows("203.0.113.1")


def test_mapped_addresses_are_unmapped() -> None:
    assert str(parse_address("::ffff:192.0.2.1")) == "192.0.2.1"
