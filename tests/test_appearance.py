"""What people see of the operator: colours that can be read, a logo that does nothing, and no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from plugins.people import Browser

from authserver import appearance
from authserver.config import Settings, SettingsRefused

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9"/></svg>'
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40


def refused(**values: str) -> str:
    with pytest.raises(SettingsRefused) as caught:
        Settings.load({f"AUTHSERVER_{name.upper()}": value for name, value in values.items()})
    return str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("#ffffff", "#000000", 21.0), ("#777777", "#ffffff", 4.48), ("#0000ff", "#ffffff", 8.59)],
)
@pytest.mark.spec("WCAG 2.2", "1.4.3")
def test_contrast_is_that_of_the_guidelines(one: str, other: str, ratio: float) -> None:
    assert appearance.contrast(one, other) == pytest.approx(ratio, abs=0.01)
    assert appearance.contrast(other, one) == appearance.contrast(one, other)


def test_a_colour_that_cannot_be_read_is_refused_with_its_contrast() -> None:
    assert "#ffcc00 has a contrast of 1.4 on light pages" in refused(operator_color="#ffcc00")
    assert "on dark pages" in refused(operator_color_dark="#1f5c54")
    assert Settings.load({"AUTHSERVER_OPERATOR_COLOR": "#7A1FA2"}).operator_color == "#7a1fa2"


@pytest.mark.parametrize(
    "value", ["red", "#fff", "#12345g", "#123456;}body{display:none", "#1234567", " #123456"]
)
def test_what_is_no_colour_never_gets_into_a_stylesheet(value: str) -> None:
    assert "a colour is #rrggbb" in refused(operator_color=value)


@pytest.mark.parametrize("color", ["#000000", "#1f5c54", "#7a1fa2", "#b00020", "#00008b"])
def test_the_colour_made_for_dark_pages_can_be_read_on_them(color: str) -> None:
    assert appearance.contrast(appearance.on_dark(color), appearance.DARK) >= appearance.LEAST_CONTRAST


def test_the_colours_of_pages_are_those_that_contrast_is_judged_on() -> None:
    css = (Path(__file__).resolve().parent.parent / "static" / "site.css").read_text()
    light, dark = css.split("prefers-color-scheme: dark", 1)
    assert f"--pico-background-color: {appearance.LIGHT};" in light
    assert f"--pico-card-background-color: {appearance.DARK};" in dark


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"GIF89a", "a PNG or SVG image"),
        (b"", "a PNG or SVG image"),
        (b"<html></html>", "a PNG or SVG image"),
        (b"\xff\xd8\xff\xe0 a photograph", "a PNG or SVG image"),
        (SVG.replace("<rect", "<script>alert(1)</script><rect").encode(), "no script"),
        (SVG.replace("<rect", '<rect onload="alert(1)"').encode(), "no script"),
        (SVG.replace("<rect", "<foreignObject/><rect").encode(), "no script"),
        (SVG.replace("<rect", '<a href=" javascript:alert(1)"/><rect').encode(), "no script"),
        (b'<!DOCTYPE svg [<!ENTITY a "aaaa">]>' + SVG.encode(), "no document type"),
        (SVG.replace("<rect", '<!ENTITY x SYSTEM "file:///etc/passwd"><rect').encode(), "no document type"),
        (PNG + b"x" * appearance.MAX_LOGO, "at most 256 KiB"),
    ],
)
def test_a_logo_is_a_small_picture_that_does_nothing(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "logo.svg"
    path.write_bytes(content)
    assert why in refused(operator_logo=str(path))


def test_a_logo_that_is_not_there_or_no_file_stops_the_start(tmp_path: Path) -> None:
    assert "OPERATOR_LOGO" in refused(operator_logo=str(tmp_path / "nothing.svg"))
    assert "OPERATOR_LOGO" in refused(operator_logo=str(tmp_path))
    assert "OPERATOR_LOGO" in refused(operator_logo="/dev/zero")


@pytest.mark.parametrize(
    ("content", "media_type"), [(SVG.encode(), "image/svg+xml"), (PNG, "image/png")], ids=["svg", "png"]
)
def test_the_logo_is_served_from_one_address_in_a_sandbox(
    make_app: Callable[..., Flask], tmp_path: Path, content: bytes, media_type: str, request: Any
) -> None:
    # the name says nothing about what it is
    path = tmp_path / "logo.html"
    path.write_bytes(content)
    browser = Browser(make_app(operator_logo=path))
    answer = browser.get("/brand/logo")
    assert (answer.status_code, answer.data, answer.mimetype) == (200, content, media_type)
    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert browser.get("/brand/logo", If_None_Match=answer.headers["ETag"]).status_code == 304
    assert '<img src="/brand/logo" alt="" height="32">' in browser.get("/login").text
    for other in (
        "/brand/logo/",
        "/brand/../brand/logo.html",
        "/brand/%2e%2e/logo",
        "/brand/logo/..%2f..%2fetc",
    ):
        assert browser.get(other).status_code == 404, other
    assert browser.get(f"/brand/logo?path={path}").data == content


def test_colours_come_in_a_stylesheet_of_their_own(make_app: Callable[..., Flask]) -> None:
    browser = Browser(make_app(operator_color="#7a1fa2"))
    page = browser.get("/login")
    assert '<link rel="stylesheet" href="/brand.css">' in page.text
    assert "style=" not in page.text
    assert "unsafe-inline" not in page.headers["Content-Security-Policy"]
    sheet = browser.get("/brand.css")
    assert sheet.mimetype == "text/css"
    assert "--pico-primary: #7a1fa2;" in sheet.text
    assert f"--pico-primary: {appearance.on_dark('#7a1fa2')};" in sheet.text
    assert b"#7a1fa2" in browser.get("/brand/logo").data
    plain = Browser(make_app())
    assert "/brand.css" not in plain.get("/login").text
    assert plain.get("/brand.css").data == b""


def test_languages_are_those_that_there_are_and_the_first_is_the_usual_one(
    make_app: Callable[..., Flask],
) -> None:
    for wrong in ("fr", "de,de", "de,fr", ","):
        assert "AUTHSERVER_LANGUAGES" in refused(languages=wrong)
    browser = Browser(make_app(languages=("de", "en")))
    assert '<html lang="de">' in browser.get("/login").text
    assert browser.get("/.well-known/openid-configuration").json["ui_locales_supported"] == ["de", "en"]
    alone = Browser(make_app(languages=("de",)))
    page = alone.get("/login", Accept_Language="en")
    assert '<html lang="de">' in page.text
    assert "/language" not in page.text
