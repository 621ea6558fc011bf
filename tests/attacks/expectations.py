"""What a step expects: its variants, and its answer held against what it says."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

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
    text = reply.body.decode("utf-8", "replace")
    if "error" in expect and reply.status >= 400 and reply.request.method != "HEAD":
        wanted = expect["error"]
        assert reply.json["error"] in (wanted if isinstance(wanted, list) else [wanted]), text
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


def issued_token(reply: Reply) -> str:
    if reply.request.target.partition("?")[0] != "/token":
        return ""
    return str(reply.json.get("access_token", ""))


def to_bytes(text: str) -> bytes:
    """The bytes of a value in a case: one for each character up to U+00FF, else UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()
