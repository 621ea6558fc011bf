"""Health and metrics, for load balancers and operators."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from flask import Blueprint, Response, current_app, jsonify, request

from .. import leases, metrics
from ..errors import RequestRejected, Unavailable
from ..ip_allowlist import parse_address

if TYPE_CHECKING:
    from ..services import Services

blueprint = Blueprint("health", __name__)

# by whether all processes count together: without Redis by setting, or because it is lost
LIMITS = {None: "process", True: "redis", False: "process, redis is lost"}


@blueprint.get("/healthz", provide_automatic_options=False)
def healthz() -> Response:
    """The process answers; says nothing about what it depends on."""
    return jsonify(status="ok")


@blueprint.get("/readyz", provide_automatic_options=False)
def readyz() -> tuple[Response, int]:
    """Whether this process can issue tokens now: database, signing key, background jobs."""
    rooms: Services = current_app.extensions["authserver"]
    try:
        rooms.database.probe()
        keys = rooms.keys.published()
        held = leases.states(rooms.database)
        queue = rooms.mail.waiting()
    except Unavailable as error:
        return jsonify(status="unavailable", dependency=error.dependency), 503
    if not any(key.state == "active" for key in keys):
        return jsonify(status="unavailable", dependency="signing_key"), 503
    told = {s.job: {"last_run": s.last_run, "last_error": s.last_error} for s in held}
    limits, mail = LIMITS[rooms.throttle.shared], {"waiting": queue.count, "oldest_seconds": queue.oldest}
    return jsonify(status="ready", jobs=told, limits=limits, mail=mail), 200


@blueprint.get("/metrics", provide_automatic_options=False)
def prometheus() -> Response:
    """Prometheus metrics, for the networks that the settings name."""
    rooms: Services = current_app.extensions["authserver"]
    address = parse_address(request.environ.get("REMOTE_ADDR", ""))
    networks = map(ipaddress.ip_network, rooms.settings.metrics_networks)
    if address is None or not any(address in n for n in networks if n.version == address.version):
        raise RequestRejected(403, "metrics_network", "Metrics are not served to this network.")
    return Response(metrics.exposition(), content_type=metrics.CONTENT_TYPE)
