"""Attacks on adaptive authentication: cookies of devices, journeys, and what verdicts tell."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import product
from typing import Any
from urllib.parse import urlencode

from asking import follow
from plugins.factors import fresh_code, give_apps, prove, told
from plugins.people import PASSWORD, Browser, add_user
from werkzeug.test import TestResponse

from authserver.crypto import b64u, b64u_decode
from authserver.login.password import PasswordHasher
from authserver.login.risk.rules import POINTS

from ..runner import Run
from ._pages import alike, check_page, keep_cookies_secret, person, reasons_of, rows_of
from ._walk import NEW_PASSWORD, asked, payment, register

HOME, ABROAD, OTHER_CONTINENT = "192.0.2.20", "203.0.113.7", "198.51.100.7"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
RANDOM = re.compile(r"\b(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{22,}")
# words that would tell how a sign-in was judged; the names of reasons besides
TELLING = ("risk", "score", "points", "threshold", "verdict", "anomal", "suspicious", "surprise")


@dataclass
class _Agent(Browser):
    """A browser that says what it is."""

    agent: str = FIREFOX

    def _open(self, method: str, path: str, headers: dict[str, str], **arguments: Any) -> TestResponse:
        return super()._open(method, path, {"User-Agent": self.agent} | headers, **arguments)


def _at_home(run: Run, name: str = "alice", password: str = PASSWORD) -> _Agent:
    """The person's own browser: signed in, with a code where one is due, and known from then on."""
    held = _Agent(run.world.app, HOME)
    assert held.log_in(name, password).status_code == 303
    if held.get("/account").status_code != 200:
        assert prove(held, fresh_code(run.world.services, _id(run, name))).status_code == 303
    keep_cookies_secret(run, held)
    assert held.cookie("device")
    return held


def _id(run: Run, name: str) -> str:
    user = run.world.services.users.find(name)
    assert user is not None
    return user.user_id


def _thief(run: Run, cookie: str | None, address: str = HOME, agent: str = FIREFOX) -> _Agent:
    """Another machine, with the cookie of a device that was somebody's."""
    made = _Agent(run.world.app, address, agent)
    if cookie is not None:
        made.set_cookie("device", cookie)
    return made


def _judged(run: Run, answer: TestResponse) -> str:
    """Why the sign-in that was answered so was judged as it was."""
    (row,) = [row for row in rows_of(run, answer) if row["event"] == "risk.assessed"]
    return str(row["reason"])


def device_cookies(run: Run) -> None:
    """The cookie of alice's device: with bob, elsewhere, a bit changed, after a new password, revoked."""
    alice = person(run)
    person(run, "bob")
    services = run.world.services
    give_apps(services)
    cookie = str(_at_home(run).cookie("device"))
    kid, token, tag = cookie.split(".")
    flipped = b64u(bytes([b64u_decode(tag)[0] ^ 1]) + b64u_decode(tag)[1:])
    whose = [
        ("bob", _thief(run, cookie)),
        ("alice", _thief(run, cookie, "203.0.113.200", CHROME)),
        ("alice", _thief(run, f"{kid}.{token}.{flipped}")),
        ("alice", _thief(run, f"{kid}.{token[::-1]}.{tag}")),
    ]
    for name, held in whose:
        _asked_for_a_factor(run, held, name)
    (device,) = [one for one in services.device_trust.list(alice, cookie) if one.here]
    known = _thief(run, cookie).log_in()
    assert _judged(run, known) == "as_usual"
    assert services.device_trust.revoke(alice, device.device_id)
    _asked_for_a_factor(run, _thief(run, cookie), "alice")
    # a new password, by a link: the device that it was set on is no exception
    cookie = str(_at_home(run).cookie("device"))
    run.secrets.add(NEW_PASSWORD)
    link = services.links.make(alice, "reset")
    assert services.links.redeem(link, PasswordHasher(services.settings).hash(NEW_PASSWORD)) == alice
    _asked_for_a_factor(run, _thief(run, cookie), "alice", NEW_PASSWORD)


def _asked_for_a_factor(run: Run, held: _Agent, name: str, password: str = PASSWORD) -> None:
    answer = held.log_in(name, password)
    assert answer.status_code == 303
    assert _judged(run, answer) == "device_mismatch"
    assert held.get("/account").location == "/mfa"


def known_device_spares_no_factor(run: Run) -> None:
    """On the person's own device: the code at login, and that of a payment, are asked for as ever."""
    person(run)
    register(run, "merchant")
    give_apps(run.world.services)
    cookie = _at_home(run).cookie("device")
    held = _thief(run, cookie)
    assert _judged(run, held.log_in()) == "as_usual"
    assert held.get("/account").location == "/mfa"
    page = follow(held, held.get(f"/authorize?{urlencode(asked('merchant', **payment()))}"))
    assert "Approve this payment?" in page.text
    account = page.text.partition('name="account" value="')[2].partition('"')[0]
    for code in ({}, {"code": ""}, {"code": "000000"}):
        answer = held.submit(page, "/consent", decision="approve", account=account, **code)
        assert answer.status_code in (400, 401), answer.status_code
        assert "code=" not in answer.headers.get("Location", "")


def impossible_travel(run: Run) -> None:
    """Berlin, and five minutes later the right password on another continent; then a journey that is one."""
    alice = person(run)
    _at_home(run)
    run.clock.walk(300)
    far = _thief(run, None, OTHER_CONTINENT, CHROME)
    refused = far.log_in()
    wrong = _thief(run, None, OTHER_CONTINENT, CHROME).log_in(password="not it, not by any means")
    assert refused.status_code == 401
    assert _judged(run, refused) == "impossible_travel"
    assert "login.failed/risk" in reasons_of(run, refused)
    assert alike(refused) == alike(wrong)
    assert far.cookie("sid") is None
    run.world.services.risk.settle()
    assert told(run.world.app, alice) == ["sign_in_refused"]
    run.clock.walk(3 * 86_400)
    later = _thief(run, None, OTHER_CONTINENT, CHROME)
    assert later.log_in().status_code == 303
    assert later.get("/account").location == "/mfa"
    assert later.get("/mfa").location == "/confirm-device"
    assert told(run.world.app, alice) == ["sign_in_refused", "new_sign_in"]


def reasons_stay_inside(run: Run) -> None:
    """A hundred combinations of signals: answers of three kinds, alike within each, that tell no reason."""
    run.secrets.add(PASSWORD)
    reasons = {reason for reason, _, _ in POINTS.values()}
    kinds: dict[tuple[int, str], Counter[str]] = {}
    judged = Counter[str]()
    combinations = product(
        (HOME, ABROAD, OTHER_CONTINENT, "203.0.113.200", "10.1.2.3"),
        (FIREFOX, CHROME, "curl/8.0", ""),
        ("none", "own", "forged", "of another", "elsewhere"),
    )
    other = None
    for number, (address, agent, device) in enumerate(combinations):
        name = f"person{number}"
        add_user(run.world.services, name)
        own = _at_home(run, name).cookie("device")
        cookies = {"own": own, "forged": f"{own}x", "of another": other, "elsewhere": own}
        held = _thief(run, cookies.get(device), address, agent if device != "elsewhere" else CHROME)
        run.clock.walk(400)
        answer = held.log_in(name)
        other = own
        (row,) = [row for row in rows_of(run, answer) if row["event"] == "risk.assessed"]
        detail = row["detail"]
        assert {"points", "reasons", "verdict"} <= set(detail)
        judged[detail["verdict"]] += 1
        following = held.get("/account")
        landing = following if following.status_code == 200 else held.get("/mfa")
        where = landing.headers.get("Location", "")
        kinds.setdefault((answer.status_code, where), Counter())[_shape(answer)] += 1
        for told_to in (answer, following, landing):
            _says_nothing(told_to, reasons)
    assert {"allow", "confirm", "deny"} <= set(judged), judged
    assert len(kinds) == 3, kinds
    assert all(len(shapes) == 1 for shapes in kinds.values()), kinds


def _shape(answer: TestResponse) -> str:
    """All that tells one answer from another, but for values that are new each time."""
    status, headers, text = alike(answer)
    names = sorted((k, v.partition("=")[0] if k == "Set-Cookie" else v) for k, v in headers)
    if status == 401:
        check_page(answer)
    return repr((status, names, text))


def _says_nothing(answer: TestResponse, reasons: set[str]) -> None:
    # ids and tokens are random letters, and a short word is among those of a hundred pages now and then
    text = RANDOM.sub("", f"{answer.text} {sorted(answer.headers)}").lower()
    for word in (*TELLING, *reasons, *(reason.replace("_", " ") for reason in reasons)):
        assert word not in text, word
