"""Limits: tiers, what their headers say, and what counters cost."""

from __future__ import annotations

import re
from typing import Any

import redis

from authserver import tiers

from ..runner import Run

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
    """Failed requests from many addresses under many names leave counters that end by themselves."""
    for address in range(addresses):
        run.send(
            {"statuses": {401: names}},
            send="POST /token",
            address=f"198.51.100.{address}",
            auth=f"basic nobody-{address}-{{n}}:x",
            form=FORM,
            repeat=names,
        )
    with redis.Redis.from_url(run.redis) as client:
        keys = list(client.scan_iter(count=1000))
        # one for each name and address, and two for each address; a window and the one before it
        assert names * addresses <= len(keys) <= 2 * addresses * (names + 2) + 20, len(keys)
        for key in keys:
            assert 0 < client.ttl(key) <= 120, key
            assert client.memory_usage(key) <= bytes_each, key


def _request(client: str) -> dict[str, Any]:
    return {"send": "POST /token", "as": client, "form": FORM}


def _rate(header: str) -> tuple[int, int]:
    match = re.fullmatch(r'"tier";r=([0-9]+);t=([0-9]+)', header)
    assert match is not None, header
    return int(match[1]), int(match[2])
