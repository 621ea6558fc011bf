"""The cases: read from ``cases/*.yaml``, one file an area, and judged for their form before any runs.

A case has ``id``, ``title`` and ``steps``. Around them:

- ``waits_for``: the feature without which it cannot run; such a case has no steps and is not run.
- ``part_waits``: what of it waits for later features, while ``steps`` run what exists.
- ``server``: ``live`` for raw sockets against ``authserver serve``, ``fleet`` for two workers of it on
  PostgreSQL and Redis; over WSGI on either database otherwise.
- ``settings``: settings of its own; ``clock: true``: the clock stands still until an action walks it.
- ``expect``: what every ``send`` of it expects unless the step says otherwise (runner.py).
- ``tampers: true``: it breaks the audit chain itself, so that the chain is not verified after it.

Steps: ``send`` is a request, ``token`` a client's own token, ``do`` an action; ``login``, ``code`` and
``tokens`` go an honest way to its end (flows.py) and save what came of it under the name they give. A
``send`` with ``base: AZ`` has the parameters of a valid authorization request of ``client``, changed by
``set`` (``<absent>`` leaves one out); ``browser`` names a jar of cookies, ``fill`` the form of its page,
``follow: true`` its redirects within the server. ``json`` is sent as the body. In the area dcr ``{iat}``
is an initial access token (cast.POLICY).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CASES = Path(__file__).parent / "cases"

# The ids that every area has in common with other suites; each must be here, run or named as waiting.
SHARED = {
    "redirect_uri": "RU 001 002 004 005 008 009 012 015 017 019 021 025 028 030 031 032 033 034 036 039 040"
    " 041 044 047 049",
    "pkce": "PK 001 002 006 007 008 011 014",
    "authorization_code": "CD 001 002 005 007 008 012 014 016 017",
    "authorize": "AZ 001 005 006 007 008 009 011 013 017 020",
    "refresh": "RF 001 002 007 008 011 012 014 015 018 019",
    "client_auth": "CA 001 006 008 010 011 017 018 019 020 022 024 025",
    "http": "HT 001 003 004 006 011 012 015 016 017",
    "introspection_userinfo": "IN 001 003 007 008 010 011 012",
    "revocation": "RV 001 003 005 006",
    "dcr": "DC 001 002 005 007 009 011 012 014 018 022 024 025",
    "keys_clock": "KY 001 002 004 007 010 012",
    "rate_limit": "RL 001 002 006 012 013 014 016 017",
    "adaptive_ip": "AD 001 002 003 006 008 009 011",
    "scope_and_exchange": "TX 001 002 003 004 005 006 007 008 018",
    "rar": "RA 001 002 003 004 005 010 012 015 018 019",
    "injection": "IJ 001 003 005 007 011 012",
    "session_web": "SW 001 003 006 008 011 012 013 014 018 021 022",
    "login": "LG 001 004 005 009 011 012 013 017 018 020 021",
    "otp_recovery": "OT 001 007 009 010 012 014 015 017 018 019",
    "webauthn": "WA 001 002 003 006 007 008 015 017 019",
    "audit": "AU 001 002 008 009 010 012 013",
    "logout": "LO 001 004 008 009 010 013",
    "jwt": "JW 001 002 005 006 007 008 010 013 014 018 020 021 023 026 029",
}

# actions that touch nobody but the people of their case: such cases share an app with others
CONTAINED = {
    "at_once", "auth_time", "basic_in_capitals", "details_refused", "details_taken", "differ", "disable",
    "enable", "end_sessions", "listed_gids", "new_password", "nobody_was_asked", "revocation_list", "save",
    "shape_of_jwks", "texts_refused", "withdraw_consent",
}  # fmt: skip

STEP_KEYS = {
    "send": {
        "send", "as", "auth", "form", "body", "json", "query", "headers", "type", "address", "chunked",
        "each", "repeat", "parallel", "save", "expect",
        "base", "client", "set", "browser", "cookies", "fill", "follow",
    },
    "token": {"token", "as", "form", "address"},
    "do": {"do", "with"},
    "login": {"login", "browser", "address"},
    "code": {"code", "client", "user", "browser", "set", "address"},
    "tokens": {"tokens", "client", "user", "browser", "set", "verifier", "address"},
}  # fmt: skip
EXPECT_KEYS = {
    "status", "statuses", "error", "headers", "body", "body_only", "body_absent",
    "audit", "client_ip", "issued", "rows", "page", "shows", "location", "posted", "codes", "cookies",
}  # fmt: skip
CASE_KEYS = {
    "id", "title", "steps", "waits_for", "part_waits", "server", "settings", "clock", "expect", "tampers",
    "pages",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One case as written; ``area`` is the name of its file."""

    id: str
    area: str
    title: str
    steps: tuple[dict[str, Any], ...] = ()
    waits_for: str = ""
    part_waits: str = ""
    server: str = "wsgi"
    settings: dict[str, Any] = field(default_factory=dict)
    clock: bool = False
    expect: dict[str, Any] = field(default_factory=dict)
    tampers: bool = False
    # a walk past many pages for what they say: under each of them lie statements that other cases try on
    # both databases, so that it is taken on one
    pages: bool = False

    def __str__(self) -> str:
        return self.id

    @property
    def plain(self) -> bool:
        """Whether it changes nothing for others: such cases follow one another on one app."""
        alone = any(step.get("do", "save") not in CONTAINED for step in self.steps)
        return not (self.settings or self.clock or self.tampers or self.pages or alone)


def shared_ids() -> dict[str, list[str]]:
    """The shared ids by area."""
    return {
        area: [f"{prefix}-{number}" for number in numbers]
        for area, (prefix, *numbers) in ((a, text.split()) for a, text in SHARED.items())
    }


@cache
def cases() -> tuple[Case, ...]:
    """Every case, in the order of areas and files."""
    found: list[Case] = []
    for area in SHARED:
        records = yaml.load((CASES / f"{area}.yaml").read_text("utf-8"), yaml.CSafeLoader)
        # a record without an id holds anchors for those after it
        found += [_case(area, record) for record in records if "id" in record]
    ids = [case.id for case in found]
    assert len(ids) == len(set(ids)), sorted(i for i in ids if ids.count(i) > 1)
    return tuple(found)


def runnable(server: str) -> list[Case]:
    """The cases that run on ``server``."""
    return [case for case in cases() if case.steps and case.server == server]


def _case(area: str, record: dict[str, Any]) -> Case:
    place = record["id"]
    _known(place, record, CASE_KEYS)
    _known(place, record.get("expect", {}), EXPECT_KEYS)
    for step in record.get("steps", ()):
        kind = next((kind for kind in STEP_KEYS if kind in step), None)
        assert kind is not None, f"{place}: a step is one of {', '.join(STEP_KEYS)}"
        _known(place, step, STEP_KEYS[kind])
        _known(place, step.get("expect", {}), EXPECT_KEYS)
    case = Case(**{**record, "area": area, "steps": tuple(record.get("steps", ()))})
    assert bool(case.steps) != bool(case.waits_for), f"{place}: it has steps, or it waits for a feature"
    return case


def _known(place: str, given: dict[str, Any], known: set[str]) -> None:
    assert set(given) <= known, f"{place}: {sorted(set(given) - known)} means nothing here"
