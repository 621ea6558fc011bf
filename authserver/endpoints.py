"""The endpoints that programs call most, ahead of Flask: no routing, session or page stands between.

The core's answer goes to the server as it is. What is unusual takes Flask's way to the same functions
(``web/oauth``), and what fails is answered by Flask's own error handlers.
"""

from __future__ import annotations

from http.client import responses
from typing import TYPE_CHECKING, Any

from .web.guards import OVERLONG, incoming_from
from .web.headers import transport_security

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import WSGIEnvironment
    from flask import Flask

    from .oauth.request import HTTPRequest
    from .oauth.server import Answer
    from .services import Services


SERVED = ("/token", "/introspect")


class Endpoints:
    """POST to the ``SERVED`` of one app."""

    def __init__(self, app: Flask, services: Services) -> None:
        self._app = app
        self._server = services.server
        self._body_limit = services.settings.body_limit
        self._headers = transport_security(services.settings)

    def answer(self, environ: WSGIEnvironment, path: str, start: Any) -> Iterable[bytes] | None:
        """The answer to a plain POST of one of them; None for what Flask is to look at.

        ``bodies.guard`` has seen the request: its length is a number.
        """
        if path not in SERVED or environ["REQUEST_METHOD"] != "POST" or OVERLONG in environ:
            return None
        if int(environ.get("CONTENT_LENGTH") or 0) > self._body_limit:
            return None
        try:
            answer = self._served(incoming_from(environ, path[1:], environ["wsgi.input"].read()))
        except Exception as error:
            return self._failed(error, environ, start)
        length = ("Content-Length", str(len(answer.body)))
        start(f"{answer.status} {responses[answer.status]}", [*answer.headers, *self._headers, length])
        return [answer.body]

    def _served(self, incoming: HTTPRequest) -> Answer:
        if incoming.endpoint == "token":
            return self._server.token(incoming)
        return self._server.endpoint(incoming.endpoint, incoming)

    def _failed(self, error: Exception, environ: WSGIEnvironment, start: Any) -> Iterable[bytes]:
        """What Flask answers when a view raises ``error``."""
        with self._app.request_context(environ):
            try:
                response = self._app.finalize_request(self._app.handle_user_exception(error))
            except Exception as another:
                response = self._app.handle_exception(another)
            return response(environ, start)
