"""Attackers who have the right password, or a session, of somebody: each kind with its own ways.

Each function gives the attempt at one victim, who last signed in as ``last`` tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from ..login.risk.history import Attempt, DeviceState
from .people import DAY, HOUR, Person
from .world import PHONES, City, cities, exit_node, hosted, line, mobile, some_agent, some_city

Attack = Callable[[Random, Person, Attempt, int], Attempt]


def stuffing(rng: Random, _victim: Person, _last: Attempt, at: int) -> Attempt:
    """Leaked passwords tried by a program, through homes and exits all over the world."""
    city = rng.choice(cities())
    place = exit_node(rng, city) if rng.random() < 0.3 else line(rng, city, 40)
    agent = "chrome/windows" if rng.random() < 0.7 else rng.choice(("unknown", "chrome/linux"))
    return Attempt(
        at,
        place,
        "none",
        agent,
        "shop",
        account_failures=rng.choices((0, 1), (80, 20))[0],
        address_failures=rng.choices((0, 1, 3, 6, 12), (35, 20, 20, 15, 10))[0],
        neighbours=rng.choices((0, 1, 2, 5), (60, 20, 15, 5))[0],
    )


def spraying(rng: Random, _victim: Person, _last: Attempt, at: int) -> Attempt:
    """A few common passwords tried at everybody, from rented servers; here one of them was right."""
    return Attempt(
        at,
        hosted(rng, rng.choice(cities())),
        "none",
        rng.choice(("chrome/windows", "unknown")),
        "bank",
        account_failures=rng.choice((0, 1, 2, 3, 4)),
        address_failures=rng.choice((4, 8, 12, 16, 19)),
        neighbours=rng.choice((0, 1, 2, 4)),
    )


def travel(rng: Random, victim: Person, last: Attempt, at: int) -> Attempt:
    """Somebody on another continent, minutes or hours after the owner."""
    far = [city for city in cities() if abs(city.longitude - victim.home_city.longitude) > 50]
    soon = last.at + int(rng.uniform(5 * 60, 6 * HOUR))
    place = line(rng, rng.choice(far), 40)
    return Attempt(soon if soon < at + DAY else at, place, "none", some_agent(rng), "bank")


def session_theft(rng: Random, _victim: Person, last: Attempt, at: int) -> Attempt:
    """The owner's cookies on another machine, the device's among them; half copy the browser's name too."""
    copied = rng.random() < 0.5
    agent = last.agent if copied else some_agent(rng)
    soon = last.at + int(rng.uniform(10 * 60, 2 * DAY))
    city = some_city(rng) if rng.random() < 0.5 else rng.choice(cities())
    place = exit_node(rng, city) if rng.random() < 0.25 else line(rng, city, 40)
    state: DeviceState = "known" if agent == last.agent else "mismatch"
    return Attempt(soon if soon < at + DAY else at, place, state, agent, last.client, last.amount)


def careful(rng: Random, victim: Person, last: Attempt, at: int) -> Attempt:
    """Somebody in the victim's own country, at the victim's hours, with a browser of the same kind.

    They never fail, wait for days, and come through homes and phones such as the victim's.
    """
    near = [city for city in cities() if city.country == victim.home_city.country]
    city = victim.home_city if rng.random() < 0.5 else rng.choice(near)
    place = mobile(rng, city, rng.randrange(3)) if rng.random() < 0.3 else line(rng, city)
    hour = int((rng.gauss(victim.peak, victim.spread) % 24) * HOUR)
    return Attempt(at - at % DAY + hour, place, "none", last.agent, last.client, last.amount)


def relay(rng: Random, victim: Person, last: Attempt, at: int) -> Attempt:
    """A copy of the login page that passes on what the victim types there: from a server rented nearby."""
    near = City("", victim.home_city.country, victim.home_city.latitude, victim.home_city.longitude)
    hour = int((rng.gauss(victim.peak, victim.spread) % 24) * HOUR)
    agent = last.agent if rng.random() < 0.8 else "chrome/linux"
    return Attempt(
        at - at % DAY + hour,
        hosted(rng, near),
        "none",
        agent,
        rng.choice(("shop", "bank")),
        None if last.amount is None else round(last.amount * rng.uniform(1, 8), 2),
        neighbours=rng.choices((0, 1, 3), (60, 25, 15))[0],
    )


def insider_home(rng: Random, victim: Person, last: Attempt, at: int) -> Attempt:
    """Somebody in the victim's own home or office, with a browser of their own."""
    found = careful(rng, victim, last, at)
    place = victim.office if victim.office is not None and rng.random() < 0.5 else victim.home
    return replace(found, place=place, agent=some_agent(rng))


def border(rng: Random, victim: Person, last: Attempt, at: int) -> Attempt:
    """Somebody in another country of the continent, the next day, with a browser of the same kind."""
    near = [
        city
        for city in cities()
        if city.country != victim.home_city.country
        and abs(city.longitude - victim.home_city.longitude) < 25
        and abs(city.latitude - victim.home_city.latitude) < 25
    ]
    found = careful(rng, victim, last, at)
    return replace(found, at=last.at + DAY, place=line(rng, rng.choice(near or cities())))


def next_door(rng: Random, victim: Person, last: Attempt, _at: int) -> Attempt:
    """The owner's cookies and browser's name, through a home of the same provider in the same city."""
    place = line(rng, victim.home_city, 3)
    at = last.at + int(rng.uniform(1, 12) * HOUR)
    return Attempt(at, place, "known", last.agent, last.client, last.amount)


def sim_farm(rng: Random, victim: Person, last: Attempt, at: int) -> Attempt:
    """Phones in the victim's own country, at any hour."""
    place = mobile(rng, victim.home_city, rng.randrange(3))
    hour = int(rng.uniform(0, 24) * HOUR)
    return Attempt(at - at % DAY + hour, place, "none", some_agent(rng, PHONES), last.client)


def night_proxy(rng: Random, victim: Person, _last: Attempt, at: int) -> Attempt:
    """Rented homes in the victim's city, while the victim sleeps."""
    hour = int((victim.peak + 12 + rng.uniform(-2, 2)) % 24 * HOUR)
    place = line(rng, victim.home_city, 40)
    failed, others = rng.choice((0, 1)), rng.choice((0, 0, 1))
    return Attempt(
        at - at % DAY + hour,
        place,
        "none",
        some_agent(rng),
        "bank",
        account_failures=failed,
        neighbours=others,
    )


def exit_cookie(rng: Random, victim: Person, last: Attempt, _at: int) -> Attempt:
    """The owner's cookies and browser's name, through an exit in the victim's country."""
    at = last.at + int(rng.uniform(1, 48) * HOUR)
    return Attempt(at, exit_node(rng, victim.home_city), "known", last.agent, last.client, last.amount)
