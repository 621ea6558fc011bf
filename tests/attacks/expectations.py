"""What a step expects: its variants, and its answer held against what it says."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .browsers import answer, forms, parsed
from .wire import Reply


def variants(step: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """A step once for every combination of the values in ``each``, with what those values expect."""
    each: dict[str, list[Any]] = step.get("each", {})
    for combination in itertools.product(*each.values()):
        variant, expect = dict(step), {}
        for path, item in zip(each, combination, strict=True):
            value = item["value"] if isinstance(item, dict) and "value" in item else item
            expect |= item.get("expect", {}) if isinstance(item, dict) else {}
            first, _, rest = path.partition(".")
            variant[first] = {**variant.get(first, {}), rest: value} if rest else value
        yield variant, expect


def judge(reply: Reply, expect: dict[str, Any], fill: Callable[[Any], Any]) -> None:
    status = expect.get("status")
    if status is not None:
        assert reply.status in (status if isinstance(status, list) else [status]), reply.status
    elif "statuses" not in expect:
        raise AssertionError("a step says which status it expects")
    assert reply.status < 500 or reply.status == status, reply.status
    text = reply.text
    if "page" in expect:
        assert reply.html == expect["page"], reply.headers.get("content-type")
    if "error" in expect and reply.status >= 400 and reply.request.method != "HEAD":
        wanted = _any_of(expect["error"])
        # a page names the error too, for those who make the application
        assert any(e in text for e in wanted) if reply.html else reply.json["error"] in wanted, text
    _judge_ways(reply, expect, fill)
    for name, pattern in expect.get("headers", {}).items():
        found = reply.headers.get(name)
        if pattern is None:
            assert found is None, (name, found)
        else:
            assert found is not None, f"{name} is missing"
            assert re.search(fill(pattern), found), (name, found)
    for name, value in expect.get("body", {}).items():
        assert reply.json[name] == fill(value), (name, text)
    if "body_only" in expect:
        assert sorted(reply.json) == sorted(expect["body_only"]), text
    for part in expect.get("body_absent", ()):
        assert fill(part) not in text, part
    for part in expect.get("shows", ()):
        assert fill(part) in text, part


def _judge_ways(reply: Reply, expect: dict[str, Any], fill: Callable[[Any], Any]) -> None:
    """Where the browser goes next: a redirect, a form for a client, a cookie."""
    if "location" in expect:
        wanted = expect["location"]
        if isinstance(wanted, dict):
            _judge_target(reply.location, answer(reply), wanted, fill)
        else:
            assert reply.location == (fill(wanted) or ""), reply.location
    if "posted" in expect:
        assert reply.html and not reply.location
        _judge_target("", answer(reply), expect["posted"], fill)
    for name, pattern in expect.get("cookies", {}).items():
        lines = [line for line in reply.set_cookies if parsed(line)[0] == name]
        if pattern is None:
            assert not lines, lines
        else:
            assert len(lines) == 1 and re.search(fill(pattern), lines[0]), (name, lines)


def _judge_target(
    location: str,
    found: tuple[str, dict[str, str]] | None,
    wanted: dict[str, Any],
    fill: Callable[[Any], Any],
) -> None:
    """``wanted``: startswith, params (exact, or any of a list), absent (names), never_host."""
    target, params = found or (location, {})
    assert target, "it leads nowhere"
    assert target.startswith(fill(wanted.get("startswith", ""))), target
    for name, value in wanted.get("params", {}).items():
        assert params.get(name) in [fill(item) for item in _any_of(value)], (name, params)
    for name in wanted.get("absent", ()):
        assert name not in params, (name, params)
    if "never_host" in wanted:
        assert (urlsplit(target).hostname or "") not in _any_of(wanted["never_host"]), target


def _any_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def issued_token(reply: Reply) -> str:
    if reply.request.target.partition("?")[0] != "/token":
        return ""
    return str(reply.json.get("access_token", ""))


def given_out(reply: Reply) -> set[str]:
    """Every secret that an answer holds: tokens, codes, the values of cookies and hidden fields."""
    found: set[Any] = {value for _, value, _ in map(parsed, reply.set_cookies)}
    if reply.request.target.partition("?")[0] == "/token" and reply.status == 200:
        found |= {reply.json.get(name) for name in ("access_token", "refresh_token", "id_token")}
    if reply.request.target.startswith("/register") and reply.status in (200, 201):
        found |= {reply.json.get(name) for name in ("registration_access_token", "client_secret")}
    if (response := answer(reply)) is not None:
        found.add(response[1].get("code"))
    if reply.html:
        found |= {
            fields.get(name)
            for fields in forms(reply).values()
            for name in ("csrf", "txn", "request", "token")
        }
    if reply.location.startswith("/"):
        found |= {value for name, value in parse_qsl(urlsplit(reply.location).query) if name == "request"}
    return {str(value) for value in found if value}


def to_bytes(text: str) -> bytes:
    """The bytes of a value in a case: one for each character up to U+00FF, else UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()
