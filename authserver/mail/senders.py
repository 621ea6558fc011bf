"""The ways out: an SMTP server, and in the dev profile without one a folder of files."""

from __future__ import annotations

import contextlib
import logging
import os
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import urlsplit

from ..config import Settings
from ..messaging import read_secret
from .letter import Letter, as_email

log = logging.getLogger(__name__)

# of one mail in all, in timeouts of a single step
STEPS = 3
FILES_KEPT = 100


class NotSent(Exception):
    """The message did not leave. ``reason`` is one of the audit log's words; ``lasting``: no try will help.

    ``away`` says that the service itself cannot be used now: other messages would fare no better.
    """

    def __init__(self, reason: str, *, lasting: bool = False, away: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting
        self.away = away


class Sender(Protocol):
    """A way out for messages of one channel."""

    def send(self, letter: Letter) -> None:
        """The message was taken; NotSent otherwise."""


class Smtp:
    """An SMTP server (RFC 5321), over TLS. Once it is connected a mail takes ``STEPS`` timeouts at most."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._from = (settings.operator_name, settings.mail_from)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._settings.smtp_ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def send(self, letter: Letter) -> None:
        """The server has taken the mail; NotSent otherwise. What it said is not repeated anywhere."""
        mail = as_email(letter, self._from)
        try:
            with self._connected() as client:
                client.sendmail(self._from[1], [letter.to], mail.as_bytes())
        except smtplib.SMTPRecipientsRefused as error:
            raise _refused("recipient", *error.recipients[letter.to]) from None
        except smtplib.SMTPDataError as error:
            raise _refused("refused", error.smtp_code) from None
        except smtplib.SMTPAuthenticationError:
            raise NotSent("authentication", away=True) from None
        except smtplib.SMTPNotSupportedError:
            raise NotSent("unsupported", away=True) from None
        except ssl.SSLError:
            raise NotSent("tls", away=True) from None
        except (smtplib.SMTPException, OSError):
            raise NotSent("unreachable", away=True) from None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """A session that may send, and that ends in time however slowly the server speaks."""
        settings = self._settings
        implicit = self._tls if settings.smtp_security == "tls" else None
        # the host of the issuer, as asking the resolver for a name of ours may take long
        name = urlsplit(settings.issuer).hostname or "localhost"
        client = _Client(implicit, name, settings.smtp_timeout)
        end = threading.Timer(STEPS * settings.smtp_timeout, client.cut)
        end.daemon = True
        end.start()
        try:
            client.connect_to(settings.smtp_host, settings.smtp_port)
            if settings.smtp_security == "starttls":
                client.starttls(context=self._tls)
            if settings.smtp_user and settings.smtp_password_file is not None:
                client.login(settings.smtp_user, read_secret(settings.smtp_password_file))
            yield client
            # the mail was taken: how the farewell goes changes nothing
            with contextlib.suppress(smtplib.SMTPException, OSError):
                client.quit()
        finally:
            end.cancel()
            client.close()


class _Client(smtplib.SMTP):
    def __init__(self, implicit: ssl.SSLContext | None, name: str, timeout: float) -> None:
        super().__init__(local_hostname=name, timeout=timeout)
        self._implicit = implicit

    def connect_to(self, host: str, port: int) -> None:
        """The server has greeted; ``starttls`` checks its certificate for ``host``."""
        self._host = host
        code, _ = self.connect(host, port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, b"")

    def cut(self) -> None:
        """Whoever waits for the server waits no longer."""
        held = self.sock
        if held is not None:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        plain = socket.create_connection((host, port), timeout)
        return plain if self._implicit is None else self._implicit.wrap_socket(plain, server_hostname=host)


class Files:
    """A folder in the instance folder that mails are written to, for the dev profile: nobody is reached."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.instance_dir / "mail"
        self._from = (settings.operator_name, settings.mail_from or "no-reply@localhost")

    def send(self, letter: Letter) -> None:
        """The mail is a file that its owner alone reads; the newest ``FILES_KEPT`` stay."""
        try:
            self._write(letter)
        except OSError:
            raise NotSent("unwritable", away=True) from None
        log.info("no SMTP server is set: a mail was written to %s", self.folder)

    def _write(self, letter: Letter) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = datetime.fromtimestamp(letter.written_at, UTC)
        path = self.folder / f"{written:%Y%m%d-%H%M%S}-{letter.id}.eml"
        mail = as_email(letter, self._from, plain=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(mail.as_bytes())
        for old in sorted(self.folder.glob("*.eml"))[:-FILES_KEPT]:
            old.unlink(missing_ok=True)


def _refused(reason: str, code: int, _said: bytes = b"") -> NotSent:
    """4yz is for now, 5yz for good (RFC 5321 §4.2.1); 421: the service is closing."""
    return NotSent(reason, lasting=code >= 500, away=code == 421)
