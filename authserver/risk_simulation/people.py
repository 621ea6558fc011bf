"""Honest people: hours, networks, devices, trips, new phones, and passwords that they mistype."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from ..login.risk.history import Attempt, DeviceState, Place
from .world import AGENTS, PHONES, City, cities, exit_node, line, mobile, some_agent, some_city

DAY = 86_400
HOUR = 3600
CLIENTS = (("shop", 50), ("bank", 35), ("books", 15))
# of a hundred people
PRIVATE_BROWSING = 6
BEHIND_EXITS = 3
NIGHT_WORKERS = 4
COMMUTERS = 60
TRAVELLERS = 25
# networks that come out where their user need not be
ELSEWHERE = frozenset({"exit", "mobile"})


@dataclass
class Device:
    """A browser of somebody's; ``enrolled`` once a completed sign-in left the cookie in it."""

    agent: str
    phone: bool
    keeps_cookies: bool
    enrolled: bool = False


@dataclass
class Trip:
    """Away from home, from one second to another, in one hotel."""

    begins: int
    ends: int
    city: City
    hotel: Place


@dataclass
class Person:
    """Somebody with habits."""

    name: str
    home_city: City
    home: Place
    office: Place | None
    carrier: int
    peak: float
    spread: float
    per_day: float
    exits: bool
    devices: list[Device]
    spends: float
    trips: list[Trip] = field(default_factory=list)


def some_person(rng: Random, name: str, begins: int, days: int) -> Person:
    """A person, and what will happen to them in ``days`` from ``begins``."""
    city = some_city(rng)
    keeps = rng.randrange(100) >= PRIVATE_BROWSING
    devices = [Device(some_agent(rng, AGENTS), False, keeps)]
    if rng.random() < 0.75:
        devices.append(Device(some_agent(rng, PHONES), True, keeps))
    night = rng.randrange(100) < NIGHT_WORKERS
    person = Person(
        name,
        city,
        line(rng, city),
        line(rng, city) if rng.randrange(100) < COMMUTERS else None,
        rng.randrange(3),
        rng.uniform(22, 28) % 24 if night else rng.uniform(8, 21),
        rng.uniform(1.5, 4),
        min(3.0, rng.expovariate(2.5) + 0.05),
        rng.randrange(100) < BEHIND_EXITS,
        devices,
        rng.lognormvariate(3.5, 0.8),
    )
    if rng.randrange(100) < TRAVELLERS:
        for _ in range(rng.choice((1, 1, 2))):
            person.trips.append(_trip(rng, city, begins, days))
    return person


def _trip(rng: Random, home: City, begins: int, days: int) -> Trip:
    # most stay in their own country
    own = [city for city in cities() if city.country == home.country]
    goes = rng.choice(own) if rng.random() < 0.45 else rng.choice(cities())
    start = begins + int(rng.uniform(0.1, 0.9) * days * DAY)
    return Trip(start, start + int(rng.uniform(2, 14) * DAY), goes, line(rng, goes))


def sign_ins(rng: Random, person: Person, begins: int, days: int) -> list[Attempt]:
    """Everything the person did, in order. Now and then a phone or a browser is replaced."""
    found = []
    for day in range(days):
        if rng.random() < 0.004:
            _new_device(rng, person)
        for _ in range(_times(rng, person.per_day)):
            hour = rng.gauss(person.peak, person.spread) % 24
            if rng.random() < 0.05:
                hour = rng.uniform(0, 24)
            found.append(begins + day * DAY + int(hour * HOUR))
    return _told_apart([_sign_in(rng, person, at) for at in sorted(found)])


def _told_apart(attempts: list[Attempt]) -> list[Attempt]:
    """Without those that no body could have made: nobody is in two cities within the hours between them.

    Exits and phones, which come out elsewhere, and networks that no database places tell nothing of a body.
    """
    kept: list[Attempt] = []
    last: Attempt | None = None
    for attempt in attempts:
        if attempt.place.country and not ELSEWHERE.intersection(attempt.place.wide.split("/")):
            if last and last.place.country != attempt.place.country and attempt.at - last.at <= DAY:
                continue
            last = attempt
        kept.append(attempt)
    return kept


def _times(rng: Random, mean: float) -> int:
    """How often in a day (Poisson, by Knuth's product of uniforms)."""
    count, product, floor = 0, rng.random(), 2.718281828**-mean
    while product > floor:
        count, product = count + 1, product * rng.random()
    return count


def _new_device(rng: Random, person: Person) -> None:
    index = rng.randrange(len(person.devices))
    old = person.devices[index]
    kinds = PHONES if old.phone else AGENTS
    # most stay with what they know
    agent = old.agent if rng.random() < 0.7 else some_agent(rng, kinds)
    person.devices[index] = Device(agent, old.phone, old.keeps_cookies)


def _sign_in(rng: Random, person: Person, at: int) -> Attempt:
    device = rng.choices(person.devices, [3, 4][: len(person.devices)])[0]
    if rng.random() < 0.01:
        # somebody else's computer
        device = Device(some_agent(rng), False, False)
    state: DeviceState = "known" if device.enrolled else "none"
    device.enrolled = device.enrolled or (device.keeps_cookies and rng.random() < 0.97)
    if device.enrolled and rng.random() < 0.004:
        # cookies were cleared
        device.enrolled, state = False, "none"
    client = rng.choices([name for name, _ in CLIENTS], [share for _, share in CLIENTS])[0]
    amount = round(person.spends * rng.lognormvariate(0, 0.7), 2) if client != "books" else None
    return Attempt(
        at,
        _where(rng, person, device, at),
        state,
        device.agent,
        client,
        amount,
        account_failures=_mistyped(rng),
        address_failures=rng.choices((0, 1, 2, 4), (92, 5, 2, 1))[0],
        neighbours=rng.choices((0, 1, 2, 3), (90, 6, 3, 1))[0],
    )


def _where(rng: Random, person: Person, device: Device, at: int) -> Place:
    if person.exits and rng.random() < 0.8:
        return exit_node(rng, person.home_city, 5)
    trip = next((trip for trip in person.trips if trip.begins <= at < trip.ends), None)
    city = trip.city if trip else person.home_city
    if device.phone and rng.random() < 0.55:
        # abroad too the traffic of a phone comes out where its provider is
        return mobile(rng, person.home_city, person.carrier)
    if trip:
        return trip.hotel if rng.random() < 0.8 else line(rng, city)
    if rng.random() < 0.03:
        return line(rng, city)
    working = 8 <= (at % DAY) // HOUR < 18
    return person.office if working and person.office is not None and not device.phone else person.home


def _mistyped(rng: Random) -> int:
    return rng.choices((0, 1, 2, 3), (90, 7, 2, 1))[0]
