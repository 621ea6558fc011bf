"""Claims about a person (OpenID Connect Core §5.1), and which scope gives which (§5.4)."""

from __future__ import annotations

from typing import Any

from authlib.oidc.core import UserInfo

from ..users import UserRecord

# of userinfo, beyond what a token itself says
SUPPORTED = ("sub", "name", "preferred_username", "email", "email_verified")


def of(user: UserRecord, scope: str) -> dict[str, Any]:
    """The claims that ``scope`` (space separated, ``openid`` among them) tells of the person."""
    known: dict[str, Any] = {
        "sub": user.user_id,
        "name": user.name,
        "preferred_username": user.username,
    }
    if user.email is not None:
        # operators enter addresses; nothing here has proved them yet
        known |= {"email": user.email, "email_verified": False}
    return dict(UserInfo(known).filter(scope))
