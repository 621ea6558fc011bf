"""What is known of a session, and of the login that starts one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..acr import reaches


@dataclass(frozen=True)
class SessionView:
    """A session, which counts once its ``acr`` is at ``demand`` and its device need not ``confirm`` itself.

    ``digest`` is that of its cookie; ``auth_time`` is when the person last proved who they are
    by a password or a passkey. One that is not ``active`` reads nobody's pages any more, but what was opened
    from it goes on.
    """

    sid: str
    user_id: str
    acr: str
    amr: tuple[str, ...]
    auth_time: int
    created_at: int
    last_seen_at: int
    client_ip: str
    user_agent: str
    digest: bytes
    demand: str = ""
    confirm: bool = False
    change_password: bool = False
    active: bool = True

    @property
    def complete(self) -> bool:
        """Whether the person has done all that this login needs: until then it opens nothing."""
        return self.proved and not self.change_password

    @property
    def proved(self) -> bool:
        """Whether they have proved who they are, though the password must be changed."""
        return not self.confirm and reaches(self.acr, self.demand)


@dataclass(frozen=True)
class Login:
    """How a person has just proved who they are, and from where."""

    user_id: str
    acr: str
    amr: tuple[str, ...]
    client_ip: str
    user_agent: str
    demand: str = ""
    confirm: bool = False
    change_password: bool = False
    # when they proved it, if that is not now
    auth_time: int = 0


@dataclass(frozen=True)
class Proof:
    """What was proved in a session. ``whole`` if it tells by itself who they are, as a passkey does.

    It ``confirms`` the device if one that is new here needed that.
    """

    acr: str
    amr: tuple[str, ...]
    whole: bool = False
    confirms: bool = False


def view_of(row: Any, active: bool = True) -> SessionView:
    """The session in a row."""
    names: tuple[str, ...] = ("sid", "user_id", "acr", "auth_time", "created_at", "last_seen_at")
    names += ("client_ip", "user_agent", "demand", "confirm", "change_password")
    own = {name: row[name] for name in names}
    return SessionView(amr=tuple(row["amr"]), digest=row["digest"], active=active, **own)
