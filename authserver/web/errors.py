"""Every failure as an answer that tells the caller no more than it should: JSON, or a page for people."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from .. import context, metrics
from ..audit import Entry, Event
from ..errors import RequestRejected, Unavailable
from ..texts import Text
from . import guards

if TYPE_CHECKING:
    from ..services import Services

log = logging.getLogger(__name__)

TEXTS = {
    400: Text("The request is malformed."),
    404: Text("There is nothing at this address."),
    405: Text("This method is not supported here."),
    413: Text("The body is too large."),
    415: Text("This media type is not supported here."),
}
TITLES = {
    404: Text("Nothing is here"),
    405: Text("This does not work here"),
    500: Text("Something went wrong"),
    503: Text("Not available just now"),
}
REASONS = {404: "not_found", 405: "method", 413: "too_large"}
# dependencies that are bounded queues of this process, and how often it is told that one is full
QUEUES = ("hash_queue", "outgoing")
QUEUE_SECONDS = 10


def install(app: Flask) -> None:
    """``app`` answers every error itself, without a trace of its inside."""
    app.register_error_handler(Unavailable, unavailable)
    app.register_error_handler(guards.Refused, refused)
    app.register_error_handler(RequestRejected, rejected)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, unhandled)


def answer(status: int, error: str, description: str) -> Response:
    """An error that nobody stores: a page where people look, else JSON that a client's own page may read."""
    if guards.for_people():
        link = ("/", Text("Go to the start page")) if status == HTTPStatus.NOT_FOUND else None
        return guards.page(status, TITLES.get(status, Text("This cannot be answered")), description, link)
    response = jsonify(error=error, error_description=description)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    origins, origin = _services().server.origins, request.headers.get("Origin", "")
    response.headers.extend(origins.of_error(request.path, origin, status))
    return response


def unavailable(error: Unavailable) -> Response:
    """503 with Retry-After: nothing was issued, the caller may come again."""
    metrics.dependency_failures.labels(error.dependency).inc()
    rooms = _services()
    # a queue of our own is full because of a flood, which is no flood of rows
    if error.dependency not in QUEUES or rooms.throttle.first(f"full/{error.dependency}", QUEUE_SECONDS):
        # the row waits in memory: what failed may be the database itself
        rooms.audit.record_late(Entry(Event.DEPENDENCY_FAILED, "failed", error.dependency))
    response = answer(
        503, "temporarily_unavailable", Text("The server cannot answer now. Try again shortly.")
    )
    response.headers["Retry-After"] = str(error.retry_after)
    return response


def refused(error: guards.Refused) -> Response:
    """The page that a view gave up for."""
    return guards.page(error.status, error.title, error.text, error.link)


def rejected(error: RequestRejected) -> Response:
    """A request refused for its form."""
    _record(Entry(Event.HTTP_REJECTED, "denied", error.reason))
    response = answer(error.status, "invalid_request", error.description)
    response.headers.extend(error.headers)
    return response


def http_error(error: HTTPException) -> Response:
    """What the framework refuses, in our words."""
    status = error.code or 500
    _record(Entry(Event.HTTP_REJECTED, "denied", REASONS.get(status, "request")))
    response = answer(status, "invalid_request", TEXTS.get(status, Text("The request cannot be served.")))
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        # a preflight is for pages of registered origins alone (web/oauth.py): others are not told of it
        response.headers["Allow"] = ", ".join(sorted({*error.valid_methods} - {"OPTIONS"}))
    return response


def unhandled(error: Exception) -> Response:
    """500 with the request's id, under which the log tells the cause.

    It counts against its address as any refusal does, and a flood of it is told once a window.
    """
    log.error("unhandled %s", type(error).__name__, exc_info=error)
    endpoint = (request.endpoint or "http").rpartition(".")[2]
    _services().throttle.failed(endpoint, context.current.get().address)
    _record(Entry(Event.ERROR_UNHANDLED, "failed", "exception"))
    return answer(500, "server_error", Text("Something went wrong on our side."))


def _services() -> Services:
    services: Services = current_app.extensions["authserver"]
    return services


def _record(entry: Entry) -> None:
    services = _services()
    try:
        if services.throttle.noticed(context.current.get().address):
            services.audit.record(entry)
    except Unavailable:
        services.audit.record_late(entry)
