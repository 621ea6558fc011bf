"""Runs one case: sends its steps, compares the answers, and holds the invariants."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from plugins.app import PAYMENTS, World
from sqlalchemy import func, select

from authserver.audit.chain import rows as audit_rows
from authserver.audit.personal import opened
from authserver.db import table_of
from authserver.models.client import Client

from . import cast, flows, invariants
from .browsers import Browser, answer
from .corpus import Case
from .expectations import given_out, judge, variants
from .invariants import Descriptions, Logbook, Snapshot
from .stage import FORM, Stage, cookie_lines
from .wire import USUAL, Reply, Request, Wire

__all__ = ["FORM", "Run"]
BYSTANDER, BYSTANDER_ADDRESS = "bystander", "192.0.2.77"


class Run(Stage):
    """One case against one server: ``world`` sees its rooms, ``wire`` carries the requests."""

    def __init__(self, world: World, wire: Wire, descriptions: Descriptions) -> None:
        super().__init__(world)
        self.wire = wire
        self.descriptions = descriptions
        self.logbook = Logbook()
        self.more_logs: Callable[[], str] = str
        self.clock: Any = None
        self.redis: Any = None
        self.live: Any = None
        # started beside the first one, see actions/keys.py
        self.apps: list[Any] = []
        cast.client(world, BYSTANDER)
        self._first_row = self._last_row()

    # --- the case -----------------------------------------------------------------------------------

    def play(self, case: Case, actions: dict[str, Callable[..., None]]) -> None:
        """Every step of ``case`` went as it says; what must hold after every case holds.

        But for the audit chain (I5), which whoever made the world checks when its last case has ended.
        """
        with self.logbook.open():
            self.call(case)
            for step in case.steps:
                if "do" in step:
                    actions[step["do"]](self, **step.get("with", {}))
                    self._snapshot = None
                elif "token" in step:
                    self._obtain(step)
                elif "send" in step:
                    self._send_all(step, case.expect)
                else:
                    self._walk(step)
            self._happy()
        self.check_secrets()

    def send(self, expect: dict[str, Any] | None = None, **step: Any) -> Reply:
        """One request of an action, with all that holds for a step; gives the answer."""
        self._snapshot = None  # an action may have changed something since
        return self._burst(step, expect or {})[0]

    def check_secrets(self) -> None:
        """I6 for everything logged and written since the case began, and for what rests."""
        secrets = {s for s in self.secrets | set(self.world.secrets.values()) if len(s) >= 16}
        tables = Snapshot.of(self.world.services).tables.values()
        places = {
            "log": "\n".join(self.logbook.lines) + self.more_logs(),
            "audit log": json.dumps(self._rows_after(self._first_row)),
            "database": "\n".join(itertools.chain.from_iterable(tables)),
        }
        invariants.check_secrets(secrets, places)

    # --- steps --------------------------------------------------------------------------------------

    def _obtain(self, step: dict[str, Any]) -> None:
        form = {"grant_type": "client_credentials"} | step.get("form", {"scope": "payments:read"})
        request = {"send": "POST /token", "as": step.get("as", "svc1"), "form": form}
        expect = {"status": 200, "issued": 1, "audit": ["token.issued"]}
        reply = self._burst(request | {"address": step.get("address", USUAL)}, expect)[0]
        self.saved[step["token"]] = reply.json["access_token"]

    def _walk(self, step: dict[str, Any]) -> None:
        """One of the honest ways (flows.py)."""
        who = {
            name: step[name] for name in ("client", "user", "browser", "verifier", "address") if name in step
        }
        if "set" in step:
            who["changes"] = step["set"]
        if "login" in step:
            flows.log_in(self, step["login"], **who)
        elif "code" in step:
            given = flows.code(self, **who)
            self.saved[step["code"]] = given["code"]
        else:
            self.saved[step["tokens"]] = flows.tokens(self, **who)
        self._snapshot = None

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
        seen = self._exchange(step, sent)
        replies = [chain[-1] for chain in seen]
        try:
            for reply in itertools.chain.from_iterable(seen):
                self._look(reply, sent)
            self._judge(replies, expect)
            self._judge_audit(list(itertools.chain.from_iterable(seen)), expect, known)
            after = self._snapshot = Snapshot.of(self.world.services)
            if (rows := expect.get("rows", {})) is not None:
                invariants.check_state(before, after, rows, expect.get("issued", 0))
        except AssertionError as error:
            last = replies[-1]
            error.add_note(f"{step}\n{last.status} {last.headers}\n{last.body[:2000]!r}")
            raise
        if name := step.get("save"):
            self.saved[name] = self._kept(replies[-1])
        return replies

    def _exchange(self, step: dict[str, Any], sent: list[str]) -> list[list[Reply]]:
        """The answers to each request of a step, with those on the way to it where redirects are followed."""
        browser = self.browser(step["browser"]) if "browser" in step else None
        if count := step.get("parallel"):
            seen = [[reply] for reply in self.at_once([self.request(step, sent)] * count)]
            for chain in seen if browser else ():
                assert browser is not None
                browser.see(chain[0])
            return seen
        seen = []
        for number in range(step.get("repeat", 1)):
            self.saved["n"] = str(number + 1)
            chain = [self.wire.send(self.request(step, sent))]
            if browser is not None:
                browser.see(chain[0])
                self._follow(browser, chain, step)
            seen.append(chain)
        return seen

    def at_once(self, requests: list[Request]) -> list[Reply]:
        """The answers to ``requests``, all sent in the same moment."""
        ready = Barrier(len(requests))

        def send(request: Request) -> Reply:
            ready.wait(10)
            return self.wire.send(request)

        with ThreadPoolExecutor(len(requests)) as pool:
            return list(pool.map(send, requests))

    def _follow(self, browser: Browser, chain: list[Reply], step: dict[str, Any]) -> None:
        address = self.fill(step.get("address", USUAL))
        while step.get("follow") and chain[-1].location.startswith("/"):
            assert len(chain) < 8, f"in a circle: {[reply.location for reply in chain]}"
            line = cookie_lines(browser.cookies)
            chain.append(self.wire.send(Request("GET", chain[-1].location, line, address=address)))
            browser.see(chain[-1])

    def _kept(self, reply: Reply) -> dict[str, Any]:
        """What a step saves: an object of JSON, the parameters of a redirect or a page's hidden fields."""
        if (response := answer(reply)) is not None:
            return response[1]
        if reply.location:
            return dict(parse_qsl(urlsplit(reply.location).query))
        if reply.html:
            return Browser(page=reply).hidden
        return dict(reply.json)

    def _look(self, reply: Reply, sent: list[str]) -> None:
        """What holds for every answer."""
        issuer = self.world.services.settings.issuer
        self.secrets |= given_out(reply)
        if reply.html:
            invariants.check_page(reply)
            invariants.check_escaped(reply, sent)
        if reply.request.target.startswith("/end_session"):
            invariants.check_way_out(reply, self._registered("post_logout_redirect_uris"))
        elif reply.location or reply.html:
            invariants.check_ways(reply, self._registered("redirect_uris"), issuer)
        invariants.check_cookies(reply)
        if reply.status >= 400:
            if not reply.html:
                invariants.check_error(reply)
            invariants.check_echo(reply, [value for value in sent if value not in issuer])

    def _judge(self, replies: list[Reply], expect: dict[str, Any]) -> None:
        if "statuses" in expect:
            counted = dict.fromkeys(expect["statuses"], 0)
            for reply in replies:
                counted[reply.status] = counted.get(reply.status, 0) + 1
            assert counted == expect["statuses"], counted
        if "codes" in expect:
            responses = [answer(reply) for reply in replies]
            codes = [response[1]["code"] for response in responses if response and "code" in response[1]]
            assert len(codes) == expect["codes"] == len(set(codes)), responses
        for reply in replies:
            judge(reply, expect, self.fill)

    def _judge_audit(self, replies: list[Reply], expect: dict[str, Any], known: int) -> None:
        ids = {reply.request_id: reply for reply in replies}
        mine = [row for row in self._rows_after(known) if row["request_id"] in ids]
        for row in mine:
            reply = ids[row["request_id"]]
            client_ip = expect.get("client_ip", invariants.canonical(reply.request.address))
            invariants.check_audit_row(row, client_ip)
            if (told := _told(reply)) is not None:
                reason = f"{row['event']}/{row['reason']}", told[0], reply.status
                self.descriptions.check(reason, told[1])
        told_events = {(row["event"], row["reason"]) for row in mine}
        for wanted in expect.get("audit", ()):
            event, _, reasons = wanted.partition("/")
            fits = [(e, r) for e, r in told_events if e == event and (not reasons or r in reasons.split("|"))]
            assert fits, f"no audit row {wanted}, but {sorted(told_events)}"

    def _registered(self, member: str) -> list[str]:
        with self.world.services.database.reading() as connection:
            found = connection.execute(select(table_of(Client).c[member])).scalars()
            return list(itertools.chain.from_iterable(found))

    def _last_row(self) -> int:
        with self.world.services.database.reading() as connection:
            return connection.execute(select(func.max(audit_rows.c.id))).scalar() or 0

    def _rows_after(self, row_id: int) -> list[dict[str, Any]]:
        query = select(audit_rows).where(audit_rows.c.id > row_id).order_by(audit_rows.c.id)
        with self.world.services.database.reading() as connection:
            resting = connection.execute(query).mappings().all()
            return opened(self.world.services.person_keys, connection, resting)

    # --- what holds afterwards ----------------------------------------------------------------------

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


def _told(reply: Reply) -> tuple[str, str] | None:
    """The error and the text that a caller is told, or None: a page has words of its own."""
    if (response := answer(reply)) is not None and "error" in response[1]:
        return response[1]["error"], response[1]["error_description"]
    if reply.status >= 400 and not reply.html and reply.request.method != "HEAD":
        return reply.json["error"], reply.json["error_description"]
    return None
