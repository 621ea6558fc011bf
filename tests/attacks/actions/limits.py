"""Limits: tiers, what their headers say, and what counters cost."""

from __future__ import annotations

import re
from typing import Any

import redis

from authserver import tiers
from authserver.throttle.shared import MARK_SECONDS

from ..runner import Run

# of the limits in the case
LONGEST_WINDOW = 300
FORM = {"grant_type": "client_credentials", "scope": "reports"}


def set_tier(
    run: Run, client: str, tier: str, endpoint: str | None = None, limit: tuple[int, int] | None = None
) -> None:
    """The client is in ``tier``, which has ``limit`` (amount, seconds) if one is named."""
    services = run.world.services
    if endpoint and limit:
        tiers.change(services.database, services.audit, tier, endpoint, (limit[0], limit[1]))
    services.clients.set_tier(client, tier)
    services.versions.forget()


def tier_headers(run: Run, client: str) -> None:
    """``{policy}`` is what the client's tier says of itself."""
    reply = run.send({"status": 200, "issued": 1}, **_request(client))
    run.saved["policy"] = re.escape(reply.headers["ratelimit-policy"])
    assert re.fullmatch(r'"tier";q=[1-9][0-9]*;w=[1-9][0-9]*', reply.headers["ratelimit-policy"])


def headers_count_down(run: Run, client: str, amount: int, seconds: int) -> None:
    """``amount`` answers count down to zero, the next is refused, waiting times stay within the window."""
    policy = f'"tier";q={amount};w={seconds}'
    for left in range(amount - 1, -1, -1):
        reply = run.send({"status": 200, "issued": 1}, **_request(client))
        assert reply.headers["ratelimit-policy"] == policy
        remaining, reset = _rate(reply.headers["ratelimit"])
        assert remaining == left
        assert 0 < reset <= seconds, reset
    reply = run.send({"status": 429, "audit": ["ratelimit.hit/token_client"]}, **_request(client))
    assert reply.headers["ratelimit-policy"] == policy
    assert _rate(reply.headers["ratelimit"])[0] == 0
    assert 0 < int(reply.headers["retry-after"]) <= seconds


def counters_in_redis(run: Run, addresses: int, names: int, bytes_each: int) -> None:
    """Failures from many addresses under many names leave counters that end by themselves."""
    run.send({"status": 200, "page": True}, send="GET /login", browser="mallory", save="p")
    for address in range(addresses):
        place = f"198.51.100.{address}"
        run.send(
            {"statuses": {401: names}},
            send="POST /token",
            address=place,
            auth=f"basic nobody-{address}-{{n}}:x",
            form=FORM,
            repeat=names,
        )
        form = {"csrf": "{p.csrf}", "username": f"somebody-{address}-{{n}}", "password": "not the right one"}
        run.send(
            {"statuses": {401: names, 429: 2}, "page": True, "rows": None},
            send="POST /login",
            browser="mallory",
            address=place,
            form=form,
            repeat=names + 2,
        )
    with redis.Redis.from_url(run.redis) as client:
        keys = list(client.scan_iter(count=1000))
        # by name at /token alone, at the login form none: there a stranger's name costs nothing but its try
        assert not [key for key in keys if b"somebody" in key]
        # one for each name and address, two for each address and endpoint; a window and the one before it
        assert names * addresses <= len(keys) <= 2 * addresses * (names + 4) + 20, len(keys)
        for key in keys:
            longest = MARK_SECONDS if b"process/" in key else 2 * LONGEST_WINDOW
            assert 0 < client.ttl(key) <= longest, key
            assert client.memory_usage(key) <= bytes_each, key


def _request(client: str) -> dict[str, Any]:
    return {"send": "POST /token", "as": client, "form": FORM}


def _rate(header: str) -> tuple[int, int]:
    match = re.fullmatch(r'"tier";r=([0-9]+);t=([0-9]+)', header)
    assert match is not None, header
    return int(match[1]), int(match[2])
