"""SMTP as it must be: encrypted, checked, signed in; and files where the dev profile has no server."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugins.app import World
from plugins.people import add_user
from postbox import FROM, PASSWORD, USER, Mailbox

from authserver.config import Settings, SettingsRefused
from authserver.mail.senders import FILES_KEPT
from deploy import certificates

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """A certificate of localhost lies beside it."""
    return certificates.make(tmp_path / "tls")


def send_one(world: World, mailbox: Mailbox) -> list[Any]:
    alice = add_user(world.services, "alice")
    with world.services.database.writing() as connection:
        world.services.mail.queue_in(connection, alice, "password_changed")
    return mailbox.deliver(world)


def failures(world: World) -> list[str]:
    return [event["reason"] for event in world.events("mail.failed")]


@on_sqlite
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mails_travel_encrypted_and_signed_in(
    make_world: Callable[..., World], ca: Path, tmp_path: Path, security: str
) -> None:
    secret = tmp_path / "smtp"
    secret.write_text(PASSWORD + "\n")
    with Mailbox(ca.parent, tls=security, login=True) as mailbox:
        values = {"smtp_security": security, "smtp_ca": ca, "smtp_user": USER, "smtp_password_file": secret}
        (arrived,) = send_one(make_world(**mailbox.settings(**values)), mailbox)
    assert arrived.over_tls
    assert arrived.signed_in


@on_sqlite
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_server_that_cannot_prove_its_name_gets_no_mail(
    make_world: Callable[..., World], ca: Path, security: str
) -> None:
    with Mailbox(ca.parent, tls=security) as mailbox:
        world = make_world(**mailbox.settings(smtp_security=security))
        assert send_one(world, mailbox) == []
    assert failures(world) == ["tls"]


@on_sqlite
def test_a_server_without_starttls_gets_no_mail(make_world: Callable[..., World]) -> None:
    """Whoever stands between could have taken the offer out: nothing is sent in the clear then."""
    with Mailbox() as mailbox:
        world = make_world(**mailbox.settings(smtp_security="starttls"))
        assert send_one(world, mailbox) == []
    assert failures(world) == ["unsupported"]


@on_sqlite
def test_a_wrong_password_is_not_the_mails_fault(
    make_world: Callable[..., World], ca: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "smtp"
    secret.write_text("another")
    with Mailbox(ca.parent, tls="starttls", login=True) as mailbox:
        values = {"smtp_security": "starttls", "smtp_ca": ca, "smtp_user": USER, "smtp_password_file": secret}
        world = make_world(**mailbox.settings(**values))
        assert send_one(world, mailbox) == []
    assert failures(world) == ["authentication"]
    assert world.services.mail.waiting().count == 1


@on_sqlite
def test_without_a_server_the_dev_profile_writes_files_that_their_owner_reads(world: World) -> None:
    alice = add_user(world.services, "alice")
    for number in range(FILES_KEPT + 2):
        with world.services.database.writing() as connection:
            link = f"http://localhost:8000/enrol?token={number:043}"
            world.services.mail.queue_in(connection, alice, "reset_link", {"link": link}, "de")
        assert world.services.mail.deliver() == 1
    folder = world.services.settings.instance_dir / "mail"
    files = list(folder.iterdir())
    assert len(files) == FILES_KEPT
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    text = files[0].read_text("utf-8")
    assert "To: alice@example.com" in text
    # as it is to be read and copied
    assert re.search(r"Setzen Sie es .* 30 Minuten: http://localhost:8000/enrol\?token=[0-9]{43}\n", text)


@on_sqlite
def test_a_folder_that_cannot_be_written_to_loses_no_mail(world: World) -> None:
    (world.services.settings.instance_dir / "mail").write_text("in the way")
    alice = add_user(world.services, "alice")
    with world.services.database.writing() as connection:
        world.services.mail.queue_in(connection, alice, "password_changed")
    assert world.services.mail.deliver() == 0
    assert failures(world) == ["unwritable"]
    assert world.services.mail.waiting().count == 1


PRODUCTION = {
    "AUTHSERVER_PROFILE": "production",
    "AUTHSERVER_ISSUER": "https://auth.example.com",
    "AUTHSERVER_MASTER_KEYS": "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "AUTHSERVER_SMTP_HOST": "mail.example.com",
    "AUTHSERVER_MAIL_FROM": FROM,
}


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"MAIL_FROM": ""}, "MAIL_FROM"),
        ({"MAIL_FROM": "Bank <a@b.example>"}, "MAIL_FROM"),
        ({"MAIL_FROM": "a@b.example\r\nBcc: eve@evil.example"}, "MAIL_FROM"),
        ({"SMTP_SECURITY": "none"}, "SMTP_SECURITY"),
        ({"SMTP_USER": "me"}, "SMTP_PASSWORD_FILE"),
        ({"SMTP_PASSWORD_FILE": "there/is/none"}, "SMTP_PASSWORD_FILE"),
        ({"SMS_URL": "http://sms.example/"}, "SMS_URL"),
        ({"SMS_URL": "sms.example"}, "SMS_URL"),
    ],
)
def test_settings_by_which_no_message_could_leave_safely_are_refused(
    values: dict[str, str], word: str
) -> None:
    assert Settings.load(PRODUCTION).smtp_security == "starttls"
    with pytest.raises(SettingsRefused) as caught:
        Settings.load(PRODUCTION | {f"AUTHSERVER_{name}": value for name, value in values.items()})
    assert all(word in reason for reason in caught.value.reasons)
