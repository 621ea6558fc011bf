"""Text messages by a service that takes them over HTTP: a POST of JSON for each (docs/configuration.md)."""

from __future__ import annotations

import json
from http import HTTPStatus

from ..config import Settings
from ..errors import Unavailable
from ..messaging import read_secret
from ..outgoing import Failed, Outgoing, Refused
from .letter import Letter
from .senders import NotSent

# of which a later try may come to another end
FOR_NOW = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


class Sms:
    """The service at the address of the settings, called as any other address is: guarded and bounded."""

    def __init__(self, settings: Settings, outgoing: Outgoing) -> None:
        self._url = settings.sms_url
        self._token = settings.sms_token_file
        self._outgoing = outgoing

    def send(self, letter: Letter) -> None:
        """The service has taken the message; NotSent otherwise."""
        # the key is the same at every try: who gets it twice sends it once
        headers = {"Content-Type": "application/json", "Idempotency-Key": letter.id}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {read_secret(self._token)}"
        body = json.dumps({"to": letter.to, "text": letter.brief, "language": letter.language})
        try:
            status = self._outgoing.post(self._url, headers, body.encode()).status
        except Refused as error:
            raise NotSent(error.reason, away=True) from None
        except (Failed, Unavailable):
            raise NotSent("unreachable", away=True) from None
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise NotSent("authentication", away=True)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise NotSent("unreachable", away=True)
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise NotSent("refused", lasting=status not in FOR_NOW)
