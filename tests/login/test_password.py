"""Hashing: bounded, equal work for everybody, exact about what was set."""

from __future__ import annotations

import threading
import unicodedata
from pathlib import Path

import pytest
from plugins.app import make_settings

from authserver.config import Settings
from authserver.errors import Unavailable
from authserver.login import PasswordHasher
from authserver.login.password import MAX_LENGTH, usable


def hasher(**values: int) -> PasswordHasher:
    cheap = {"argon2_memory_kib": 8, "argon2_time_cost": 1}
    return PasswordHasher(Settings.load({}, **(cheap | values)))


@pytest.mark.spec("ASVS 5.0", "6.2.8")
def test_only_the_exact_password_fits() -> None:
    password = "  Grüße an 🦊 und die Freunde  " * 5
    passwords = hasher()
    hash_ = passwords.hash(password)
    assert passwords.verify(hash_, password)
    assert passwords.verify(hash_, unicodedata.normalize("NFD", password))
    for other in (password[:72], password.strip(), password.lower(), password + " ", password[:-1], ""):
        assert not passwords.verify(hash_, other)


def test_nobodys_password_costs_a_verification_and_never_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = hasher()
    seen: list[str] = []
    real = passwords._argon2.verify

    class Noted:
        @staticmethod
        def verify(hash_: str, password: str) -> bool:
            seen.append(hash_.rpartition("$p=")[0].rsplit("$", 2)[0])
            return real(hash_, password)

    monkeypatch.setattr(passwords, "_argon2", Noted)
    assert not passwords.verify(None, "x")
    known = hasher().hash("y")
    assert not passwords.verify(known, "x")
    # both were verified, at the same cost
    assert len(seen) == 2
    assert seen[0] == seen[1]


@pytest.mark.parametrize("threads", [1, 2, 4, 8, 16, 64])
def test_hashing_never_holds_all_threads_of_a_process(tmp_path: Path, threads: int) -> None:
    settings = make_settings(tmp_path, "sqlite://", threads=threads)
    places = settings.login_hash_places + settings.secret_hash_places
    assert 1 <= settings.login_hash_places <= 34
    assert 1 <= settings.secret_hash_places <= 34
    assert threads < 4 or places <= threads * 3 // 4
    unknown = make_settings(tmp_path, "sqlite://", login_hash_queue=5)
    assert unknown.login_hash_places == 7


def test_a_password_is_judged_by_the_length_that_is_hashed() -> None:
    decomposed = unicodedata.normalize("NFD", "\u00e9" * MAX_LENGTH)
    assert len(decomposed) > MAX_LENGTH
    assert usable(decomposed)
    assert not usable(decomposed + "x")
    assert not usable("")


def test_an_outdated_hash_is_known_by_its_cost() -> None:
    old = hasher().hash("x")
    assert hasher(argon2_time_cost=2).outdated(old)
    assert not hasher().outdated(old)


def test_the_queue_is_bounded_and_refuses_at_once() -> None:
    passwords = hasher(login_hash_concurrency=1, login_hash_queue=1)
    inside, leave = threading.Barrier(3), threading.Event()

    def hold() -> None:
        with passwords.place():
            inside.wait(10)
            leave.wait(10)

    holders = [threading.Thread(target=hold) for _ in range(2)]
    for holder in holders:
        holder.start()
    inside.wait(10)
    with pytest.raises(Unavailable) as caught, passwords.place():
        pass
    assert (caught.value.dependency, caught.value.retry_after) == ("hash_queue", 1)
    leave.set()
    for holder in holders:
        holder.join(10)
    with passwords.place():
        pass
