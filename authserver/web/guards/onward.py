"""Where a person goes on to once they have proved what was due."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from flask import Response, make_response, redirect

# An interaction's id: 256 bits in base64url.
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{43}")
HOME = "/account"
# pages of the account, by the name under which an address carries them
PAGES = {
    "security": "/account/security",
    "password": "/account/password",
    "sessions": "/account/sessions",
    "consents": "/account/consents",
    "activity": "/account/activity",
    "data": "/account/data",
    "email": "/account/email",
}


def as_request_id(text: str) -> str:
    """``text`` if it can be the id of an authorization request, else nothing: it goes into an address."""
    return text if REQUEST_ID.fullmatch(text) else ""


@dataclass(frozen=True, slots=True)
class Onward:
    """An authorization request, or the name of a page of the account; neither means the account itself."""

    request_id: str = ""
    then: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Self:
        """What a query or a form carries; anything else than ours leads home."""
        then = values.get("then", "")
        return cls(as_request_id(values.get("request", "")), then if then in PAGES else "")

    @property
    def path(self) -> str:
        """Where it leads."""
        if self.request_id:
            return f"/authorize/resume?request={self.request_id}"
        return PAGES.get(self.then, HOME)

    @property
    def fields(self) -> dict[str, str]:
        """What a form carries of it."""
        if self.request_id:
            return {"request": self.request_id}
        return {"then": self.then} if self.then else {}

    def by(self, path: str) -> str:
        """The address of a page of this server that leads on to it."""
        return path + "".join(f"?{name}={value}" for name, value in self.fields.items())


HOMEWARD = Onward()


def see_other(path: str) -> Response:
    """303 to a path of this server (RFC 9700 §4.12: never 307, which would send a password on)."""
    return make_response(redirect(path, 303))
