"""Whose request a thread is serving, so that audit rows and log lines can name it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """One request: its id, the true client address, user agent and ``METHOD /path``.

    ``address`` is empty when the server cannot know it; ``resource`` holds no query string.
    """

    request_id: str
    address: str
    user_agent: str = ""
    resource: str = ""
    # set by commands and jobs: a person at a terminal, not a client
    actor: str = ""


NOBODY = Caller(request_id="", address="")

current: ContextVar[Caller] = ContextVar("caller", default=NOBODY)
