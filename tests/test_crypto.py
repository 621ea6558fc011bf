"""Digests, derived keys and sealing."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver import crypto

OLD = crypto.MasterKeys({"old": bytes(range(32))})
BOTH = crypto.MasterKeys({"new": bytes(range(1, 33)), "old": bytes(range(32))})


@given(st.binary(max_size=64))
def test_base64url_goes_and_comes_back(data: bytes) -> None:
    assert crypto.b64u_decode(crypto.b64u(data)) == data


@pytest.mark.parametrize("text", ["a", "AA=", "AB", "A A", "AA\n", "+/+/", "é", "AAA=", "_-9"])
def test_base64url_has_one_spelling(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        crypto.b64u_decode(text)


def test_what_is_sealed_opens_in_its_place_alone() -> None:
    sealed = OLD.seal(b"secret", "table/1")
    assert OLD.open(sealed, "table/1") == b"secret"
    assert b"secret" not in sealed.encode()
    assert OLD.seal(b"secret", "table/1") != sealed
    for text, place in (
        (sealed, "table/2"),
        (sealed[:-2] + "AA", "table/1"),
        ("x." + sealed, "table/1"),
        ("", "table/1"),
    ):
        with pytest.raises(crypto.SealBroken):
            OLD.open(text, place)


def test_a_new_master_key_seals_and_the_old_one_still_opens() -> None:
    sealed = OLD.seal(b"secret", "p")
    assert BOTH.open(sealed, "p") == b"secret"
    assert BOTH.seal(b"secret", "p").startswith("new.")
    with pytest.raises(crypto.SealBroken):
        OLD.open(BOTH.seal(b"secret", "p"), "p")


def test_keys_for_two_purposes_have_nothing_in_common() -> None:
    assert OLD.derive("a") != OLD.derive("b")
    assert OLD.derive("a") == crypto.MasterKeys({"k": bytes(range(32))}).derive("a")
    assert BOTH.derive("a") != BOTH.derive("a", "old")


def test_a_mac_tells_its_parts_apart() -> None:
    key = bytes(32)
    assert crypto.mac(key, b"ab", b"c") != crypto.mac(key, b"a", b"bc")
    assert crypto.mac(key, b"", b"a") != crypto.mac(key, b"a", b"")


@pytest.mark.parametrize("text", ["", "k1", "k1:", "k1:AAAA", "k1:" + "A" * 44, "k-1:" + "A" * 43])
def test_malformed_master_keys_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"master key|base64url"):
        crypto.MasterKeys.parse(text)


def test_identifiers_never_repeat_in_threads_nor_after_a_fork() -> None:
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda _: [crypto.identifier() for _ in range(600)], range(8)))
    mine = crypto.identifier()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, " ".join(crypto.identifier() for _ in range(20)).encode())
        os._exit(0)
    os.close(writer)
    theirs = os.read(reader, 65536).decode().split()
    os.close(reader)
    assert os.waitpid(child, 0)[1] == 0
    ours = [crypto.identifier() for _ in range(20)]
    every = [mine, *theirs, *ours, *(name for batch in batches for name in batch)]
    assert len(set(every)) == len(every) == 41 + 8 * 600
    assert {len(name) for name in every} == {22}
    assert len(crypto.identifier(72)) == 12
