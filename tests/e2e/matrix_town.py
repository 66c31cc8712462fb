"""The planted town as the table speaks of it: who asks, and for what."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.dispatch.loads.marks import Marks
from services.kit import database
from services.kit.ids import new_id
from services.kit.vault import Master
from tests.e2e.planted import NOBODY, Planting
from tests.serving import headers

# One row each: the ids of what the table's things are, under the names that the routes have for them.
FIND = {
    "catalog": """
        SELECT (SELECT assignment_id FROM assignments WHERE outlet_id = :shop LIMIT 1) AS assignment_id,
               (SELECT rule_id FROM price_rules LIMIT 1) AS rule_id,
               (SELECT policy_id FROM supply_policies ORDER BY valid_from DESC LIMIT 1) AS supply_policy_id
    """,
    "orders": """
        SELECT zones.incident_id,
               (SELECT order_id FROM orders WHERE household_id = :home AND slot_id = :slot) AS order_id,
               group_id, leader,
               (SELECT zone_id FROM zones WHERE status = 'prepared') AS prepared_zone_id,
               (SELECT code FROM areas WHERE area_id = :village) AS community_code
        FROM zones JOIN group_orders USING (zone_id) WHERE zone_id = :zone AND slot_id = :slot
    """,
    "dispatch": """
        SELECT load_id, load_unit_id, portion_id, loads.outlet_id, loads.slot_id AS packed_slot_id,
               portions.order_id AS packed_order_id, trip_id, trips.plan_id, trips.vehicle_id, driver_id,
               plate,
               (SELECT load_id FROM loads WHERE form = 'bulk') AS bulk_load_id,
               (SELECT load_unit_id FROM load_units JOIN loads USING (load_id)
                WHERE form = 'bulk' AND kind <> 'household_bag' LIMIT 1) AS crate_id,
               (SELECT split_id FROM splits) AS split_id, (SELECT occurred_at FROM splits) AS split_at,
               (SELECT offer_id FROM split_losses) AS lost_offer_id,
               (SELECT grams FROM split_losses) AS lost_g,
               (SELECT breach_id FROM breaches WHERE closed_at IS NULL) AS breach_id,
               (SELECT rescue_id FROM rescues WHERE cause = 'duty_lapsed') AS rescue_id
        FROM loads JOIN load_units USING (load_id) JOIN portions USING (load_id, portion_id)
        JOIN trip_loads USING (load_id) JOIN trips USING (trip_id) JOIN vehicles USING (vehicle_id)
        WHERE loads.household_id = :home AND trips.status = 'planned'
    """,
    "whitelist": """
        SELECT id AS policy_id FROM policies LIMIT 1
    """,
}
# The one trip that has not left yet also takes what waits for the resident.
RIDE = """
    INSERT INTO trip_loads (trip_id, load_id, is_held)
    SELECT trip_id, load_id, true FROM trips, loads
    WHERE trips.status = 'planned' AND household_id = :home
        AND NOT EXISTS (SELECT FROM trip_loads WHERE trip_loads.load_id = loads.load_id)
"""


@dataclass(frozen=True, kw_only=True)
class Town:
    """Headers of everybody, and the ids of the things."""

    heads: Mapping[str, Mapping[str, str]]
    things: Mapping[str, str]


async def survey(planting: Planting, urls: Mapping[str, str], folder: Path) -> Town:
    """Return who and what the table speaks of."""
    await _do(urls["dispatch"], RIDE, home=planting.households[0])
    here, shops = planting.town, planting.shops
    slot_id = planting.zone["slot_ids"][1]
    given = {
        "shop": shops[0], "zone": planting.zone["zone_id"], "home": planting.households[0], "slot": slot_id,
        "village": here.villages[0],
    }  # fmt: skip
    things = {
        "zone_id": planting.zone["zone_id"], "outlet_id": str(shops[0]), "product_id": planting.products[0],
        "household_id": str(planting.households[0]), "community_id": str(here.villages[0]),
        "building_id": str(here.all_buildings[0]), "person_id": planting.steward,
        "slot_id": slot_id, "closed_slot_id": planting.zone["slot_ids"][0],
        "other_community_id": str(here.villages[1]),
    }  # fmt: skip
    for service, query in FIND.items():
        things |= await _find(urls[service], query, given)
    things["hand_over_id"] = str(new_id())
    marks = Marks(Master.of_file(folder / "master.key").derive("dispatch.marks"))
    things["label"] = marks.label_of(UUID(things["load_unit_id"]))
    things["crate_label"] = marks.label_of(UUID(things["crate_id"]))
    others = [shop for shop in shops if str(shop) != things["outlet_id"]]
    area = [here.town_id]
    heads = {
        "resident": headers("resident", subject=new_id(), household_id=planting.households[0]),
        "neighbour": headers("resident", subject=new_id(), household_id=planting.households[3]),
        "leader": headers("leader", subject=things["leader"], zone_ids=here.villages),
        "steward": headers("steward", subject=planting.steward),
        "steward2": headers("steward", subject=new_id()),
        "driver": headers("driver", subject=things["driver_id"]),
        "driver2": headers("driver", subject=new_id()),
        "runner": headers("runner", subject=new_id()),
        "guard": headers("guard", subject=new_id()),
        "shop": headers("outlet", subject=new_id(), outlet_id=things["outlet_id"]),
        "shop2": headers("outlet", subject=new_id(), outlet_id=others[0]),
        "hotline": headers("hotline", subject=new_id(), zone_ids=area),
        "commander": headers("commander", subject=new_id(), zone_ids=area),
        "commander2": headers("commander", subject=new_id(), zone_ids=[new_id()]),
        "regulator": headers("regulator", subject=new_id()),
        "officer": headers("health_officer", subject=new_id()),
        "sponsor": headers("sponsor", subject=new_id()),
        "nobody": NOBODY,
    }
    return Town(heads=heads, things=things)


async def _do(url: str, statement: str, **given: Any) -> None:
    engine = database.create_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text(statement), given)
    await engine.dispose()


async def _find(url: str, query: str, given: Mapping[str, Any]) -> dict[str, str]:
    engine = database.create_engine(url)
    async with engine.connect() as connection:
        asked = {name: value for name, value in given.items() if f":{name}" in query}
        row = (await connection.execute(text(query), asked)).one()
    await engine.dispose()
    return {name: str(value) for name, value in row._mapping.items()}  # noqa: SLF001 - a row's public face
