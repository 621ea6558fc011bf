"""Client secrets: screened by a MAC, hashed with Argon2id behind a bounded queue."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from plugins.app import World, make_settings

from authserver import crypto
from authserver.clients import ClientRecord, SecretHasher
from authserver.errors import Unavailable
from authserver.ip_allowlist import Allowlist

OLD = crypto.MasterKeys({"old": bytes(range(32))})
BOTH = crypto.MasterKeys({"new": bytes(range(1, 33)), "old": bytes(range(32))})


def hasher(tmp_path: Path, master: crypto.MasterKeys = OLD, **values: int) -> SecretHasher:
    return SecretHasher(master, make_settings(tmp_path, "sqlite://", **values))


def record(*hashes: tuple[str, int | None]) -> ClientRecord:
    return ClientRecord(
        client_id="shop",
        client_name="Shop",
        state="active",
        token_endpoint_auth_method="client_secret_basic",
        grant_types=frozenset(),
        redirect_uris=(),
        scopes=frozenset(),
        profile="oauth21",
        tier="standard",
        version=1,
        secrets=hashes,
        allowlist=Allowlist([]),
        networks=(),
        audience=None,
        application_type="web",
        require_pkce=True,
        authorization_details_types=frozenset(),
        id_token_alg="ES256",
    )


def count_hashing(secrets: SecretHasher, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    real = secrets._argon2.verify

    class Counting:
        def verify(self, hash_: str, secret: str) -> bool:
            seen.append(secret)
            return real(hash_, secret)

    monkeypatch.setattr(secrets, "_argon2", Counting())
    return seen


def test_a_secret_has_256_random_bits_and_rests_as_argon2id(tmp_path: Path) -> None:
    secret, hash_ = hasher(tmp_path).make("shop")
    assert len(crypto.b64u_decode(secret)) == 36
    assert hash_.startswith("$argon2id$")
    assert hasher(tmp_path).make("shop")[0] != secret


def test_a_guess_never_reaches_argon2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = hasher(tmp_path)
    secret, hash_ = secrets.make("shop")
    other, _ = secrets.make("other")
    seen = count_hashing(secrets, monkeypatch)
    changed = crypto.b64u(bytes([crypto.b64u_decode(secret)[0] ^ 1]) + crypto.b64u_decode(secret)[1:])
    for guess in ("", "x", "é", secret[:-1], secret + "A", changed, other, crypto.random_token(288)):
        assert not secrets.verify("shop", record((hash_, None)), guess)
        assert not secrets.verify("nobody", None, guess)
    assert seen == []
    assert secrets.verify("shop", record((hash_, None)), secret)
    assert seen == [secret]


def test_a_verified_secret_is_remembered_until_the_record_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = hasher(tmp_path)
    secret, hash_ = secrets.make("shop")
    seen = count_hashing(secrets, monkeypatch)
    client = record((hash_, None))
    assert all(secrets.verify("shop", client, secret) for _ in range(3))
    assert len(seen) == 1
    assert all(secret.encode() not in key for key in client.verified)
    assert secrets.verify("shop", record((hash_, None)), secret)
    assert len(seen) == 2


def test_a_remembered_secret_still_expires(tmp_path: Path, moving_clock) -> None:  # type: ignore[no-untyped-def]
    secrets = hasher(tmp_path)
    secret, hash_ = secrets.make("shop")
    client = record((hash_, int(moving_clock.at) + 60))
    assert secrets.verify("shop", client, secret)
    moving_clock.walk(59)
    assert secrets.verify("shop", client, secret)
    moving_clock.walk(1)
    assert not secrets.verify("shop", client, secret)


def test_secrets_made_under_an_old_master_key_still_pass_the_screen(tmp_path: Path) -> None:
    secret, hash_ = hasher(tmp_path).make("shop")
    assert hasher(tmp_path, BOTH).verify("shop", record((hash_, None)), secret)
    fresh, hash_ = hasher(tmp_path, BOTH).make("shop")
    assert not hasher(tmp_path, OLD).verify("shop", record((hash_, None)), fresh)


def test_past_its_queue_hashing_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = hasher(tmp_path, secret_hash_concurrency=1, secret_hash_queue=1)
    secret, hash_ = secrets.make("shop")
    began, go_on = threading.Event(), threading.Event()

    class Slow:
        def verify(self, _hash: str, _secret: str) -> bool:
            began.set()
            return go_on.wait(10)

    monkeypatch.setattr(secrets, "_argon2", Slow())
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(secrets.verify("shop", record((hash_, None)), secret)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    assert began.wait(10)
    deadline = time.monotonic() + 10
    while secrets._places._value and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(Unavailable) as caught:
        secrets.verify("shop", record((hash_, None)), secret)
    assert caught.value.dependency == "hash_queue"
    go_on.set()
    for thread in threads:
        thread.join()
    assert results == [True, True]


def test_a_full_queue_is_a_503_and_no_token(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bool:
        raise Unavailable("hash_queue", retry_after=1)

    monkeypatch.setattr(SecretHasher, "_matches", full)
    response = world.token()
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert world.events("token.issued") == []
