"""What each app of a process would compile anew is compiled once: its URL rules, templates and statements.

Most tests make an app of their own, and most of the time that takes goes to Python's compiler, which makes
the same of the same each time. Nor does each HTTP client read the certificates of every authority anew.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from types import CodeType
from typing import Any

import httpx
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Dialect, Engine
from sqlalchemy.util import LRUCache
from werkzeug.routing.rules import Rule, RulePart

_compile_builder = Rule._compile_builder
_builders: dict[tuple[Any, ...], Callable[..., tuple[str, str]]] = {}
_parse_rule = Rule._parse_rule
_parts: dict[str, tuple[list[RulePart], list[tuple[bool, str]]]] = {}
# more than all that the product says: none is compiled twice
STATEMENTS = 4000


def _builder(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
    """The function that makes a URL of ``rule``; nothing of an app is in it, the rule is its argument."""
    key = (rule.rule, rule.host, rule.subdomain, tuple(rule._trace), repr(rule.defaults), append_unknown)
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


def _parsed(rule: Rule, text: str) -> Iterable[RulePart]:
    """What ``text`` is made of, and noted in ``rule``; what varies in it belongs to the map of an app."""
    if "<" in text:
        return _parse_rule(rule, text)
    if text not in _parts:
        known = len(rule._trace)
        _parts[text] = list(_parse_rule(rule, text)), rule._trace[known:]
        del rule._trace[known:]
    parts, trace = _parts[text]
    rule._trace += trace
    return parts


class Statements(LRUCache[Any, Any]):
    """The statements that every engine of one kind has compiled: of two such engines the SQL is the same."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        super().__setitem__(key[1:], compiled)


_statements: defaultdict[type[Dialect], Statements] = defaultdict(lambda: Statements(STATEMENTS))


class Compiled(BytecodeCache):
    """The code of templates, by file and content."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._held.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._held[bucket.key, bucket.checksum] = bucket.code


Rule._compile_builder = _builder  # type: ignore[method-assign]
Rule._parse_rule = _parsed  # type: ignore[method-assign]
# an engine that is made sets one of its own, to no effect
Engine._compiled_cache = property(  # type: ignore[assignment]
    lambda engine: _statements[type(engine.dialect)], lambda engine, own: None
)
Flask.jinja_options = Flask.jinja_options | {"bytecode_cache": Compiled()}
httpx._transports.default.create_ssl_context = cache(httpx.create_ssl_context)


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: no collection of garbage need walk it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5000, 20, 20)
