"""The settings of messages to people: the SMTP server for mails, the service that sends text messages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from .appearance import Appearance

# RFC 5322 §3.4.1 without quoted strings and literals: an address that every mail server reads the same way
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ADDRESS = re.compile(rf"{ATOM}(?:\.{ATOM})*@{LABEL}(?:\.{LABEL})*")
MAX_SECRET = 4096


class Messaging(Appearance):
    """How mails and text messages leave."""

    smtp_host: str = ""
    smtp_port: int = Field(587, ge=1, le=65535)
    # STARTTLS after the greeting, TLS from the first byte (RFC 8314 §3.3), or none, in dev alone
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password_file: Path | None = None
    # certificates that vouch for the SMTP server in place of the system's: a PEM file
    smtp_ca: Path | None = None
    smtp_timeout: int = Field(10, ge=1, le=60)
    mail_from: str = ""

    # a service that takes text messages over HTTP: docs/configuration.md says how it is asked
    sms_url: str = ""
    sms_token_file: Path | None = None

    @field_validator("mail_from")
    @classmethod
    def _mail_from(cls, value: str) -> str:
        if value and not ADDRESS.fullmatch(value):
            raise ValueError("an address such as no-reply@example.com")
        return value

    @field_validator("smtp_password_file", "sms_token_file")
    @classmethod
    def _secret_file(cls, value: Path | None) -> Path | None:
        if value is not None:
            read_secret(value)
        return value


def read_secret(path: Path) -> str:
    """The one line in a file; ValueError unless it is one of printable characters."""
    try:
        text = path.read_bytes()[: MAX_SECRET + 1].decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError("the file cannot be read") from error
    if not text or len(text) > MAX_SECRET or not text.isprintable():
        raise ValueError("the file holds one line")
    return text


def messaging_refusals(settings: Messaging, *, production: bool) -> list[str]:
    """Every reason why messages must not leave as ``settings`` say, one sentence each."""
    reasons = []
    if settings.smtp_host and not settings.mail_from:
        reasons.append("AUTHSERVER_SMTP_HOST needs AUTHSERVER_MAIL_FROM: the address that mails come from.")
    if bool(settings.smtp_user) != (settings.smtp_password_file is not None):
        reasons.append("AUTHSERVER_SMTP_USER and AUTHSERVER_SMTP_PASSWORD_FILE go together.")
    if not production:
        return reasons
    if settings.smtp_host and settings.smtp_security == "none":
        reasons.append("AUTHSERVER_SMTP_SECURITY must be starttls or tls in production.")
    if settings.sms_url and urlsplit(settings.sms_url).scheme != "https":
        reasons.append("AUTHSERVER_SMS_URL must be https in production.")
    return reasons
