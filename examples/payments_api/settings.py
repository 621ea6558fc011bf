"""Where this API finds its authorization server and its own credentials."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_AUDIENCE = "http://127.0.0.1:8001/payments"
NAME = "payments"


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
