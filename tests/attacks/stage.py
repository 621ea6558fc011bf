"""What a case is played with: clients, people, browsers, saved values, and requests made of them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from plugins.app import World, basic

from authserver import crypto
from authserver.oauth import pkce
from authserver.oauth.private_key_jwt import ASSERTION_TYPE

from . import asserted, cast, forge
from .browsers import Browser
from .corpus import Case
from .expectations import to_bytes
from .invariants import Snapshot
from .wire import USUAL, Request

ABSENT = "<absent>"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
# words of the cases for what is too long to write out
FILLINGS = {
    "n": "1",
    "many": "&".join(f"p{i}=1" for i in range(150)),
    "ampersands": "&" * 5000,
    "cookies": "; ".join(f"c{i}={'v' * 20}" for i in range(1000)),
    "deep_claims": '{"userinfo":{"name":' + "[" * 1500,
    "many_claims": json.dumps({"userinfo": {f"c{i}": None for i in range(51)}}),
    "many_scopes": " ".join(f"s{i}" for i in range(8000)),
}
# fields that a page was given by this server and shows again
RETURNED = {"csrf", "txn", "shown", "request", "token", "decision", "account"}
# what ``{name.word}`` makes of a text
TWISTS: dict[str, Callable[[str], str]] = {
    "cut": lambda text: text[:-1],
    "swapcase": str.swapcase,
    "upper": str.upper,
    "lower": str.lower,
    "reversed": lambda text: text[::-1],
    "first_half": lambda text: text[: len(text) // 2],
}
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w.]*|[A-Za-z]\*\d+)\}")


class Stage:
    """``world`` has the rooms; everything here is of one case alone."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.people: dict[str, cast.Person] = {}
        self.browsers: dict[str, Browser] = {}
        self.verifiers = {"V1": crypto.random_token(), "V2": crypto.random_token()}
        self.saved: dict[str, Any] = dict(FILLINGS) | self.verifiers
        self.saved |= {f"CH{name[1]}": pkce.s256(value) for name, value in self.verifiers.items()}
        self.secrets: set[str] = set(self.verifiers.values())
        self._asking = "web1"
        self._snapshot: Snapshot | None = None
        self._known: dict[str, Callable[[str], str]] = {
            "issuer": lambda _: self.world.services.settings.issuer,
            "secret": lambda rest: self.world.secrets[rest],
            "basic": lambda rest: basic(rest, self.world.secrets[rest]),
            "forged": self._forged,
            "assertion": self._assertion,
            "AZ": lambda _: self._asked_text(""),
            "AZ_without": self._asked_text,
            "username": lambda rest: self.person(rest).username,
            "password": lambda rest: self.person(rest).password,
            "user_id": lambda rest: self.person(rest).user_id,
            "cookie": lambda rest: self._of_browser("cookies", rest),
            "hidden": lambda rest: self._of_browser("hidden", rest),
        }

    # --- who plays ----------------------------------------------------------------------------------

    def person(self, name: str) -> cast.Person:
        """The person whom this case calls ``name``."""
        if name not in self.people:
            self.people[name] = cast.person(self.world, name)
            self.secrets.add(self.people[name].password)
            self._snapshot = None
        return self.people[name]

    def browser(self, name: str) -> Browser:
        """The browser that this case calls ``name``; a new one has no cookies."""
        return self.browsers.setdefault(name, Browser())

    def asked(self, client_id: str) -> dict[str, str]:
        """The parameters of a valid authorization request of a client."""
        client = self.world.services.clients.get(client_id)
        uris, scopes = (client.redirect_uris, client.scopes) if client else ((), frozenset())
        api = "reports" if "reports" in scopes and "accounts:read" not in scopes else "accounts:read"
        return {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": uris[0] if uris else "https://client.example/cb",
            "scope": f"openid {api}",
            "state": "S1",
            "nonce": "N1",
            "code_challenge": self.saved["CH1"],
            "code_challenge_method": "S256",
        }

    def call(self, case: Case) -> None:
        """Everybody whom the case names is there."""
        named = set(re.findall(r"[a-z_]+[0-9]?", json.dumps(case.steps)))
        for client_id in cast.CLIENTS:
            if client_id in named:
                cast.client(self.world, client_id)
        if case.area == "dcr" or "register" in named:
            _, self.saved["iat"] = self.world.services.partners.invite(cast.POLICY, 10_000, 7)
            self.secrets.add(self.saved["iat"])
        for name in cast.PEOPLE:
            if name in named or (name == "alice" and {"code", "tokens"} & set().union(*case.steps)):
                self.person(name)

    # --- requests -----------------------------------------------------------------------------------

    def request(self, step: dict[str, Any], sent: list[str]) -> Request:
        """The request of a step; ``sent`` grows by the values in it that must not come back."""
        self._asking = self.fill(step.get("client", "web1"))
        method, _, target = self.fill(step["send"]).partition(" ")
        headers = {k: self.fill(v) for k, v in step.get("headers", {}).items()}
        form = self._form(step, target)
        query = self.fill(step.get("query", ""))
        if "base" in step:
            assert step["base"] == "AZ", step
            asked = self.asked(self._asking) | self._filled(step.get("set", {}))
            asked = {name: value for name, value in asked.items() if value != ABSENT}
            if method == "POST":
                form |= asked
            else:
                query = "&".join(filter(None, (urlencode(asked), query)))
        if who := step.get("as"):
            self._authenticate(self.fill(who), form, headers)
        if "auth" in step:
            kind, _, pair = self.fill(step["auth"]).partition(" ")
            assert kind == "basic", step
            headers["Authorization"] = "Basic " + base64.b64encode(to_bytes(pair)).decode()
        body = self.fill(step["body"]) if "body" in step else urlencode(form)
        usual = FORM
        if "json" in step:
            document = self.fill(step["json"])
            if isinstance(document, dict):
                document = {name: value for name, value in document.items() if value != ABSENT}
            body, usual = json.dumps(document), JSON
            sent += _texts(document)
        if (kind := step.get("type", usual)) and (body or "type" in step) and kind != ABSENT:
            headers.setdefault("Content-Type", kind)
        if query:
            target += f"?{query}"
        lines = [
            (name, value)
            for name, values in headers.items()
            if values != ABSENT
            for value in (values if isinstance(values, list) else [values])
        ]
        if "browser" in step and "Cookie" not in headers:
            held = self.browser(step["browser"]).cookies | self._filled(step.get("cookies", {}))
            lines += cookie_lines({name: value for name, value in held.items() if value != ABSENT})
        if "authorization" in {name.lower() for name, _ in lines}:
            whole = next(value for name, value in lines if name.lower() == "authorization")
            self.secrets |= {whole, whole.partition(" ")[2]}
        sent += [value for name, value in form.items() if name not in RETURNED]
        sent += [value for name, value in parse_qsl(query, errors="replace") if name not in RETURNED]
        sent += [*(v for k, v in lines if k != "Cookie"), *([body] if "body" in step else [])]
        return Request(
            method,
            target,
            tuple(lines),
            to_bytes(body),
            self.fill(step.get("address", USUAL)),
            bool(step.get("chunked")),
        )

    def _form(self, step: dict[str, Any], target: str) -> dict[str, str]:
        """The fields that a step sends: those of the page that its browser shows, and its own."""
        form = {}
        if "fill" in step:
            form = self.browser(step["browser"]).form(target) | self._filled(step["fill"])
        form |= self._filled(step.get("form", {}))
        return {name: value for name, value in form.items() if value != ABSENT}

    def _filled(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: self.fill(value) for name, value in values.items()}

    def _authenticate(self, client_id: str, form: dict[str, str], headers: dict[str, str]) -> None:
        method = self.world.methods[client_id]
        if method == "client_secret_basic":
            headers.setdefault("Authorization", basic(client_id, self.world.secrets[client_id]))
        else:
            form.setdefault("client_id", client_id)
            if method == "client_secret_post":
                form.setdefault("client_secret", self.world.secrets[client_id])
            elif method == "private_key_jwt":
                form.setdefault("client_assertion_type", ASSERTION_TYPE)
                self.secrets.add(form.setdefault("client_assertion", self.world.assertions[client_id]()))

    def fill(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, dict):
            return self._filled(value)
        return _PLACEHOLDER.sub(self._value, value) if isinstance(value, str) else value

    def _value(self, match: re.Match[str]) -> str:
        name = match[1]
        if "*" in name:
            return name[0] * int(name[2:])
        kind, _, rest = name.partition(".")
        if kind in self._known:
            return self._known[kind](rest)
        return _walked(self.saved[kind], rest.split("."))

    def _forged(self, rest: str) -> str:
        """``{forged.trick}`` is made from ``{at}``, ``{forged.trick.name}`` from what was saved so."""
        trick, _, base = rest.partition(".")
        text = forge.FORGERIES[trick](self.world, self.fill(f"{{{base or 'at'}}}"))
        self.secrets.add(text)
        return text

    def _assertion(self, rest: str) -> str:
        """``{assertion.client}`` is a fresh one, ``{assertion.client.trick}`` one that proves nothing."""
        text = asserted.assertion(self.world, *rest.split("."))
        self.secrets.add(text)
        return text

    def _asked_text(self, without: str) -> str:
        asked = self.asked(self._asking)
        return urlencode({name: value for name, value in asked.items() if name not in without.split(".")})

    def _of_browser(self, what: str, rest: str) -> str:
        name, _, rest = rest.partition(".")
        return _walked(getattr(self.browser(name), what), rest.split("."))


def _texts(value: Any) -> list[str]:
    """Every string in a document of JSON."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in inner for text in _texts(item)]


def cookie_lines(held: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return (("Cookie", "; ".join(f"{name}={value}" for name, value in held.items())),) if held else ()


def _walked(value: Any, way: list[str]) -> str:
    for part in filter(None, way):
        value = TWISTS[part](value) if isinstance(value, str) else value[part]
    return str(value)
