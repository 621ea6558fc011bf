"""What people see of the operator: name, logo, colours and languages, judged before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

# every language that translations/ holds, by its own name; what the code says is English
LANGUAGES = {"en": "English", "de": "Deutsch"}
# WCAG 2.2 §1.4.3, level AA
LEAST_CONTRAST = 4.5
# of static/site.css, each the one of its scheme that is nearer to the colour of text
LIGHT, DARK = "#f5f6f7", "#1c2128"
WHITE, BLACK = "#ffffff", "#000000"
MAX_LOGO = 256 * 1024
PNG = b"\x89PNG\r\n\x1a\n"
SVG_ROOT = "{http://www.w3.org/2000/svg}svg"


@dataclass(frozen=True, slots=True)
class Logo:
    """An image and its media type."""

    content: bytes
    media_type: str


class Appearance(BaseSettings):
    """The settings of what people see."""

    # who people see that they are dealing with
    operator_name: str = Field("authserver", min_length=1, max_length=60)
    # a PNG or SVG file
    operator_logo: Path | None = None
    # of links and buttons on light pages, and on dark ones (made from the first one if empty)
    operator_color: str = ""
    operator_color_dark: str = ""
    # the first one is for those who ask for none of them
    languages: tuple[str, ...] = tuple(LANGUAGES)

    @field_validator("operator_logo")
    @classmethod
    def _logo(cls, value: Path | None) -> Path | None:
        if value is not None:
            read_logo(value)
        return value

    @field_validator("operator_color")
    @classmethod
    def _color(cls, value: str) -> str:
        return _fit(value, LIGHT, "light")

    @field_validator("operator_color_dark")
    @classmethod
    def _color_dark(cls, value: str) -> str:
        return _fit(value, DARK, "dark")

    @field_validator("languages")
    @classmethod
    def _languages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value) or not set(value) <= LANGUAGES.keys():
            raise ValueError(f"languages are some of {', '.join(LANGUAGES)}, each once")
        return value


def read_logo(path: Path) -> Logo:
    """The image in a file; ValueError unless it is a small PNG, or an SVG without script or declarations."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_LOGO:
            raise ValueError(f"the logo is a file of at most {MAX_LOGO // 1024} KiB")
        content = path.read_bytes()
    except OSError as error:
        raise ValueError("the logo cannot be read") from error
    if content.startswith(PNG):
        return Logo(content, "image/png")
    # without a document type there are no entities: nothing grows, nothing is fetched
    if b"<!" in content.replace(b"<!--", b""):
        raise ValueError("an SVG logo has no document type and no CDATA")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - see above
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError("the logo is a PNG or SVG image") from error
    if root.tag != SVG_ROOT:
        raise ValueError("the logo is a PNG or SVG image")
    if any(map(_acts, root.iter())):
        raise ValueError("an SVG logo holds no script, no foreign objects and no event handlers")
    return Logo(content, "image/svg+xml")


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours ``#rrggbb`` (WCAG 2.2, definition of contrast ratio)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mixed(color: str, with_: str, share: float) -> str:
    """``color`` with a ``share`` (0 to 1) of another."""
    pairs = zip(_channels(color), _channels(with_), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def on_dark(color: str) -> str:
    """``color``, as much lighter as it takes to be read on dark pages."""
    steps = (mixed(color, WHITE, step / 20) for step in range(21))
    return next(step for step in steps if contrast(step, DARK) >= LEAST_CONTRAST)


def _fit(color: str, page: str, scheme: str) -> str:
    if not color:
        return color
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        raise ValueError("a colour is #rrggbb")
    found = contrast(color, page)
    if found < LEAST_CONTRAST:
        raise ValueError(
            f"{color} has a contrast of {found:.1f} on {scheme} pages ({page}); "
            f"WCAG AA asks for {LEAST_CONTRAST}"
        )
    return color.lower()


def _acts(element: ElementTree.Element) -> bool:
    """Whether an element does something besides being drawn."""
    name = str(element.tag).rpartition("}")[2].lower()
    return name in ("script", "foreignobject") or any(
        attribute.lower().startswith("on") or value.strip().lower().startswith("javascript:")
        for attribute, value in element.attrib.items()
    )


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _luminance(color: str) -> float:
    shares = (channel / 255 for channel in _channels(color))
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
