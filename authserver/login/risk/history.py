"""What a sign-in looks like to the judges of risk: the attempt at hand, and those before it.

Nothing here names a place on the network or a browser: they are keyed digests, which can only be compared.
An empty text, or None, is what nobody could tell; it is never read as "as usual".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# as many of a person's sign-ins as are compared with
MOST_PAST = 50

# what the browser's cookie says: none was sent, it is the person's and whole, or it is not what it claims
DeviceState = Literal["none", "known", "mismatch"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address is: its network (/24, /48) and the wider one (/16, /32), and what a database says.

    ``country`` is ISO 3166-1 alpha-2; the position is in degrees, rounded to whole ones.
    ``anonymising`` is None where no list of such networks is kept.
    """

    network: str = ""
    wide: str = ""
    country: str = ""
    latitude: float | None = None
    longitude: float | None = None
    anonymising: bool | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A right password, or a token to refresh, and where it comes from; ``at`` in Unix seconds.

    ``agent`` is the kind of browser and system, not their versions. Failures are those in a row on the
    account, and those lately from the address; ``neighbours`` are other people who lately signed in
    from the network. ``amount`` is what will be paid, in the currency's units; None for no payment.
    """

    at: int
    place: Place = Place()
    device: DeviceState = "none"
    agent: str = ""
    client: str = ""
    amount: float | None = None
    account_failures: int = 0
    address_failures: int = 0
    neighbours: int = 0


@dataclass(frozen=True, slots=True)
class Past:
    """A sign-in of the person that was completed. ``trusted`` if its device was known then."""

    at: int
    place: Place = Place()
    agent: str = ""
    client: str = ""
    amount: float | None = None
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """The person's last completed sign-ins, the newest first."""

    past: tuple[Past, ...] = ()

    def with_(self, attempt: Attempt) -> History:
        """This history once ``attempt`` was completed, cut at what is read."""
        known = attempt.device == "known"
        done = Past(attempt.at, attempt.place, attempt.agent, attempt.client, attempt.amount, known)
        return History((done, *self.past[: MOST_PAST - 1]))
