"""Settings: read once, refused as a whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from authserver.config import Settings, SettingsRefused, drop_secrets_from_environment

KEY = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
PRODUCTION = {
    "AUTHSERVER_PROFILE": "production",
    "AUTHSERVER_ISSUER": "https://auth.example.com",
    "AUTHSERVER_MASTER_KEYS": KEY,
    "AUTHSERVER_DATABASE_URL": "postgresql+psycopg://db/authserver",
    "AUTHSERVER_REDIS_URL": "redis://cache",
    "AUTHSERVER_WORKERS": "4",
}


def refused(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsRefused) as caught:
        Settings.load(environment)
    return caught.value.reasons


def test_the_dev_profile_needs_nothing_set() -> None:
    settings = Settings.load({})
    assert settings.issuer == "http://localhost:8000"
    assert settings.sqlite


def test_a_sound_production_is_accepted() -> None:
    assert Settings.load(PRODUCTION).profile == "production"


def test_production_lists_every_reason_at_once() -> None:
    reasons = refused(
        {
            "AUTHSERVER_PROFILE": "production",
            "AUTHSERVER_ISSUER": "http://auth.example.com",
            "AUTHSERVER_WORKERS": "2",
            "AUTHSERVER_DEBUG": "true",
            "AUTHSERVER_ARGON2_MEMORY_KIB": "8",
        }
    )
    text = "\n".join(reasons)
    for word in ("https", "MASTER_KEYS", "DEBUG", "SQLite", "REDIS_URL", "ARGON2"):
        assert word in text
    assert len(reasons) == 6


@pytest.mark.parametrize(
    "key", ["", "k1:short", "k1:" + "A" * 43, "nocolon", "k1:" + "!" * 43, KEY + "," + KEY, "k 1:" + KEY[3:]]
)
def test_production_refuses_a_missing_or_weak_master_key(key: str) -> None:
    reasons = refused(PRODUCTION | {"AUTHSERVER_MASTER_KEYS": key})
    assert len(reasons) == 1
    assert "MASTER_KEYS" in reasons[0]
    assert not key or key[3:] not in reasons[0]


def test_an_unknown_setting_is_a_fault_and_not_ignored() -> None:
    assert any("AUTHSERVER_ISSUR" in reason for reason in refused({"AUTHSERVER_ISSUR": "x"}))


@pytest.mark.parametrize(
    "issuer",
    [
        "http://auth.example.com",
        "https://auth.example.com/",
        "https://auth.example.com/a",
        "https://auth.example.com?x=1",
        "https://auth.example.com#f",
        "https://user@auth.example.com",
        "ftp://auth.example.com",
        "auth.example.com",
        "",
    ],
)
def test_an_issuer_that_is_no_plain_https_origin_is_refused(issuer: str) -> None:
    assert refused(PRODUCTION | {"AUTHSERVER_ISSUER": issuer})


def test_dev_serves_loopback_alone() -> None:
    assert refused({"AUTHSERVER_ISSUER": "https://auth.example.com"})


@pytest.mark.parametrize("limit", ["0/60", "10", "10/0", "x/60", "-1/60", "10/60/1"])
def test_a_malformed_limit_is_refused(limit: str) -> None:
    assert refused({"AUTHSERVER_LIMIT_ADDRESS": limit})


def test_an_address_header_without_trusted_peers_is_refused() -> None:
    assert refused({"AUTHSERVER_CLIENT_ADDRESS_HEADER": "X-Forwarded-For"})
    Settings.load(
        {"AUTHSERVER_CLIENT_ADDRESS_HEADER": "X-Forwarded-For", "AUTHSERVER_TRUSTED_PEERS": "10.0.0.0/8,unix"}
    )


def test_wrong_values_are_told_without_being_repeated() -> None:
    secret = "postgresql://user:hunter2@db/x"
    text = "\n".join(refused({"AUTHSERVER_WORKERS": secret, "AUTHSERVER_TRUSTED_PEERS": "300.1.1.1"}))
    assert "hunter2" not in text


def test_secrets_leave_the_environment_and_never_print(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    drop_secrets_from_environment()
    left = [n for n in ("MASTER_KEYS", "DATABASE_URL", "REDIS_URL") if f"AUTHSERVER_{n}" in os.environ]
    assert left == []
    assert KEY[3:] not in repr(settings)
    assert KEY[3:] not in repr(settings.master)


def test_dev_reads_its_master_key_from_the_instance_folder(tmp_path: Path) -> None:
    settings = Settings.load({"AUTHSERVER_INSTANCE_DIR": str(tmp_path)})
    with pytest.raises(ValueError, match="no master key"):
        _ = settings.master
    (tmp_path / "master.key").write_text(KEY + "\n")
    assert settings.master.active == "k1"


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).resolve().parent.parent / "docs" / "configuration.md").read_text()
    missing = [name for name in Settings.model_fields if f"`AUTHSERVER_{name.upper()}`" not in text]
    assert missing == []
