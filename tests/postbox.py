"""A real SMTP server on loopback that takes mails, or refuses them as it is told."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any, Self

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from plugins.app import World
from plugins.people import add_user
from services import free_port

from authserver.jobs import Jobs
from authserver.services import Services

# what the server of the tests has to say of them is in no log of ours
logging.getLogger("mail.log").disabled = True
FROM = "no-reply@bank.example"
USER, PASSWORD = "authserver", "a long password for smtp"


@dataclass(frozen=True)
class Arrived:
    """One mail as it arrived."""

    envelope_from: str
    envelope_to: list[str]
    raw: bytes = field(repr=False)
    over_tls: bool
    signed_in: bool

    @property
    def mail(self) -> EmailMessage:
        parsed = BytesParser(policy=default).parsebytes(self.raw)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def subject(self) -> str:
        return str(self.mail["Subject"])

    @property
    def text(self) -> str:
        return str(self.mail.get_content()).replace("\r\n", "\n")

    @property
    def code(self) -> str:
        """The one-time code in it."""
        return re.findall(r"\b[0-9]{6,8}\b", self.text)[0]

    @property
    def link(self) -> str:
        """The single-use link in it."""
        return re.findall(r"https?://\S+\?\S+", self.text)[0]


class Mailbox:
    """The server: ``answers`` are replies to commands in place of its own, ``arrived`` the mails it took."""

    def __init__(self, directory: Path | None = None, *, tls: str = "none", login: bool = False) -> None:
        self.arrived: list[Arrived] = []
        self.answers: dict[str, str] = {}
        self.port = free_port()
        context = None
        if directory is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
        options: dict[str, Any] = {"ssl_context": context} if tls == "tls" else {}
        if tls == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        if login:
            # the server knows of TLS that it began itself alone
            own = tls == "starttls"
            options |= {"authenticator": _judge, "auth_required": own, "auth_require_tls": own}
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_MAIL(self, _s: Any, _x: Session, envelope: Envelope, address: str, _o: Any) -> str:
        if "MAIL" not in self.answers:
            envelope.mail_from = address
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(self, _s: Any, _x: Session, envelope: Envelope, address: str, _o: Any) -> str:
        if "RCPT" not in self.answers:
            envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        if "DATA" in self.answers:
            return self.answers["DATA"]
        tls = server.transport.get_extra_info("sslcontext") is not None
        known = bool(session.authenticated)
        raw = envelope.content
        assert isinstance(raw, bytes)
        self.arrived.append(Arrived(envelope.mail_from or "", list(envelope.rcpt_tos), raw, tls, known))
        return "250 Taken"

    def settings(self, **values: Any) -> dict[str, Any]:
        """Settings of a server whose mails come here."""
        usual = {"smtp_host": "localhost", "smtp_port": self.port, "smtp_security": "none"}
        return usual | {"mail_from": FROM, "smtp_timeout": 5} | values

    def deliver(self, rooms: World | Services) -> list[Arrived]:
        """The job has run; gives what it brought."""
        before = len(self.arrived)
        Jobs(rooms.services if isinstance(rooms, World) else rooms).run_mails()
        return self.arrived[before:]


def _judge(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    fits = isinstance(given, LoginPassword)
    fits = fits and (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=fits, handled=False)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A running server that nothing has come to yet."""
    with Mailbox() as server:
        yield server


@pytest.fixture
def posting(make_world: Callable[..., World], mailbox: Mailbox) -> World:
    """A world whose mails go to ``mailbox``, with alice in it."""
    world = make_world(**mailbox.settings())
    add_user(world.services, "alice")
    return world
