"""What cases do besides sending requests; a case calls them by name: ``{do: walk, with: {seconds: 5}}``.

Each takes the run first, and fails by an assertion.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from . import audit_log, clients, keys, limits, partners, sockets

MODULES: tuple[ModuleType, ...] = (audit_log, clients, keys, limits, partners, sockets)

ACTIONS: dict[str, Callable[..., None]] = {
    name: value
    for module in MODULES
    for name, value in vars(module).items()
    if callable(value) and not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
}
