"""The operator's logo and colours, as files of their own: pages hold no style, and an image runs nothing."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, current_app, request

from .. import crypto
from ..appearance import BLACK, DARK, WHITE, Logo, mixed, on_dark, read_logo
from ..config import Settings, asset_dir

blueprint = Blueprint("brand", __name__)

EXTENSION = "authserver.brand"
# an image that is opened by itself is still not a page: no script, no forms, no other origin
IMAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
# the colour of static/icons/mark.svg
MARK_COLOR = "#1f5c54"
SCHEME = """{selector} {{
  --pico-primary: {color};
  --pico-primary-background: {color};
  --pico-primary-border: {color};
  --pico-primary-underline: {color};
  --pico-primary-hover: {hover};
  --pico-primary-hover-background: {hover};
  --pico-primary-hover-border: {hover};
  --pico-primary-focus: {color}59;
  --pico-primary-inverse: {inverse};
  --pico-form-element-active-border-color: {color};
  --site-notice: {color};
  --site-notice-background: var(--pico-background-color);
}}
"""


def install(app: Flask, settings: Settings) -> None:
    """The files are made once; templates know which of them there are."""
    color, dark = settings.operator_color, settings.operator_color_dark
    files = {"logo": _logo(settings)}
    if color or dark:
        files["stylesheet"] = _file(stylesheet(color or MARK_COLOR, dark).encode(), "text/css; charset=utf-8")
    app.extensions[EXTENSION] = files
    app.jinja_env.globals["branded"] = {
        "colors": "stylesheet" in files,
        "own": settings.operator_logo is not None,
    }


def stylesheet(color: str, dark: str = "") -> str:
    """The custom properties of links, buttons and notices in both schemes; ``dark`` is made if empty."""
    dark = dark or on_dark(color)
    light_scheme = SCHEME.format(
        selector=':root:not([data-theme="dark"]), [data-theme="light"]',
        color=color,
        hover=mixed(color, BLACK, 0.25),
        inverse=WHITE,
    )
    dark_scheme = SCHEME.format(
        selector=":root:not([data-theme])", color=dark, hover=mixed(dark, WHITE, 0.25), inverse=DARK
    )
    return f"{light_scheme}@media (prefers-color-scheme: dark) {{\n{dark_scheme}}}\n"


@blueprint.get("/brand/logo", provide_automatic_options=False)
def logo() -> Response:
    """The operator's image, or the mark of this software in the operator's colour."""
    response = _answer("logo")
    response.headers["Content-Security-Policy"] = IMAGE_POLICY
    return response


@blueprint.get("/brand.css", provide_automatic_options=False)
def colors() -> Response:
    """The operator's colours; an empty sheet where there are none."""
    return _answer("stylesheet")


def _logo(settings: Settings) -> tuple[Logo, str]:
    if settings.operator_logo is not None:
        image = read_logo(settings.operator_logo)
        return _file(image.content, image.media_type)
    mark = (asset_dir("static") / "icons" / "mark.svg").read_text("utf-8")
    colored = mark.replace(MARK_COLOR, settings.operator_color or MARK_COLOR)
    return _file(colored.encode(), "image/svg+xml")


def _file(content: bytes, media_type: str) -> tuple[Logo, str]:
    return Logo(content, media_type), crypto.b64u(crypto.sha256(content))[:22]


def _answer(name: str) -> Response:
    files = current_app.extensions[EXTENSION]
    file, tag = files.get(name) or _file(b"", "text/css; charset=utf-8")
    response = Response(file.content, content_type=file.media_type)
    # as static files: asked about each time, by the tag
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Referrer-Policy"] = "same-origin"
    response.set_etag(tag)
    response.make_conditional(request.environ)
    return response
