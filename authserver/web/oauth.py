"""Protocol URLs."""

from __future__ import annotations

from flask import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed

from ..oauth.server import Answer
from .guards import incoming, services

blueprint = Blueprint("oauth", __name__)


def respond(answer: Answer) -> Response:
    """The core's answer as Flask's."""
    return Response(answer.body, answer.status, answer.headers)


@blueprint.post("/token", provide_automatic_options=False)
def token() -> Response:
    """The token endpoint (RFC 6749 §3.2)."""
    return respond(services().server.token(incoming("token")))


@blueprint.post("/introspect", provide_automatic_options=False)
def introspect() -> Response:
    """The introspection endpoint (RFC 7662)."""
    return respond(services().server.endpoint("introspect", incoming("introspect")))


@blueprint.post("/revoke", provide_automatic_options=False)
def revoke() -> Response:
    """The revocation endpoint (RFC 7009)."""
    return respond(services().server.endpoint("revoke", incoming("revoke")))


@blueprint.route("/userinfo", methods=["GET", "POST"], provide_automatic_options=False)
def userinfo() -> Response:
    """The UserInfo endpoint (OpenID Connect Core §5.3)."""
    return respond(services().server.userinfo(incoming("userinfo")))


@blueprint.post("/register", provide_automatic_options=False)
def register() -> Response:
    """The client registration endpoint (RFC 7591 §3)."""
    rooms = services()
    return respond(rooms.server.answered(incoming("register"), rooms.registration.create))


@blueprint.route("/register/<client_id>", methods=["GET", "PUT", "DELETE"], provide_automatic_options=False)
def registration(client_id: str) -> Response:
    """The client configuration endpoint (RFC 7592 §2)."""
    rooms = services()
    endpoint = rooms.registration
    serve = {"PUT": endpoint.update, "DELETE": endpoint.delete}.get(request.method, endpoint.read)
    return respond(rooms.server.answered(incoming("register"), lambda asked: serve(asked, client_id)))


@blueprint.route("/token", methods=["OPTIONS"])
@blueprint.route("/revoke", methods=["OPTIONS"])
@blueprint.route("/userinfo", methods=["OPTIONS"])
def preflight() -> Response:
    """What browsers ask before a page of another origin may call (Fetch §3.2.2); 405 for all others."""
    answer = services().server.preflight(incoming(request.path.removeprefix("/")))
    if answer is None:
        raise MethodNotAllowed(["GET", "POST"] if request.path == "/userinfo" else ["POST"])
    return respond(answer)


@blueprint.get("/revocations", provide_automatic_options=False)
def revocations() -> Response:
    """The signed list of what ended before its time; poll it with If-None-Match."""
    rooms = services()
    signed = rooms.revocations.signed_list()
    headers = {"ETag": signed.etag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    if request.if_none_match.contains_weak(signed.etag.strip('"')):
        return Response(status=304, headers=headers)
    return Response(signed.jws, 200, headers, content_type="application/jwt")
