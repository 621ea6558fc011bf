"""Errors that become answers. Texts are fixed: nothing a caller sent comes back in them."""

from __future__ import annotations

from collections.abc import Sequence

from authlib.oauth2.base import OAuth2Error

Headers = Sequence[tuple[str, str]]


class ProtocolError(OAuth2Error):  # type: ignore[misc]
    """An OAuth error answer that also carries, for the audit log alone, the event and its reason.

    ``error`` is the code of the specification at hand, ``description`` a fixed ASCII text
    (RFC 6749 §5.2), ``event`` the name of an audit event, ``client_id`` whom it concerns.
    """

    def __init__(  # noqa: PLR0913 - a value object: each argument is a field
        self,
        error: str,
        description: str,
        *,
        event: str,
        reason: str,
        status: int = 400,
        headers: Headers = (),
        client_id: str = "",
    ) -> None:
        super().__init__(description=description, status_code=status, error=error)
        self.event = event
        self.reason = reason
        self.headers = tuple(headers)
        self.client_id = client_id
        # what else its audit row says
        self.detail: dict[str, str] = {}


class Unavailable(Exception):
    """Something that an answer depends on cannot be had now; the caller may try again.

    ``dependency`` names it for the audit log; ``retry_after`` is in seconds.
    """

    def __init__(self, dependency: str, retry_after: int = 2) -> None:
        super().__init__(f"{dependency} is unavailable")
        self.dependency = dependency
        self.retry_after = retry_after


class RequestRejected(Exception):
    """A request that no endpoint reads, by its form alone; ``reason`` is for the audit log."""

    def __init__(self, status: int, reason: str, description: str, headers: Headers = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.description = description
        self.headers = tuple(headers)


class Invalid(ValueError):
    """Input of an operator or partner that cannot be taken; the text says why, for people."""


class NotDone(Invalid):
    """Input that is well-formed and cannot be followed: nothing has that name, or its state forbids it."""
