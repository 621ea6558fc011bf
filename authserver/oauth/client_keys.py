"""The public keys of clients: those registered by value, and those that a client publishes at its jwks_uri.

What a jwks_uri gave counts for five minutes, and an hour more while it does not answer. A kid that is not
among them makes this process look again, at most once in thirty seconds: a flood of kids fetches nothing.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from .. import clock, jwks, logs
from ..audit import Audit, Entry, Event
from ..clients import ClientRecord
from ..errors import Invalid, Unavailable
from ..jwks import PublicKey
from ..outgoing import Failed, Outgoing, Refused

FRESH_SECONDS = 300
STALE_SECONDS = 3600
LOOK_AGAIN_SECONDS = 30
MAX_ADDRESSES = 1000
HEADERS = {"Accept": "application/jwk-set+json, application/json"}
OK = 200
logger = logging.getLogger(__name__)


@dataclass
class _Published:
    """What an address gave last; times in Unix seconds, 0 for never."""

    keys: tuple[PublicKey, ...] = ()
    got_at: int = 0
    tried_at: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class ClientKeys:
    """Finds the key that a client says it signed with."""

    def __init__(self, outgoing: Outgoing, audit: Audit) -> None:
        self._outgoing = outgoing
        self._audit = audit
        self._published: dict[str, _Published] = {}
        self._lock = threading.Lock()

    def find(self, client: ClientRecord, kid: str, alg: str) -> PublicKey | None:
        """The client's key ``kid`` for ``alg``, None if it has none; may fetch its jwks_uri.

        Unavailable while another thread fetches that address, or no place for a call is free, and nothing is
        known of it yet.
        """
        if client.jwks_uri is None:
            return jwks.choose(client.keys, kid, alg)
        published = self._of(client.jwks_uri)
        now = clock.now()
        if now - published.got_at > FRESH_SECONDS:
            try:
                self._look(client, published, now)
            except Unavailable:
                # others fill all places for calls: known keys count on
                if now - published.got_at > STALE_SECONDS:
                    raise
        found = jwks.choose(published.keys, kid, alg) if now - published.got_at <= STALE_SECONDS else None
        if found is None and self._look(client, published, now):
            found = jwks.choose(published.keys, kid, alg)
        return found

    def _of(self, uri: str) -> _Published:
        with self._lock:
            if len(self._published) >= MAX_ADDRESSES and uri not in self._published:
                self._published.pop(next(iter(self._published)))
            return self._published.setdefault(uri, _Published())

    def _look(self, client: ClientRecord, published: _Published, now: int) -> bool:
        """Whether there may be new keys: the address was asked, not too soon after the last time."""
        if not published.lock.acquire(blocking=False):
            if not published.got_at:
                raise Unavailable("jwks_uri", retry_after=1)
            return False
        try:
            before = published.tried_at
            if before and now - before < LOOK_AGAIN_SECONDS:
                return False
            published.tried_at = now
            answer = self._outgoing.get(str(client.jwks_uri), HEADERS)
            if answer.status != OK:
                raise Failed("status")
            held, published.keys = published.keys, jwks.parse_text(answer.body)
            published.got_at = now
            if _values(held) != _values(published.keys):
                detail = {"kids": [key.kid for key in published.keys]}
                entry = Entry(Event.CLIENT_KEYS_REFRESHED, client_id=client.client_id, detail=detail)
                self._audit.record(entry)
        except (Failed, Refused, Invalid) as error:
            logger.warning("jwks_uri", extra={logs.FIELDS: {"cause": f"{type(error).__name__}: {error}"}})
            return False
        except Unavailable:
            # nobody was asked
            published.tried_at = before
            raise
        finally:
            published.lock.release()
        return True


def _values(keys: tuple[PublicKey, ...]) -> list[object]:
    return [(key.kid, key.key.as_dict(private=False)) for key in keys]
