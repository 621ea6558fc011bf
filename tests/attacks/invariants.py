"""What must hold after every case: state as it was, honest errors, audit rows, no secret told."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select

from authserver import logs
from authserver.audit.chain import CHECKPOINT_TYP
from authserver.audit.chain import rows as audit_rows
from authserver.audit.verify import verify
from authserver.db import table_of
from authserver.ip_allowlist import parse_address
from authserver.models.authorization import Authorization, AuthorizationCode, Interaction
from authserver.models.client import Client, ClientSecret, ResourceServer
from authserver.models.factor import RecoveryCode, TotpSecret
from authserver.models.grant import Grant
from authserver.models.logout import LogoutDelivery
from authserver.models.network import ClientNetwork
from authserver.models.partner import ClientRegistration, InitialAccessToken
from authserver.models.payment_evidence import PaymentEvidence
from authserver.models.person import EmailChange, ErasureRequest, PersonKey
from authserver.models.replay import Replay
from authserver.models.scope import RateTier, Scope
from authserver.models.session import Session
from authserver.models.sign_in import TrustedDevice
from authserver.models.signing_key import SigningKey
from authserver.models.token import RefreshToken, Revocation
from authserver.models.trusted_payee import TrustedPayee
from authserver.models.user import PastPassword, User, UserLink
from authserver.models.webauthn import WebauthnCredential
from authserver.services import Services

from .browsers import answer, forms, parsed
from .wire import Reply

STATE = [
    table_of(model)
    for model in (
        Client, ClientSecret, ClientNetwork, ResourceServer, Scope, RateTier, Revocation, Replay, SigningKey,
        User, UserLink, Session, Grant, Interaction, Authorization, AuthorizationCode, RefreshToken,
        LogoutDelivery, EmailChange, ErasureRequest, TotpSecret, RecoveryCode, WebauthnCredential,
        TrustedDevice, PastPassword, PersonKey, PaymentEvidence, TrustedPayee,
        InitialAccessToken, ClientRegistration,
    )
]  # fmt: skip
# what an honest look or a refused guess may change: when a session was seen, how often somebody failed
# and, by a job, which lock they were told of; after a login, in which language they read, and how long their
# device is known
VOLATILE = {
    "last_seen_at", "last_used_at", "failures", "locked_until", "locked_told", "language",
    "user_account.version", "trusted_device.expires_at",
}  # fmt: skip
# by the driver, and on PostgreSQL in one round trip, since they run before and after every request
_COLUMNS = {
    table.name: ", ".join(
        f'"{column.name}"'
        for column in table.c
        if not {column.name, f"{table.name}.{column.name}"} & VOLATILE
    )
    for table in STATE
}
QUERIES = {
    "sqlite": [f"SELECT '{name}', {columns} FROM \"{name}\"" for name, columns in _COLUMNS.items()],
    "postgresql": [
        " UNION ALL ".join(
            f"SELECT '{name}', ROW({columns})::text FROM \"{name}\"" for name, columns in _COLUMNS.items()
        )
    ],
}
# events of a request that was served; every other one is a refusal
SERVED = {
    "token.issued", "introspection.ok", "token.revoked", "revocation.noop", "authz.interaction",
    "code.issued", "consent.granted", "consent.withdrawn", "login.required", "login.succeeded", "logout.done",
    "password.changed", "session.created", "session.limit", "session.revoked", "session.rotated",
    "token.family.revoked", "mfa.succeeded", "payment.approved", "user.link.made",
    "payee.trusted", "payee.revoked",
    "client.keys.refreshed", "client.registered", "device.trusted", "device.revoked",
    "registration.created", "registration.read", "registration.updated", "registration.deleted",
}  # fmt: skip
# RFC 6749 §5.2
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
# what a request says in the words of the protocol, and a fixed text may say too
PROTOCOL_WORDS = {
    "application/x-www-form-urlencoded",
    "application/json",
    "text/html",
    "client",
    "token",
    "scope",
    "resource",
    "refresh_token",
    "code_verifier",
    "redirect_uri",
    "approve",
    "bearer",
}
SHORT = 6
# endpoints that programs speak to: their errors are JSON, whatever a caller would like to read
PROTOCOL = (
    "/token",
    "/introspect",
    "/revoke",
    "/userinfo",
    "/register",
    "/jwks",
    "/revocations",
    "/.well-known/",
)
POLICY = ("default-src 'self'", "base-uri 'none'", "frame-ancestors 'none'", "object-src 'none'")


@dataclass(frozen=True)
class Snapshot:
    """The rows of every table of state, and how many tokens were ever issued."""

    tables: dict[str, Counter[str]]
    issued: int

    @classmethod
    def of(cls, services: Services) -> Snapshot:
        tables: dict[str, Counter[str]] = {name: Counter() for name in _COLUMNS}
        with services.database.reading() as connection:
            cursor = connection.connection.cursor()
            for query in QUERIES[connection.dialect.name]:
                cursor.execute(query)
                for name, *row in cursor.fetchall():
                    tables[name][repr(row)] += 1
            issued = select(func.count()).where(audit_rows.c.event == "token.issued")
            return cls(tables, connection.execute(issued).scalar_one())


def check_state(before: Snapshot, after: Snapshot, rows: dict[str, int], issued: int) -> None:
    """I2: tables not named in ``rows`` are as they were; those named have so many rows more."""
    for name, content in after.tables.items():
        if name in rows:
            assert content.total() - before.tables[name].total() == rows[name], f"rows of {name}"
        else:
            was = before.tables[name]
            assert content == was, f"{name} changed: {content - was} for {was - content}"
    assert after.issued - before.issued == issued, "tokens issued"


class Descriptions:
    """I3: one text for one reason, in every answer of the whole run."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str, int], str] = {}

    def check(self, reason: tuple[str, str, int], text: str) -> None:
        assert self._texts.setdefault(reason, text) == text, f"two texts for {reason}"


def check_error(reply: Reply) -> None:
    """I3: a JSON error in the form of RFC 6749 §5.2 that nobody stores."""
    assert reply.headers.get("content-type") == "application/json", reply.headers
    assert reply.headers.get("cache-control") == "no-store", reply.headers
    if reply.request.method == "HEAD":
        return
    body = reply.json
    assert set(body) <= {"error", "error_description"}, body
    assert isinstance(body["error"], str), body
    assert DESCRIPTION.fullmatch(body["error_description"]), body


def check_page(reply: Reply) -> None:
    """I4: a page of this server's own, with the headers that keep it so, and nothing of others in it."""
    assert not reply.request.target.startswith(PROTOCOL), "a page where programs ask"
    headers = reply.headers
    assert headers["content-type"] == "text/html; charset=utf-8", headers
    assert not reply.location, headers
    assert "access-control-allow-origin" not in headers, headers
    for part in POLICY:
        assert part in headers["content-security-policy"], headers
    assert "unsafe" not in headers["content-security-policy"], headers
    assert headers["x-content-type-options"] == "nosniff", headers
    assert headers["cache-control"] == "no-store", headers
    assert headers["referrer-policy"] in ("same-origin", "no-referrer"), headers
    assert headers["cross-origin-opener-policy"] == "same-origin", headers
    assert "Cookie" in headers["vary"], headers
    assert not re.search(r"<(?:script|style)\b(?![^>]*\bsrc=)[^>]*>|<[^>]*\s(?:on\w+|style)=", reply.text)
    for place in re.findall(r'\bsrc="([^"]*)"', reply.text):
        assert _own(place), f"{place} is loaded from elsewhere"


def check_escaped(reply: Reply, sent: list[str]) -> None:
    """I4: nothing that could be read as markup came back as it was sent."""
    for value in sent:
        if len(value) > 2 and set(value) & set("<>\"'"):
            assert value not in reply.text, f"{value[:80]!r} is in the page"


def check_way_out(reply: Reply, registered: list[str]) -> None:
    """Who was signed out stays here, or goes to a registered address with the client's state alone."""
    assert not reply.html or all(map(_own, forms(reply)))
    if reply.location and not _own(reply.location):
        assert reply.status == 303, reply.status
        uri = re.sub(r"[?&]state=[A-Za-z0-9%._~+*-]*$", "", reply.location)
        assert uri in registered, f"{reply.location} is nobody's"


def check_ways(reply: Reply, registered: list[str], issuer: str) -> None:
    """A redirect or a form stays here, or is an authorization response to a registered redirect URI."""
    if reply.location:
        assert reply.status == 303, reply.status  # RFC 9700 §4.12
    for target in [reply.location, *(forms(reply) if reply.html else ())]:
        assert not target or _own(target) or _is_registered(target, registered), f"{target} is nobody's"
    if (response := answer(reply)) is not None:
        params = response[1]
        assert params.get("iss") == issuer, params  # RFC 9207 §2
        assert ("code" in params) != ("error" in params), params
        assert not {"access_token", "id_token", "token_type"} & set(params), params
        if "error" in params:
            assert DESCRIPTION.fullmatch(params["error_description"]), params


def _own(target: str) -> bool:
    return target.startswith("/") and not target.startswith(("//", "/\\"))


def _is_registered(target: str, registered: list[str]) -> bool:
    """Scheme, host, port, path and query of a registered URI; of a native loopback URI any port."""
    parts = urlsplit(target)
    for known in map(urlsplit, registered):
        same = (parts.scheme, parts.path, parts.fragment) == (known.scheme, known.path, "")
        place = parts.netloc == known.netloc or (
            parts.scheme == "http"
            and known.hostname in ("127.0.0.1", "::1")
            and (parts.hostname, parts.username) == (known.hostname, None)
        )
        if same and place and parts.query.startswith(known.query):
            return True
    return False


def check_cookies(reply: Reply) -> None:
    """A cookie is for this host alone and no script's; those that count are long enough to be no guess."""
    for line in reply.set_cookies:
        name, value, attributes = parsed(line)
        assert "domain" not in attributes, line
        assert attributes["path"] == "/", line
        assert "httponly" in attributes, line
        assert attributes["samesite"] in ("Lax", "Strict"), line
        assert "secure" in attributes or not name.startswith("__"), line
        assert len(line) < 4096, line
        assert not value or len(value) >= 22, line


def check_echo(reply: Reply, sent: list[str]) -> None:
    """I3, I6: nothing that the caller chose comes back in an error."""
    told = reply.text + json.dumps(reply.headers)
    for value in map(str.strip, sent):
        if len(value) >= SHORT and value.lower() not in PROTOCOL_WORDS:
            assert value not in told, f"{value[:80]!r} came back"


def check_audit_row(row: dict[str, Any], client_ip: str) -> None:
    """I5: whoever reads the row knows how it ended, who it was and from where."""
    served = row["event"] in SERVED
    if row["event"] == "risk.assessed":
        served = row["detail"].get("verdict", "deny") != "deny"
    assert row["outcome"] == ("succeeded" if served else "denied"), row
    assert row["request_id"], row
    assert row["actor"], row
    assert row["worker"], row
    assert row["at_ms"] > 10**12, row
    assert row["resource"], row
    assert row["client_ip"] == client_ip, row


def canonical(address: str) -> str:
    """How an address is written in the audit log."""
    parsed = parse_address(address)
    return "" if parsed is None else str(parsed)


def check_chain(services: Services) -> None:
    """I5: every row has its place, and the chain holds."""
    services.sealer.seal()
    verdict = verify(
        services.database, services.master, lambda text: services.keys.verify_checkpoint(text, CHECKPOINT_TYP)
    )
    assert verdict.whole, verdict
    assert verdict.rows > 0


class Logbook(logging.Handler):
    """Every line that the process logged, at the level and in the form of a server told to log all it may."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logs.JSONLines())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    @contextmanager
    def open(self) -> Iterator[Logbook]:
        root = logging.getLogger()
        levels = {name: logging.getLogger(name).level for name in logs.FLOORS}
        level = root.level
        root.addHandler(self)
        root.setLevel(logging.DEBUG)
        for name, floor in logs.FLOORS.items():
            logging.getLogger(name).setLevel(floor)
        try:
            yield self
        finally:
            root.removeHandler(self)
            root.setLevel(level)
            for name, old in levels.items():
                logging.getLogger(name).setLevel(old)


def check_secrets(secrets: set[str], places: dict[str, str]) -> None:
    """I6: none of ``secrets`` is in any of the texts ``places``."""
    for place, text in places.items():
        for secret in secrets:
            assert secret not in text, f"{secret[:12]}… is in the {place}"
