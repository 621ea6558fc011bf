"""Claims about a person (OpenID Connect Core §5.1), and which scope gives which (§5.4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from authlib.oidc.core import UserInfo

from ..users import UserRecord

# each claim that is known of a person, and the scope whose sentence a person reads before it is told
SCOPES = {"name": "profile", "preferred_username": "profile", "email": "email", "email_verified": "email"}
# of userinfo, beyond what a token itself says
SUPPORTED = ("sub", *SCOPES)


def of(user: UserRecord, scope: str, asked: Iterable[str] = ()) -> dict[str, Any]:
    """The claims that ``scope`` (space separated, ``openid`` among them) tells, and those ``asked`` for."""
    known = {"sub": user.user_id} | _known(user)
    return dict(UserInfo(known).filter(scope)) | single(user, asked)


def single(user: UserRecord, names: Iterable[str]) -> dict[str, Any]:
    """The claims of these names, as far as they are known of the person (§5.5)."""
    known = _known(user)
    return {name: known[name] for name in names if name in known}


def within(names: Iterable[str], scopes: Iterable[str]) -> list[str]:
    """Those of ``names`` that belong to one of ``scopes``."""
    covered = frozenset(scopes)
    return [name for name in names if SCOPES.get(name) in covered]


def _known(user: UserRecord) -> dict[str, Any]:
    known: dict[str, Any] = {"name": user.name, "preferred_username": user.username}
    if user.email is not None:
        # operators enter addresses; a code that was mailed there proves one
        known |= {"email": user.email, "email_verified": user.email_verified_at is not None}
    return known
