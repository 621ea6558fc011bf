"""How often people may try to log in: from one address, and at the whole server."""

from __future__ import annotations

from dataclasses import replace

from ..audit import Audit, Entry, Event
from ..config import Settings
from ..throttle import Limit, Throttle
from ..users import LOCK_SECONDS, MAX_FAILURES

SERVER = "login_server"
ADDRESS = "login_ip"
ALARM = "login_alarm"
CHALLENGE = "webauthn_ip"


class LoginLimits:
    """Counts attempts before they are judged, failures after; what succeeds is given back to its address."""

    def __init__(self, throttle: Throttle, audit: Audit, settings: Settings) -> None:
        self._throttle = throttle
        self._audit = audit
        self._address = Limit.parse(settings.limit_login_address)
        self._server = Limit.parse(settings.limit_login_server)
        self._alarm = Limit.parse(settings.login_alarm)
        self._asked = Limit.parse(settings.limit_authorize_address)

    def take(self, address: str) -> int:
        """0 if the attempt may be made, else the seconds to wait; an unknown address counts as one place."""
        if not self._throttle.take(self._address, ADDRESS, address):
            self._throttle.refuse(self._address, ADDRESS, address)
            return self._address.seconds
        if not self._throttle.take(self._server, SERVER):
            self._throttle.refuse(self._server, SERVER, "")
            return self._server.seconds
        return 0

    def ask(self, address: str) -> int:
        """0 if the address may be given one more challenge, which is a row, else the seconds to wait."""
        if self._throttle.take(self._asked, CHALLENGE, address):
            return 0
        self._throttle.refuse(self._asked, CHALLENGE, address)
        return self._asked.seconds

    def succeeded(self, address: str) -> None:
        """The attempt does not count against its address."""
        self._throttle.give_back(self._address, ADDRESS, address)

    def failures(self, address: str) -> int:
        """How many attempts from the address failed lately, the one that is being judged not among them."""
        return max(0, self._throttle.taken(self._address, ADDRESS, address) - 1)

    def failed(self, failed: Entry, number: int, *told: Entry) -> None:
        """``failed``, the ``number``-th attempt in a row, is on record: the fifth blocks the account.

        So is what else is ``told`` of it.

        Too many over all addresses and accounts raise the alarm, once a window.
        """
        entries = [*told, failed]
        if number == MAX_FAILURES:
            blocked = replace(failed, event=Event.ACCOUNT_BLOCKED, reason="five_failures")
            entries.append(replace(blocked, detail={"seconds": LOCK_SECONDS}))
        # by one commit: a second one would tell that the account is real
        self._audit.record(*entries)
        if not self._throttle.take(self._alarm, ALARM) and self._throttle.first(ALARM, self._alarm.seconds):
            detail = {"failures": self._alarm.amount, "seconds": self._alarm.seconds}
            self._audit.record(Entry(Event.ALERT_SPRAYING, "denied", "failures", detail=detail))
