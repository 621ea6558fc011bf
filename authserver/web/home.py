"""The issuer's front page: what this is and where to begin."""

from __future__ import annotations

from flask import Blueprint, Response

from .guards import services, show

blueprint = Blueprint("home", __name__)


@blueprint.get("/", provide_automatic_options=False)
def home() -> Response:
    """A page for whoever opens the issuer in a browser; it leads to the demo where that runs."""
    settings = services().settings
    demo = {"url": settings.demo_url, "file": settings.instance_dir / "demo.json"}
    return show("home.html", issuer=settings.issuer, demo=demo if settings.demo_url else None)
