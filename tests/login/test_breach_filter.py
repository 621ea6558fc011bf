"""The filter of breached passwords: whoever is in it is found, and a damaged one is never read."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authserver.errors import Invalid
from authserver.login.breach_filter import HEADER, BreachFilter, FilterRefused, Header, key_of
from authserver.login.breach_import import write
from authserver.login.breach_sources import keys
from authserver.login.breached import Breached

KEYS = st.integers(0, 2**64 - 1)


def made(folder: Path, found: Iterable[int], run: int = 1000) -> BreachFilter:
    path = folder / "breached.filter"
    write(path, found, run)
    return BreachFilter(path)


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(KEYS, min_size=1, max_size=300), run=st.integers(1, 50))
def test_nothing_that_was_listed_is_missed_in_whatever_order_it_came(
    tmp_path: Path, found: list[int], run: int
) -> None:
    filter_ = made(tmp_path, [*found, 0, 2**64 - 1], run)
    assert all(filter_.has(key) for key in [*found, 0, 2**64 - 1])
    filter_.verify()
    assert [file.name for file in tmp_path.iterdir()] == ["breached.filter"]


def test_false_positives_are_as_rare_as_the_header_says(tmp_path: Path) -> None:
    draw = random.Random(20261125)
    listed = {draw.getrandbits(64) for _ in range(60_000)}
    filter_ = made(tmp_path, listed, 7000)
    assert filter_.header.false_positives < 2**-20
    # of keys in no bucket's order one in a million is found: near ones share all bits that count but the last
    bits = filter_.header.bucket_bits + 24
    near = {key ^ (1 << (64 - bits)) for key in listed} - listed
    kept = {key >> (64 - bits) for key in listed}
    expected = {key for key in near if key >> (64 - bits) in kept}
    assert {key for key in near if filter_.has(key)} == expected
    strangers = [draw.getrandbits(64) for _ in range(200_000)]
    # 0.2 are expected; four would be one chance in 20,000
    assert sum(map(filter_.has, strangers)) < 4


def test_of_one_hash_many_times_one_rests(tmp_path: Path) -> None:
    assert made(tmp_path, [5 << 40] * 50, 7).header.count == 1


@pytest.mark.parametrize("cut", [0, 10, HEADER - 1, HEADER, HEADER + 100, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, cut: int) -> None:
    made(tmp_path, range(0, 2**63, 2**53))
    path = tmp_path / "breached.filter"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FilterRefused, match=r"breached\.filter cannot be used"):
        BreachFilter(path)


def test_no_changed_byte_is_read_past(tmp_path: Path) -> None:
    made(tmp_path, range(0, 2**63, 2**57))
    path = tmp_path / "breached.filter"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(FilterRefused):
            Breached(path).verify()
    path.write_bytes(whole)
    Breached(path).verify()


def test_a_file_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    made(tmp_path, [1])
    path = tmp_path / "breached.filter"
    whole = bytearray(path.read_bytes())
    whole[8] = 2
    whole[HEADER - 32 : HEADER] = hashlib.sha256(whole[: HEADER - 32]).digest()
    path.write_bytes(whole)
    with pytest.raises(FilterRefused, match="version 2"):
        BreachFilter(path)


def test_lists_as_they_are_published_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "ranges"
    folder.mkdir()
    for password, count in (("walk the old dog", 7), ("seven brown foxes", 2)):
        digest = sha1(password)
        padding = "0" * 34 + "A:0"
        (folder / f"{digest[:5]}.txt").write_text(f"{padding}\r\n{digest[5:]}:{count}\r\n")
    whole, words = tmp_path / "hashes.txt", tmp_path / "words.txt"
    whole.write_text(f"{sha1('walk the old dog')}:7\n{sha1('seven brown foxes').lower()}\n\n")
    words.write_text("walk the old dog\nseven brown foxes\r\n\n")
    wanted = {key_of("walk the old dog"), key_of("seven brown foxes")}
    assert set(keys(folder, plain=False, at_least=1)) == wanted
    assert set(keys(folder, plain=False, at_least=3)) == {key_of("walk the old dog")}
    assert set(keys(whole, plain=False, at_least=1)) == wanted
    assert set(keys(words, plain=True, at_least=1)) == wanted


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("list.txt", b"password\n", "line 1: this is neither"),
        ("list.txt", b"8846F7EAEE8FB117AD06BDD830B7586C:1\n", "line 1: this is neither"),
        ("list.txt", b"0" * 35 + b":1\n", "line 1: half a hash"),
        ("00000.txt", b"A" * 35 + b":1\n" + b"A" * 35 + b":x\n", "line 2: this is neither"),
    ],
)
def test_a_line_of_no_list_is_named(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Invalid, match=told):
        made(tmp_path, keys(tmp_path / name, plain=False, at_least=1))
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_an_import_that_fails_leaves_the_old_filter(tmp_path: Path) -> None:
    made(tmp_path, [key_of("walk the old dog")])
    with pytest.raises(Invalid):
        write(tmp_path / "breached.filter", [])
    assert "walk the old dog" in BreachFilter(tmp_path / "breached.filter")


def test_a_new_filter_is_found_without_a_restart_and_a_broken_one_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "breached.filter"
    made(tmp_path, [key_of("walk the old dog")])
    breached = Breached(path)
    assert "walk the old dog" in breached and "seven brown foxes" not in breached
    made(tmp_path, [key_of("seven brown foxes")])
    assert "seven brown foxes" in breached and "walk the old dog" not in breached
    # replaced as files are: writing into one that is mapped would be another matter
    (tmp_path / "broken").write_bytes(b"nothing")
    (tmp_path / "broken").replace(path)
    assert "seven brown foxes" in breached
    path.unlink()
    assert "seven brown foxes" in breached
    with pytest.raises(FilterRefused, match="No such file"):
        _ = "x" in Breached(path)
    assert "x" not in Breached(None)


def test_either_spelling_of_an_accent_is_found(tmp_path: Path) -> None:
    filter_ = made(tmp_path, [key_of("café au lait")])
    assert "cafe\u0301 au lait" in filter_
    assert "cafe au lait" not in filter_


def test_a_list_of_all_breaches_takes_less_than_four_gigabytes() -> None:
    assert Header(26, 1_000_000_000, 0, b"").size < 3.4e9
    assert Header(26, 1_000_000_000, 0, b"").false_positives < 1e-6
