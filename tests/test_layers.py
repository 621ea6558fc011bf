"""Every import points down: the floors of the house, proved from its source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "authserver"

# Ground to top. Rooms on one line may use those to their left; login and oauth never each other.
FLOORS: list[list[str]] = [
    [
        "clock", "compact_json", "crypto", "context", "errors", "texts", "appearance", "login_settings",
        "messaging", "config", "logs", "process_lock", "visible_text", "strict_json", "acr",
    ],
    ["postgresql", "db", "models", "cache", "group_commit", "migrate", "leases", "purge"],
    [
        "metrics", "outgoing", "jws", "jwks", "audit", "keys", "mail", "ip_allowlist", "counters", "throttle",
        "tiers", "replay", "users", "partners", "clients",
    ],
    ["login", "oauth"],
    ["interaction", "personal_data"],
    ["factor_rooms", "password_rooms", "payment_rooms", "person_rooms", "services"],
    ["web"],
    [
        "bodies", "documents", "endpoints", "edge", "jobs", "app", "wsgi", "demo", "risk_simulation", "cli",
        "__main__",
    ],
]  # fmt: skip
ASIDE = {"resource_server"}
# Who the person is and what the client may have: side by side, neither to the left of the other.
APART = ({"login", "oauth"},)
# A library and the rooms that alone may import it while the server runs.
LIBRARIES = {
    "flask_sqlalchemy": {"db"},
    "flask_limiter": {"throttle"},
    "limits": {"throttle"},
    "flask": {"db", "throttle", "web", "app"},
    "flask_babel": {"web"},
    "babel": {"mail", "web"},
    "argon2": {"clients", "login"},
    "maxminddb": {"login"},
    "pyotp": {"login"},
    "segno": {"web"},
    "webauthn": {"login"},
    "joserfc": {"jws", "jwks", "keys", "resource_server"},
    "authlib": {"errors", "oauth"},
    "prometheus_client": {"metrics"},
    "httpx": {"cli", "resource_server"},
    "httpcore": {"outgoing"},
    "granian": {"cli"},
    "alembic": {"migrate"},
    "click": {"cli"},
    "psycopg": {"postgresql"},
    "redis": {"resource_server"},
}
# Where a whole room may not, one adapter of it may.
ADAPTERS = {("resource_server/flask.py", "flask")}


def position(room: str) -> tuple[int, int]:
    for height, floor in enumerate(FLOORS):
        if room in floor:
            return height, floor.index(room)
    raise AssertionError(f"{room} is on no floor: give it one in tests/test_layers.py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def runtime_imports(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    """Imports that run; those under ``if TYPE_CHECKING`` name types alone."""
    typing_only: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            typing_only.update(child for statement in node.body for child in ast.walk(statement))
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    return [node for node in nodes if node not in typing_only]


def targets(path: Path, tree: ast.Module) -> tuple[set[str], set[str]]:
    """The rooms and the libraries that a file imports."""
    rooms: set[str] = set()
    libraries: set[str] = set()
    package = ["authserver", *path.relative_to(PACKAGE).parts[:-1]]
    for node in runtime_imports(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif node.level == 0:
            modules = [node.module or ""]
            if node.module == "authserver":
                modules = [f"authserver.{alias.name}" for alias in node.names]
        else:
            base = package[: len(package) - node.level + 1]
            full = [*base, *(node.module.split(".") if node.module else [])]
            names = [f"{'.'.join(full)}.{a.name}" for a in node.names]
            modules = names if len(full) == 1 else [".".join(full)]
        for module in modules:
            parts = module.split(".")
            if parts[0] == "authserver":
                rooms.update(parts[1:2])
            else:
                libraries.add(parts[0])
    return rooms, libraries


def faults(path: Path, tree: ast.Module) -> list[str]:
    found = []
    room = room_of(path)
    rooms, libraries = targets(path, tree)
    for library in libraries & LIBRARIES.keys():
        adapter = (path.relative_to(PACKAGE).as_posix(), library) in ADAPTERS
        if room not in LIBRARIES[library] and not adapter:
            found.append(f"{path.name}: {room} imports {library}")
    if room in ASIDE:
        return found + [f"{path.name}: {room} imports {other}" for other in rooms - {room}]
    height, place = position(room)
    for other in rooms - {room}:
        if other in ASIDE:
            found.append(f"{path.name}: {room} imports {other}, which stands apart")
            continue
        other_height, other_place = position(other)
        to_the_left = height == other_height and (height in (0, 1, len(FLOORS) - 1) or other_place < place)
        if {room, other} in APART:
            found.append(f"{path.name}: {room} imports {other}, which stands beside it")
        if other_height > height or (other_height == height and not to_the_left):
            found.append(f"{path.name}: {room} (floor {height}) imports {other} (floor {other_height})")
    if room == "web" and path.parent == PACKAGE / "web":
        siblings = [n for n in runtime_imports(tree) if isinstance(n, ast.ImportFrom) and n.level == 1]
        names = [name for n in siblings for name in ([n.module] if n.module else [a.name for a in n.names])]
        found += [
            f"{path.name}: a web module imports {name}" for name in names if name not in ("guards", "csrf")
        ]
    return found


def sources() -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p.name != "__init__.py" or p.parent != PACKAGE]


def test_every_import_points_down() -> None:
    found = [fault for path in sources() for fault in faults(path, ast.parse(path.read_text()))]
    assert not found, "\n".join(found)


def test_the_package_itself_is_empty() -> None:
    assert (PACKAGE / "__init__.py").read_text() == ""


@pytest.mark.parametrize(
    ("file", "planted"),
    [
        ("clock.py", "from . import db"),
        ("audit/record.py", "from ..keys import KeyStore"),
        ("keys/store.py", "from ..clients import Clients"),
        ("oauth/tokens.py", "from ..web import oauth"),
        ("oauth/server.py", "import flask"),
        ("oauth/server.py", "from ..login import Sessions"),
        ("login/session.py", "from ..oauth import tokens"),
        (
            "clients/registry.py",
            "from authserver.throttle import Throttle\nfrom authserver.oauth import tokens",
        ),
        ("web/oauth.py", "from .health import healthz"),
        ("web/health.py", "from ..jobs import Jobs"),
        ("resource_server/__init__.py", "from ..crypto import b64u"),
        ("edge.py", "from .resource_server import validate"),
    ],
)
def test_a_wrong_import_is_found(file: str, planted: str) -> None:
    path = PACKAGE / file
    source = path.read_text().replace("from __future__ import annotations\n", "", 1)
    assert faults(path, ast.parse(planted + "\n" + source))
