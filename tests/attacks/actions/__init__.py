"""What cases do besides sending requests; a case calls them by name: ``{do: walk, with: {seconds: 5}}``.

Each takes the run first, and fails by an assertion.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from . import (
    adaptive,
    approvals,
    audit_log,
    client_keys,
    clients,
    injection,
    jwts,
    keys,
    limits,
    login,
    logouts,
    mails,
    partners,
    passwords,
    people,
    rar,
    scopes,
    second_factors,
    session_web,
    sessions,
    sockets,
    transport,
    webauthn,
)

MODULES: tuple[ModuleType, ...] = (
    approvals,
    adaptive,
    audit_log,
    client_keys,
    clients,
    injection,
    jwts,
    keys,
    limits,
    login,
    logouts,
    mails,
    partners,
    passwords,
    people,
    rar,
    scopes,
    second_factors,
    session_web,
    sessions,
    sockets,
    transport,
    webauthn,
)

ACTIONS: dict[str, Callable[..., None]] = {}
for module in MODULES:
    for name, value in vars(module).items():
        own = callable(value) and getattr(value, "__module__", "") == module.__name__
        if own and not name.startswith("_"):
            assert name not in ACTIONS, f"two actions are named {name}"
            ACTIONS[name] = value
