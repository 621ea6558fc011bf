"""Runs one case: sends its steps, compares the answers, and holds the invariants."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

from plugins.app import PAYMENTS, World, basic
from sqlalchemy import func, select

from authserver.audit.chain import rows as audit_rows

from . import forge, invariants
from .corpus import Case
from .expectations import issued_token, judge, to_bytes, variants
from .invariants import Descriptions, Logbook, Snapshot
from .wire import USUAL, Reply, Request, Wire

ABSENT = "<absent>"
FORM = "application/x-www-form-urlencoded"
# words of the cases for what is too long to write out
FILLINGS = {
    "n": "1",
    "many": "&".join(f"p{i}=1" for i in range(150)),
    "ampersands": "&" * 5000,
    "cookies": "; ".join(f"c{i}={'v' * 20}" for i in range(1000)),
    "many_scopes": " ".join(f"s{i}" for i in range(8000)),
}
BYSTANDER, BYSTANDER_ADDRESS = "bystander", "192.0.2.77"
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w.]*|[A-Za-z]\*\d+)\}")


class Run:
    """One case against one server: ``world`` sees its rooms, ``wire`` carries the requests."""

    def __init__(self, world: World, wire: Wire, descriptions: Descriptions) -> None:
        self.world = world
        self.wire = wire
        self.descriptions = descriptions
        self.logbook = Logbook()
        self.saved: dict[str, Any] = dict(FILLINGS)
        self.secrets: set[str] = set()
        self._snapshot: Snapshot | None = None
        self.more_logs: Callable[[], str] = str
        self.clock: Any = None
        self.redis: Any = None
        self.live: Any = None
        self._register_bystander()
        self._first_row = self._last_row()

    # --- the case -----------------------------------------------------------------------------------

    def play(self, case: Case, actions: dict[str, Callable[..., None]]) -> None:
        """Every step of ``case`` went as it says; what must hold after every case holds."""
        with self.logbook.open():
            for step in case.steps:
                if "do" in step:
                    actions[step["do"]](self, **step.get("with", {}))
                    self._snapshot = None
                elif "token" in step:
                    self._obtain(step)
                else:
                    self._send_all(step, case.expect)
            self._happy()
        if not case.tampers:
            invariants.check_chain(self.world.services)
        self.check_secrets()

    def send(self, expect: dict[str, Any] | None = None, **step: Any) -> Reply:
        """One request of an action, with all that holds for a step; gives the answer."""
        self._snapshot = None  # an action may have changed something since
        return self._burst(step, expect or {})[0]

    def check_secrets(self) -> None:
        """I6 for everything logged and written since the case began."""
        secrets = {s for s in self.secrets | set(self.world.secrets.values()) if len(s) >= 16}
        rows = json.dumps(self._rows_after(self._first_row))
        places = {"log": "\n".join(self.logbook.lines) + self.more_logs(), "audit log": rows}
        invariants.check_secrets(secrets, places)

    # --- steps --------------------------------------------------------------------------------------

    def _obtain(self, step: dict[str, Any]) -> None:
        form = {"grant_type": "client_credentials"} | step.get("form", {"scope": "payments:read"})
        request = {"send": "POST /token", "as": step.get("as", "svc1"), "form": form}
        expect = {"status": 200, "issued": 1, "audit": ["token.issued"]}
        reply = self._burst(request | {"address": step.get("address", USUAL)}, expect)[0]
        self.saved[step["token"]] = reply.json["access_token"]

    def _send_all(self, step: dict[str, Any], default: dict[str, Any]) -> None:
        for variant, own in variants(step):
            expect = step.get("expect", {})
            # a step that names its status says everything itself
            base = {} if "status" in expect else default
            self._burst(variant, {**base, **expect, **own})

    def _burst(self, step: dict[str, Any], expect: dict[str, Any]) -> list[Reply]:
        before = self._snapshot or Snapshot.of(self.world.services)
        known = self._last_row()
        sent: list[str] = []
        if count := step.get("parallel"):
            requests = [self._request(step, sent)] * count
            with ThreadPoolExecutor(count) as pool:
                replies = list(pool.map(self.wire.send, requests))
        else:
            replies = []
            for number in range(step.get("repeat", 1)):
                self.saved["n"] = str(number + 1)
                replies.append(self.wire.send(self._request(step, sent)))
        try:
            self._judge(replies, sent, expect, known)
            after = self._snapshot = Snapshot.of(self.world.services)
            invariants.check_state(before, after, expect.get("rows", {}), expect.get("issued", 0))
        except AssertionError as error:
            last = replies[-1]
            error.add_note(f"{step}\n{last.status} {last.headers}\n{last.body[:600]!r}")
            raise
        if name := step.get("save"):
            self.saved[name] = replies[-1].json
        return replies

    def _judge(self, replies: list[Reply], sent: list[str], expect: dict[str, Any], known: int) -> None:
        if "statuses" in expect:
            counted = dict.fromkeys(expect["statuses"], 0)
            for reply in replies:
                counted[reply.status] = counted.get(reply.status, 0) + 1
            assert counted == expect["statuses"], counted
        for reply in replies:
            judge(reply, expect, self._fill)
            if reply.status >= 400:
                invariants.check_error(reply)
                issuer = self.world.services.settings.issuer
                invariants.check_echo(reply, [value for value in sent if value not in issuer])
            elif token := issued_token(reply):
                self.secrets.add(token)
        self._judge_audit(replies, expect, known)

    def _judge_audit(self, replies: list[Reply], expect: dict[str, Any], known: int) -> None:
        ids = {reply.request_id: reply for reply in replies}
        mine = [row for row in self._rows_after(known) if row["request_id"] in ids]
        for row in mine:
            reply = ids[row["request_id"]]
            client_ip = expect.get("client_ip", invariants.canonical(reply.request.address))
            invariants.check_audit_row(row, client_ip)
            if reply.status >= 400 and reply.request.method != "HEAD":
                reason = f"{row['event']}/{row['reason']}", reply.json["error"], reply.status
                self.descriptions.check(reason, reply.json["error_description"])
        told = {(row["event"], row["reason"]) for row in mine}
        for wanted in expect.get("audit", ()):
            event, _, reasons = wanted.partition("/")
            fits = [(e, r) for e, r in told if e == event and (not reasons or r in reasons.split("|"))]
            assert fits, f"no audit row {wanted}, but {sorted(told)}"

    def _last_row(self) -> int:
        with self.world.services.database.reading() as connection:
            return connection.execute(select(func.max(audit_rows.c.id))).scalar() or 0

    def _rows_after(self, row_id: int) -> list[dict[str, Any]]:
        query = select(audit_rows).where(audit_rows.c.id > row_id).order_by(audit_rows.c.id)
        with self.world.services.database.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    # --- requests -----------------------------------------------------------------------------------

    def _request(self, step: dict[str, Any], sent: list[str]) -> Request:
        """The request of a step; ``sent`` grows by the values in it that must not come back."""
        method, _, target = self._fill(step["send"]).partition(" ")
        headers = {k: self._fill(v) for k, v in step.get("headers", {}).items()}
        form = {k: self._fill(v) for k, v in step.get("form", {}).items() if v != ABSENT}
        if who := step.get("as"):
            self._authenticate(self._fill(who), form, headers)
        if "auth" in step:
            kind, _, pair = self._fill(step["auth"]).partition(" ")
            assert kind == "basic", step
            headers["Authorization"] = "Basic " + base64.b64encode(to_bytes(pair)).decode()
        body = self._fill(step["body"]) if "body" in step else urlencode(form)
        if (kind := step.get("type", FORM)) and (body or "type" in step) and kind != ABSENT:
            headers.setdefault("Content-Type", kind)
        if "query" in step:
            target += f"?{self._fill(step['query'])}"
        lines = [
            (name, value)
            for name, values in headers.items()
            if values != ABSENT
            for value in (values if isinstance(values, list) else [values])
        ]
        if "authorization" in {name.lower() for name, _ in lines}:
            whole = next(value for name, value in lines if name.lower() == "authorization")
            self.secrets |= {whole, whole.partition(" ")[2]}
        sent += [*form.values(), *(v for _, v in lines), *([body] if "body" in step else [])]
        return Request(
            method,
            target,
            tuple(lines),
            to_bytes(body),
            self._fill(step.get("address", USUAL)),
            bool(step.get("chunked")),
        )

    def _authenticate(self, client_id: str, form: dict[str, str], headers: dict[str, str]) -> None:
        method = self.world.methods[client_id]
        if method == "client_secret_basic":
            headers.setdefault("Authorization", basic(client_id, self.world.secrets[client_id]))
        else:
            form.setdefault("client_id", client_id)
            if method == "client_secret_post":
                form.setdefault("client_secret", self.world.secrets[client_id])

    def _fill(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._fill(item) for item in value]
        return _PLACEHOLDER.sub(self._value, value) if isinstance(value, str) else value

    def _value(self, match: re.Match[str]) -> str:
        name = match[1]
        if "*" in name:
            return name[0] * int(name[2:])
        kind, _, rest = name.partition(".")
        if kind == "issuer":
            return self.world.services.settings.issuer
        if kind == "secret":
            return self.world.secrets[rest]
        if kind == "basic":
            return basic(rest, self.world.secrets[rest])
        if kind == "forged":
            text = forge.FORGERIES[rest](self.world, self.saved["at"])
            self.secrets.add(text)
            return text
        value = self.saved[kind]
        for part in filter(None, rest.split(".")):
            value = value[part]
        return str(value)

    # --- what holds afterwards ----------------------------------------------------------------------

    def _register_bystander(self) -> None:
        if BYSTANDER in self.world.secrets:
            return
        values = {
            "client_id": BYSTANDER, "client_name": BYSTANDER, "state": "active", "tier": "gold",
            "token_endpoint_auth_method": "client_secret_basic", "grant_types": ["client_credentials"],
            "redirect_uris": [], "scopes": ["payments:read"], "profile": "oauth21",
        }  # fmt: skip
        _, secret = self.world.services.clients.create(values)
        assert secret is not None
        self.world.secrets[BYSTANDER], self.world.methods[BYSTANDER] = secret, "client_secret_basic"
        self.world.services.versions.forget()

    def _happy(self) -> None:
        """I1: the server lives, and somebody else gets a token that counts."""
        alive = self.wire.send(Request("GET", "/healthz", address=BYSTANDER_ADDRESS))
        assert (alive.status, alive.json) == (200, {"status": "ok"})
        token = {"token": "happy", "as": BYSTANDER, "address": BYSTANDER_ADDRESS}
        self._obtain(token | {"form": {"scope": "payments:read", "resource": PAYMENTS}})
        self.send(
            {"status": 200, "body": {"active": True, "client_id": BYSTANDER}},
            **{"send": "POST /introspect", "as": "rs_payments", "form": {"token": "{happy}"}},
            address=BYSTANDER_ADDRESS,
        )
