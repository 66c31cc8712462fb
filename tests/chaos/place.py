"""The town of a trial: a household for every second order, shelves that last but one good, three slots."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.console.scenarios import case as cases
from services.console.scenarios import goods, people, town, zone
from services.console.scenarios.case import Case
from services.console.scenarios.town import Town
from services.console.scenarios.voices import Voices

BUILDINGS = 4
ORDERS_A_HOUSEHOLD = 2
SCARCE = "盒饭"
# From the beginning of the set-up: the first slot closes under load.
OPENS_AFTER = 20.0


@dataclass(frozen=True, slots=True)
class Place:
    """What the load needs to know of the town."""

    town: Town
    slots: list[str]
    prices: dict[str, int]
    phones: list[str]


def make_case(orders: int) -> Case:
    """Return the village of `make run`, with room for so many orders of everything but one good."""
    case = cases.load("village")
    scale = case.facts.scale
    assert scale is not None
    many = 10 * orders
    facts = case.facts.model_copy(update={"scale": scale.model_copy(update={"largest_shop_orders": many})})
    assumed = case.assumed.model_copy(
        update={
            "buildings_a_village": BUILDINGS,
            # What shops are asked to pick is what so many households are expected to need.
            "households_a_building": max(25, orders // BUILDINGS // ORDERS_A_HOUSEHOLD),
            "shop_orders": (many, many + 100),
            "vehicle_capacity_g": 100_000_000, "vehicle_capacity_pieces": 100_000, "scarce": SCARCE,
            "quota": cases.Quota(orders=1000, units=10_000), "stock_units": many,
        }
    )  # fmt: skip
    return case.model_copy(update={"facts": facts, "assumed": assumed})


async def found(voices: Voices, *, orders: int, seconds: float) -> Place:
    """Set the town up and open its zone; the load is to take about so many seconds."""
    case = make_case(orders)
    place = await town.found(case, voices)
    await goods.list_goods(place)
    await people.gather_people(place)
    cut_off = datetime.now(UTC) + timedelta(seconds=OPENS_AFTER + seconds / 2)
    # Apart by more than a slot's length, so that each has all vehicles for itself.
    times = [cut_off, *(cut_off + timedelta(hours=4 * number) for number in (1, 2))]
    opened = await zone.open_zone(place, [zone.slot_at(at) for at in times])
    slots = (await place.commander.get(f"/v1/zones/{opened['zone_id']}/slots"))["slots"]
    menu = (await place.commander.get(f"/v1/zones/{opened['zone_id']}/menu"))["lines"]
    return Place(
        town=place,
        slots=[slot["slot_id"] for slot in slots],
        prices={line["product_id"]: line["price_fen"] for line in menu},
        phones=[household["contact"]["phone"] for household in case.households()],
    )
