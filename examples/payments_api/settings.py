"""Where this API finds its authorization server and its own credentials."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from authserver.resource_server import Authentication

DEFAULT_AUDIENCE = "http://127.0.0.1:8001/payments"
NAME = "payments"


STEP_UP = Authentication(("phr", "urn:authserver:acr:mfa"), 300)


class SettingsError(Exception):
    """The settings are incomplete; the text says what to do."""


@dataclass(frozen=True)
class Settings:
    """What the API must know; `audience` is the URI by which the issuer names it in tokens."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    audience: str = DEFAULT_AUDIENCE
    database: Path = Path("instance/payments.db")
    # what a person's payment of more than so many cents demands (RFC 9470)
    step_up_over: int = 100_000
    step_up: Authentication = STEP_UP

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Return settings from `PAYMENTS_*` variables, or from the file that `PAYMENTS_DEMO` names."""
        if "PAYMENTS_DEMO" in environ:
            demo = Path(environ["PAYMENTS_DEMO"])
            return cls.from_demo(demo, Path(environ.get("PAYMENTS_DATABASE", demo.parent / "payments.db")))
        names = ("PAYMENTS_ISSUER", "PAYMENTS_CLIENT_ID", "PAYMENTS_CLIENT_SECRET")
        missing = [name for name in names if not environ.get(name)]
        if missing:
            raise SettingsError(f"set {', '.join(missing)}, or name a demo.json with --demo")
        issuer, client_id, client_secret = (environ[name] for name in names)
        audience = environ.get("PAYMENTS_AUDIENCE", DEFAULT_AUDIENCE)
        database = Path(environ.get("PAYMENTS_DATABASE", "instance/payments.db"))
        return cls(issuer, client_id, client_secret, audience, database)

    @classmethod
    def from_demo(cls, path: Path, database: Path) -> "Settings":
        """Return the settings of the resource server named "payments" in a demo.json."""
        try:
            demo = json.loads(path.read_text())
            mine = next(server for server in demo["resource_servers"] if server.get("name") == NAME)
            return cls(demo["issuer"], mine["client_id"], mine["client_secret"], mine["audience"], database)
        except FileNotFoundError:
            raise SettingsError(f"{path} does not exist: start the server with its demo first") from None
        except (OSError, ValueError, KeyError, TypeError, StopIteration):
            raise SettingsError(f"{path} has no resource server named {NAME}") from None


SHOP = "demo-shop"


@dataclass(frozen=True)
class ShopSettings:
    """What the shop must know: its issuer, itself as a client there, and the API that it pays at.

    `receipt_base` is for shops whose receipts live on another host: where to send a browser that has
    paid, without the order's id at its end.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    payments_url: str = DEFAULT_AUDIENCE
    database: Path = Path("instance/orders.db")
    receipt_base: str = ""

    def __post_init__(self) -> None:
        if self.receipt_base and not _is_base(self.receipt_base):
            raise SettingsError("SHOP_RECEIPT_BASE is an http(s) URL without query, fragment or final slash")

    @property
    def home(self) -> str:
        """Where the shop is: at the root of its callback's origin."""
        parts = urlsplit(self.redirect_uri)
        return f"{parts.scheme}://{parts.netloc}/"

    @property
    def receipt_origin(self) -> tuple[str, ...]:
        """The origin of `receipt_base`, if there is one."""
        parts = urlsplit(self.receipt_base)
        return (f"{parts.scheme}://{parts.netloc}",) if self.receipt_base else ()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "ShopSettings | None":
        """Return the settings of the client "demo-shop" in the file that `PAYMENTS_DEMO` names.

        None if there is no such file or client: the API serves without a shop then.
        """
        if "PAYMENTS_DEMO" not in environ:
            return None
        path = Path(environ["PAYMENTS_DEMO"])
        try:
            demo = json.loads(path.read_text())
            mine = next((c for c in demo.get("clients", ()) if c["client_id"] == SHOP), None)
            if mine is None:
                return None
            api = next(server for server in demo["resource_servers"] if server.get("name") == NAME)
            return cls(
                issuer=demo["issuer"],
                client_id=mine["client_id"],
                client_secret=mine["client_secret"],
                redirect_uri=mine["redirect_uris"][0],
                payments_url=api["audience"],
                database=Path(environ.get("SHOP_DATABASE", path.parent / "orders.db")),
                receipt_base=environ.get("SHOP_RECEIPT_BASE", ""),
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError, StopIteration):
            raise SettingsError(f"{path} does not tell a shop what it must know") from None


def _is_base(url: str) -> bool:
    parts = urlsplit(url)
    plain = not (parts.query or parts.fragment or parts.username or url.endswith("/"))
    return plain and parts.scheme in ("https", "http") and bool(parts.hostname) and " " not in url
