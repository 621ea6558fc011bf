"""The world of the simulation: cities, the networks in them, and browsers."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from ..login.risk.history import Place

# (city, country, latitude, longitude, share of the people)
CITIES = (
    ("Berlin", "DE", 52.5, 13.4, 18),
    ("Munich", "DE", 48.1, 11.6, 12),
    ("Hamburg", "DE", 53.6, 10.0, 10),
    ("Paris", "FR", 48.9, 2.4, 9),
    ("Lyon", "FR", 45.8, 4.8, 4),
    ("Vienna", "AT", 48.2, 16.4, 6),
    ("Warsaw", "PL", 52.2, 21.0, 6),
    ("Madrid", "ES", 40.4, -3.7, 5),
    ("London", "GB", 51.5, -0.1, 6),
    ("New York", "US", 40.7, -74.0, 3),
    ("Lagos", "NG", 6.5, 3.4, 1),
    ("Singapore", "SG", 1.3, 103.8, 1),
    ("Sao Paulo", "BR", -23.5, -46.6, 1),
    ("Hanoi", "VN", 21.0, 105.8, 0),
    ("Kyiv", "UA", 50.5, 30.5, 1),
    ("Seattle", "US", 47.6, -122.3, 1),
)
# (kind of browser and system, share of the people)
AGENTS = (
    ("chrome/windows", 34),
    ("edge/windows", 12),
    ("firefox/windows", 6),
    ("safari/macos", 9),
    ("chrome/macos", 7),
    ("firefox/linux", 4),
)
PHONES = (("safari/iphone", 40), ("chrome/android", 50), ("samsung/android", 10))
# of a hundred lookups so many find no position, as with real databases
UNPLACED = 2


@dataclass(frozen=True, slots=True)
class City:
    """Where people live, and travel to."""

    name: str
    country: str
    latitude: float
    longitude: float


def cities() -> list[City]:
    """Every city of the world."""
    return [City(*row[:4]) for row in CITIES]


def some_city(rng: Random) -> City:
    """A city as people are spread over them."""
    row = rng.choices(CITIES, [share for *_, share in CITIES])[0]
    return City(*row[:4])


def some_agent(rng: Random, among: tuple[tuple[str, int], ...] = AGENTS) -> str:
    """A browser as they are spread."""
    return rng.choices([name for name, _ in among], [share for _, share in among])[0]


def line(rng: Random, city: City, provider: int = 6) -> Place:
    """A fixed line in a city: one of many networks of one of a few providers."""
    wide = f"{city.country}/line/{rng.randrange(provider)}/{rng.randrange(20)}"
    return place(rng, f"{wide}/{rng.randrange(200)}", wide, city)


def mobile(rng: Random, city: City, provider: int) -> Place:
    """A phone's network: a provider has few for a whole country, and a phone is in another one each time."""
    wide = f"{city.country}/mobile/{provider}"
    return place(rng, f"{wide}/{rng.randrange(30)}", wide, city)


def exit_node(rng: Random, country: City, kinds: int = 40) -> Place:
    """An anonymising network's exit. Lists know nine of ten."""
    wide = f"exit/{country.country}/{rng.randrange(4)}"
    found = place(rng, f"{wide}/{rng.randrange(kinds)}", wide, country)
    return Place(
        found.network, found.wide, found.country, found.latitude, found.longitude, rng.random() < 0.9
    )


def hosted(rng: Random, city: City) -> Place:
    """A rented server: on no list of anonymising networks."""
    wide = f"{city.country}/hosting/{rng.randrange(30)}"
    return place(rng, f"{wide}/{rng.randrange(50)}", wide, city)


def place(rng: Random, network: str, wide: str, city: City) -> Place:
    """A network as a database places it: within a degree or so, now and then not at all."""
    if rng.randrange(100) < UNPLACED:
        return Place(network, wide, anonymising=False)
    # the same network is found at the same place each time
    own = Random(network)
    latitude = round(city.latitude + own.gauss(0, 0.6))
    longitude = round(city.longitude + own.gauss(0, 0.6))
    return Place(network, wide, city.country, latitude, longitude, False)
