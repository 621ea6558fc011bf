"""Places of addresses: what files say, what nobody knows, and marks that tell nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmdb import TOKYO, write

from authserver.crypto import MasterKeys, b64u
from authserver.login.risk.history import Place
from authserver.login.risk.places import FileUnusable, Marks, Places

KEYS = MasterKeys.parse(f"k2:{b64u(bytes(range(32)))},k1:{b64u(bytes(32))}")
MARKS = Marks(KEYS)


def places(folder: Path, listed: str = "# of nobody\n198.51.100.64/26  # exits\n2001:db8:9::/48\n") -> Places:
    anonymisers = folder / "exits.txt"
    anonymisers.write_text(listed)
    return Places(MARKS, write(folder / "places.mmdb"), anonymisers)


def test_an_address_has_the_country_and_the_coarse_position_of_its_network(tmp_path: Path) -> None:
    found = places(tmp_path).of("192.0.2.77")
    assert (found.country, found.latitude, found.longitude, found.anonymising) == ("DE", 53, 13, False)
    assert places(tmp_path).of("::ffff:192.0.2.77") == found
    assert places(tmp_path).of("2001:db8:1::5").country == "DE"


@pytest.mark.parametrize("address", ["203.0.113.200", "8.8.8.8", "2001:db8:ffff::1"])
def test_what_the_database_does_not_know_is_unknown(tmp_path: Path, address: str) -> None:
    found = places(tmp_path).of(address)
    assert (found.country, found.latitude, found.longitude) == ("", None, None)
    assert found.network


@pytest.mark.parametrize("address", ["", "junk", "fe80::1%eth0", "192.0.2.1:80"])
def test_what_is_no_address_is_nowhere(tmp_path: Path, address: str) -> None:
    assert places(tmp_path).of(address) == Place()


def test_without_files_country_and_anonymising_are_unknown_and_networks_are_told_apart() -> None:
    bare = Places(MARKS, None, None)
    found = bare.of("192.0.2.77")
    assert (found.country, found.latitude, found.anonymising) == ("", None, None)
    assert found.network == bare.of("192.0.2.1").network != bare.of("192.0.3.1").network
    assert found.wide == bare.of("192.0.3.1").wide != bare.of("198.51.100.1").wide


def test_anonymising_networks_are_those_of_the_list(tmp_path: Path) -> None:
    known = places(tmp_path)
    assert [known.of(a).anonymising for a in ("198.51.100.63", "198.51.100.64", "198.51.100.127")] == [
        False, True, True,
    ]  # fmt: skip
    assert known.of("198.51.100.128").anonymising is False
    assert known.of("2001:db8:9:1::1").anonymising is True


def test_no_mark_tells_the_network_without_the_servers_key(tmp_path: Path) -> None:
    other = Places(Marks(MasterKeys.parse(f"k1:{b64u(bytes(32))}")), None, None)
    assert other.of("192.0.2.77").network != places(tmp_path).of("192.0.2.77").network


def test_marks_of_an_older_master_key_are_known_by_their_new_name() -> None:
    before = Places(Marks(MasterKeys.parse(f"k1:{b64u(bytes(32))}")), None, None).of("192.0.2.77")
    now = Places(MARKS, None, None)
    renamed = now.renamed("192.0.2.77")
    assert renamed[before.network] == now.of("192.0.2.77").network
    assert renamed[before.wide] == now.of("192.0.2.77").wide


def test_a_database_that_is_replaced_counts_at_once(tmp_path: Path) -> None:
    known = places(tmp_path)
    assert known.of("192.0.2.77").country == "DE"
    write(tmp_path / "new.mmdb", {"192.0.2.0/24": TOKYO}).replace(tmp_path / "places.mmdb")
    assert known.of("192.0.2.77").country == "JP"


def test_a_database_that_is_gone_or_broken_later_says_unknown_and_stops_no_login(tmp_path: Path) -> None:
    known = places(tmp_path)
    (tmp_path / "places.mmdb").write_bytes(b"nothing of the kind")
    assert known.of("192.0.2.77").country == ""
    (tmp_path / "places.mmdb").unlink()
    assert known.of("192.0.2.77").country == ""


def test_files_that_are_not_what_they_should_be_are_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match=r"line 2 of exits\.txt is no network"):
        places(tmp_path, "192.0.2.0/24\n192.0.2.1/24\n")
    (tmp_path / "broken.mmdb").write_bytes(b"x")
    with pytest.raises(FileUnusable, match=r"broken\.mmdb is no database"):
        Places(MARKS, tmp_path / "broken.mmdb", None)
    with pytest.raises(FileUnusable):
        Places(MARKS, tmp_path / "absent.mmdb", None)


@pytest.mark.parametrize(
    "record",
    [
        {"country": "DE"},
        {"country": {"iso_code": 7}, "location": {"latitude": "52"}},
        {"country": {"iso_code": "DEU"}, "location": {"latitude": 91.0, "longitude": 181.0}},
        {"location": ["DE"]},
    ],
)
def test_a_record_of_another_shape_says_nothing(tmp_path: Path, record: object) -> None:
    found = Places(MARKS, write(tmp_path / "odd.mmdb", {"192.0.2.0/24": record}), None).of("192.0.2.1")
    assert (found.country, found.latitude, found.longitude) == ("", None, None)
