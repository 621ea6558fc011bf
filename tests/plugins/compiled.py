"""What each app of a process would compile anew is compiled once: its URL rules and its templates.

Most tests make an app of their own, and most of the time that takes goes to Python's compiler, which makes
the same of the same each time.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing.rules import Rule

_compile_builder = Rule._compile_builder
_builders: dict[tuple[Any, ...], Callable[..., tuple[str, str]]] = {}


def _builder(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
    """The function that makes a URL of ``rule``; nothing of an app is in it, the rule is its argument."""
    key = (rule.rule, rule.host, rule.subdomain, tuple(rule._trace), repr(rule.defaults), append_unknown)
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


class Compiled(BytecodeCache):
    """The code of templates, by file and content."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._held.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._held[bucket.key, bucket.checksum] = bucket.code


Rule._compile_builder = _builder  # type: ignore[method-assign]
Flask.jinja_options = Flask.jinja_options | {"bytecode_cache": Compiled()}
