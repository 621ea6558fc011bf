"""Why a ceremony fails. The person is told none of it: the reason is for the audit log."""

from __future__ import annotations


class Refused(Exception):
    """What the browser sent proves nothing; ``reason`` says why, ``user_id`` about whom if that is known."""

    def __init__(self, reason: str, user_id: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.user_id = user_id
