"""Settings: read once from the environment, frozen, judged as a whole before anything starts."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import SettingsConfigDict

from . import crypto
from .login_settings import LoginSettings, attestation_refusals
from .messaging import Messaging, messaging_refusals

PREFIX = "AUTHSERVER_"
SIGNING_ALGS = ("ES256", "EdDSA", "PS256")
# RS256 for ID tokens alone (OpenID Connect Discovery §3): no access token is ever signed or read with it
ID_TOKEN_ALGS = (*SIGNING_ALGS, "RS256")
# What must not stay in a process's environment, where a debugger or a crash report would show it.
SECRET_FIELDS = ("master_keys", "database_url", "redis_url", "accounts_token")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsRefused(Exception):
    """The settings cannot be run with; ``reasons`` lists every fault, one sentence each."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons


class Settings(LoginSettings, Messaging):
    """Every setting, named ``AUTHSERVER_`` and the field in capitals; times in seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    profile: Literal["dev", "production"] = "dev"
    issuer: str = "http://localhost:8000"
    instance_dir: Path = Path("instance")
    database_url: SecretStr = SecretStr("")
    redis_url: SecretStr = SecretStr("")
    # id:base64url of 32 bytes, comma separated, the first one seals; dev keeps its own in instance_dir
    master_keys: SecretStr = SecretStr("")
    workers: int = Field(0, ge=0, description="processes; 0 when the server does not say")
    threads: int = Field(0, ge=0, description="of each process; 0 when the server does not say")
    debug: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    # who may speak for a client's address, and in which one header (empty: nobody, the socket decides)
    trusted_peers: tuple[str, ...] = ()
    client_address_header: str = ""
    metrics_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")

    access_token_alg: Literal["ES256", "EdDSA", "PS256"] = "ES256"  # noqa: S105 - an algorithm
    access_token_lifetime: int = Field(300, ge=30, le=3600)
    # how long an authorization with offline_access may be refreshed, counted from consent
    refresh_token_lifetime: int = Field(2_592_000, ge=3600, le=31_536_000)
    # for so long a client that lost an answer gets it once more; 0: never
    refresh_grace_seconds: int = Field(0, ge=0, le=60)
    key_rotation_days: int = Field(90, ge=1, le=730)
    jwks_max_age: int = Field(300, ge=1, le=86400)
    revocations_lifetime: int = Field(300, ge=10, le=3600)
    cache_confirm_ms: int = Field(500, ge=10, le=1000)

    secret_hash_concurrency: int = Field(2, ge=1)
    secret_hash_queue: int = Field(32, ge=0)
    # a shop to pay at, linked on the home page; the demo sets it
    demo_url: str = ""
    # told in metadata (RFC 8414 §2), for those who make clients
    service_documentation: str = ""
    op_policy_uri: str = ""
    op_tos_uri: str = ""

    # count/seconds; see docs/limits.md for what each one counts
    limit_address: str = "60000/60"
    limit_address_failures: str = "120/60"
    limit_client_failures: str = "30/60"
    limit_authorize_address: str = "300/60"
    limit_login_address: str = "20/300"
    # of one address, and by one initial access token
    limit_register: str = "60/60"
    limit_login_server: str = "3000/60"
    # failed logins of all addresses that raise the alarm
    login_alarm: str = "100/300"

    url_limit: int = 8192
    header_limit: int = 16384
    body_limit: int = 65536

    # where clients' addresses (jwks_uri, back-channel logout) may lead besides public ones: networks
    outgoing_allow: tuple[str, ...] | None = None
    # certificates that vouch for those addresses in place of the system's: a PEM file
    outgoing_ca: Path | None = None

    # where people's accounts are asked for, and the bearer token that goes there (docs/payments.md)
    accounts_url: str = ""
    accounts_token: SecretStr = SecretStr("")

    audit_anchor: Path | None = None
    audit_checkpoint_rows: int = Field(1000, ge=1)
    audit_checkpoint_seconds: int = Field(60, ge=1)

    @field_validator("issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        """RFC 8414 §2: no query, no fragment; one issuer at the root of its host."""
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
            raise ValueError("issuer is a URL such as https://auth.example.com")
        if parts.path or parts.query or parts.fragment or value != value.strip():
            raise ValueError("issuer has no path, query, fragment or trailing slash")
        return value

    @field_validator(
        "demo_url", "accounts_url", "service_documentation", "op_policy_uri", "op_tos_uri", "sms_url"
    )
    @classmethod
    def _url(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in ("https", "http") or not urlsplit(value).hostname):
            raise ValueError("this is an http(s) URL")
        return value

    @field_validator("trusted_peers", "metrics_networks", "outgoing_allow")
    @classmethod
    def _networks(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for item in value or ():
            if item != "unix":
                ipaddress.ip_network(item)
        return value

    @field_validator(
        "limit_address",
        "limit_address_failures",
        "limit_client_failures",
        "limit_authorize_address",
        "limit_login_address",
        "limit_login_server",
        "limit_register",
        "login_alarm",
    )
    @classmethod
    def _limit(cls, value: str) -> str:
        if not re.fullmatch(r"[1-9][0-9]{0,8}/[1-9][0-9]{0,5}", value):
            raise ValueError("a limit is count/seconds, such as 120/60")
        return value

    @property
    def database(self) -> str:
        """The database's URL; SQLite in ``instance_dir`` unless set."""
        url = self.database_url.get_secret_value()
        return url or f"sqlite:///{(self.instance_dir / 'authserver.db').resolve()}"

    @property
    def sqlite(self) -> bool:
        """Whether the database is SQLite, which one machine alone can share."""
        return self.database.startswith("sqlite")

    @property
    def loopback(self) -> bool:
        """Whether the issuer is plain http on this machine, which the dev profile alone allows."""
        parts = urlsplit(self.issuer)
        return parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")

    @property
    def login_hash_places(self) -> int:
        """How many passwords are hashed or wait for it in a process: never half of its threads or more."""
        return self._places(self.login_hash_concurrency + self.login_hash_queue, self.threads // 2 - 1)

    @property
    def secret_hash_places(self) -> int:
        """The same for client secrets; together with passwords they leave a quarter of the threads."""
        return self._places(self.secret_hash_concurrency + self.secret_hash_queue, self.threads // 4)

    def _places(self, wanted: int, most: int) -> int:
        return min(wanted, max(1, most)) if self.threads else wanted

    @property
    def outgoing_networks(self) -> tuple[Network, ...]:
        """Inner networks that addresses named by clients may lead to: this machine in dev, none otherwise."""
        usual = ("127.0.0.0/8", "::1/128") if self.profile == "dev" else ()
        given = usual if self.outgoing_allow is None else self.outgoing_allow
        return tuple(ipaddress.ip_network(item) for item in given)

    @property
    def payments_open(self) -> bool:
        """Whether payment_initiation may be asked for: where it is known from which accounts people pay."""
        return self.profile == "dev" or bool(self.accounts_url)

    @property
    def master(self) -> crypto.MasterKeys:
        """The master keys; ValueError when they are missing or malformed."""
        text = self.master_keys.get_secret_value()
        if not text and self.profile == "dev":
            path = self.instance_dir / "master.key"
            text = path.read_text("ascii") if path.exists() else ""
        if not text:
            raise ValueError("no master key: set AUTHSERVER_MASTER_KEYS")
        return crypto.MasterKeys.parse(text)

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None, **values: Any) -> Self:
        """Settings from ``environment`` (the process's own when None) and ``values``, which win.

        SettingsRefused lists every fault at once, unknown names among them.
        """
        source = os.environ if environment is None else environment
        given = {k[len(PREFIX) :].lower(): v for k, v in source.items() if k.startswith(PREFIX)}
        given = {k: _split(k, v) for k, v in given.items()} | values
        try:
            settings = cls.model_validate(given)
        except ValidationError as error:
            faults = error.errors(include_input=False, include_url=False)
            reasons = [_fault(fault["type"], str(fault["loc"][0]), fault["msg"]) for fault in faults]
            wrong = {str(fault["loc"][0]) for fault in faults}
            # what else is wrong is told too, with the faulty ones at their defaults
            rest = cls.model_validate({k: v for k, v in given.items() if k not in wrong})
            raise SettingsRefused(reasons + refusals(rest)) from None
        if reasons := refusals(settings):
            raise SettingsRefused(reasons)
        return settings

    @classmethod
    def settings_customise_sources(cls, _cls: Any, init_settings: Any, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        """``load`` is the only reader: a second app never sees this process's environment."""
        return (init_settings,)


def _fault(kind: str, name: str, message: str) -> str:
    if kind == "extra_forbidden":
        return f"AUTHSERVER_{name.upper()} is no setting; docs/configuration.md has them all."
    return f"AUTHSERVER_{name.upper()}: {message.removeprefix('Value error, ')}."


def _split(name: str, value: str) -> Any:
    field = Settings.model_fields.get(name)
    if field is not None and "tuple[" in str(field.annotation):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


def refusals(settings: Settings) -> list[str]:
    """Every reason why ``settings`` must not serve, one sentence each (design: production refuses)."""
    reasons = []
    if settings.client_address_header and not settings.trusted_peers:
        reasons.append("AUTHSERVER_CLIENT_ADDRESS_HEADER needs AUTHSERVER_TRUSTED_PEERS: who may send it.")
    reasons += attestation_refusals(settings)
    reasons += messaging_refusals(settings, production=settings.profile == "production")
    if settings.profile == "dev":
        if not settings.loopback:
            reasons.append(
                "The dev profile serves http on localhost alone; set AUTHSERVER_PROFILE=production."
            )
        return reasons
    if urlsplit(settings.issuer).scheme != "https":
        reasons.append("AUTHSERVER_ISSUER must be https in production.")
    try:
        master = settings.master
    except ValueError as error:
        reasons.append(f"AUTHSERVER_MASTER_KEYS: {error}.")
    else:
        if any(len(set(key)) < 16 for key in master.keys.values()):
            reasons.append(
                "AUTHSERVER_MASTER_KEYS: a key is not random; make one with `authserver keys master`."
            )
    if any(p != "unix" and ipaddress.ip_network(p).prefixlen == 0 for p in settings.trusted_peers):
        reasons.append("AUTHSERVER_TRUSTED_PEERS must not be everybody: name the proxies.")
    off = {"DEBUG": settings.debug, "DEMO_URL": bool(settings.demo_url)}
    reasons += [f"AUTHSERVER_{name} must be off in production." for name, on in off.items() if on]
    if settings.sqlite and settings.workers > 1:
        reasons.append("SQLite serves one process; set AUTHSERVER_DATABASE_URL to PostgreSQL.")
    if not settings.redis_url.get_secret_value() and settings.workers > 1:
        reasons.append("Limits in memory count per process; set AUTHSERVER_REDIS_URL for several workers.")
    if settings.accounts_url and urlsplit(settings.accounts_url).scheme != "https":
        reasons.append("AUTHSERVER_ACCOUNTS_URL must be https in production.")
    if settings.argon2_memory_kib < 19456 and settings.argon2_time_cost < 3:
        reasons.append("AUTHSERVER_ARGON2_MEMORY_KIB is below 19456 with fewer than 3 passes.")
    return reasons


def drop_secrets_from_environment() -> None:
    """The process's environment no longer holds what only ``Settings`` should."""
    for name in SECRET_FIELDS:
        os.environ.pop(PREFIX + name.upper(), None)


def asset_dir(name: Literal["templates", "static", "migrations", "translations"]) -> Path:
    """Where a top-level folder lies: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_assets" / name
    return installed if installed.is_dir() else package.parent / name
