import random

import httpx
import pytest
from sqlalchemy import text

from services.contracts.catalog import ZoneSupplied
from services.contracts.orders import (
    AreaLevel,
    AreaStated,
    OrderConfirmed,
    OrderRefused,
    SlotClosed,
    ZoneClosed,
)
from services.contracts.values import AssignedOutlet, OutletKind, Point, ZoneClass
from services.dispatch.loads import domain, queries
from services.dispatch.places import queries as places_queries
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import (
    GATE,
    make_cancelled,
    make_duty,
    make_line,
    make_order,
    make_zone,
    rows,
    tell,
)


async def count(sessions: Sessions) -> tuple[int, ...]:
    return tuple(
        [len(await rows(sessions, f"SELECT 1 FROM {table}")) for table in ("loads", "load_units", "portions")]
    )


async def is_complete(sessions: Sessions, slot_id) -> bool:
    async with sessions() as session:
        wave = (await queries.find_waves(session, [slot_id]))[slot_id]
    return domain.is_complete(expected=wave.expected, confirmed=wave.confirmed)


async def test_an_order_of_two_outlets_is_two_loads(service_sessions: Sessions) -> None:
    zone = make_zone()
    heavy, light = make_line(quantity=5, grams=5000), make_line(line=2, quantity=1, grams=500)
    await tell(service_sessions, make_order(zone, heavy, light))
    assert await count(service_sessions) == (2, 4, 2)
    found = await rows(service_sessions, "SELECT outlet_id, grams, pieces, leg FROM loads ORDER BY grams")
    assert [tuple(row) for row in found] == [(light.outlet_id, 500, 1, 0), (heavy.outlet_id, 25_000, 3, 0)]


async def test_hundreds_of_orders_become_loads_together(service_sessions: Sessions) -> None:
    zone = make_zone()
    await tell(service_sessions, *(make_order(zone) for _ in range(400)))
    assert await count(service_sessions) == (400, 400, 400)


async def test_an_order_told_again_makes_nothing_more(service_sessions: Sessions) -> None:
    order = make_order(make_zone())
    await tell(service_sessions, order)
    await tell(service_sessions, order)
    await tell(service_sessions, order, sequence=3)
    assert await count(service_sessions) == (1, 1, 1)


@pytest.mark.parametrize("first", [0, 1])
async def test_a_cancelled_orders_load_is_withdrawn_whichever_word_came_first(
    service_sessions: Sessions, first: int
) -> None:
    order = make_order(make_zone())
    words = [(order, 2), (make_cancelled(order), 3)]
    for event, sequence in (words[first], words[1 - first]):
        await tell(service_sessions, event, sequence=sequence)
    found = await rows(service_sessions, "SELECT withdrawn_at IS NOT NULL AS gone FROM loads")
    assert [row.gone for row in found] == [True]


async def test_what_is_on_its_way_is_not_withdrawn(service_sessions: Sessions) -> None:
    order = make_order(make_zone())
    await tell(service_sessions, order, sequence=2)
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE loads SET touched_at = now()"))
    refused = OrderRefused(
        order_id=order.order_id, incident_id=order.incident_id, reservation_id=order.order_id, refusals=()
    )
    await tell(service_sessions, refused, sequence=3)
    found = await rows(service_sessions, "SELECT withdrawn_at FROM loads")
    assert [row.withdrawn_at for row in found] == [None]


async def test_a_wave_is_complete_when_so_many_orders_are_there_as_its_closing_said(
    service_sessions: Sessions,
) -> None:
    zone = make_zone()
    slot_id = zone.slots[0].slot_id
    kept, late, gone = (make_order(zone) for _ in range(3))
    await tell(service_sessions, kept, gone, sequence=2)
    await tell(service_sessions, make_cancelled(gone), sequence=3)
    await tell(
        service_sessions,
        SlotClosed(slot_id=slot_id, zone_id=zone.zone_id, incident_id=zone.incident_id, confirmed=2),
    )
    assert not await is_complete(service_sessions, slot_id)
    await tell(service_sessions, late, sequence=2)
    assert await is_complete(service_sessions, slot_id)


def make_supply(zone, *outlet_ids) -> ZoneSupplied:
    outlets = tuple(
        AssignedOutlet(
            outlet_id=outlet_id,
            name=f"超市{rank}",
            kind=OutletKind.SUPERMARKET,
            position=Point(lat=39 + rank / 10, lon=116.3),
            rank=rank,
            capacity_orders=300,
        )
        for rank, outlet_id in enumerate(outlet_ids, 1)
    )
    return ZoneSupplied(
        zone_id=zone.zone_id, incident_id=zone.incident_id, outlets=outlets, missing=(), seconds_to_assign=1.5
    )


async def test_an_outlet_that_fell_away_is_still_found(service_sessions: Sessions) -> None:
    zone, first, second = make_zone(), new_id(), new_id()
    await tell(service_sessions, make_supply(zone, first), sequence=1)
    await tell(service_sessions, make_supply(zone, second), sequence=2)
    await tell(service_sessions, make_supply(zone, first), sequence=1)
    found = await rows(service_sessions, "SELECT outlet_id, is_assigned FROM outlets")
    assert {row.outlet_id: row.is_assigned for row in found} == {first: False, second: True}
    async with service_sessions() as session:
        places = await places_queries.find_outlets(session, [first, second, new_id()])
    assert set(places) == {first, second}


@pytest.mark.parametrize("seed", range(5))
async def test_words_about_places_leave_the_same_in_any_order(service_sessions: Sessions, seed: int) -> None:
    next_class = ZoneClass.CONTROLLED if seed % 2 else None
    zone, area, outlet = make_zone(), new_id(), new_id()
    renamed = zone.model_copy(update={"title": "新"})
    closed = ZoneClosed(zone_id=zone.zone_id, incident_id=zone.incident_id, zone_class=next_class)
    stated = AreaStated(
        area_id=area,
        path=(zone.path[1], area),
        level=AreaLevel.BUILDING,
        title="1号楼",
        gate=None,
        head_count=60,
        zone_class=ZoneClass.SEALED,
    )
    moved = stated.model_copy(update={"title": "2号楼", "gate": GATE})
    slot_closed = SlotClosed(
        slot_id=zone.slots[0].slot_id, zone_id=zone.zone_id, incident_id=zone.incident_id, confirmed=4
    )
    words = [
        (zone, 1), (renamed, 2), (closed, 3), (stated, 1), (moved, 2), (slot_closed, 1),
        (make_supply(zone), 1), (make_supply(zone, outlet), 2),
    ]  # fmt: skip
    chance = random.Random(seed)
    told = [*words, *words]
    chance.shuffle(told)
    for event, sequence in told:
        await tell(service_sessions, event, sequence=sequence)

    async with service_sessions() as session:
        known = (await places_queries.find_zones(session, [zone.zone_id]))[zone.zone_id]
        assert (known.is_closed, known.path) == (True, zone.path)
        # What is still carried into a zone whose regime was lifted is judged by the stricter: its own.
        assert known.zone_class is (next_class or ZoneClass.SEALED)
        assert await places_queries.find_titles(session, [area]) == {area: "2号楼"}
        assert set(await places_queries.find_outlets(session, [outlet])) == {outlet}
        gates = await places_queries.find_gates(session, [zone.communities[0].community_id])
        assert [gate.point for gate in gates.values()] == [GATE]
    found = await rows(service_sessions, "SELECT expected, starts_at FROM waves")
    assert [tuple(row) for row in found] == [(4, zone.slots[0].starts_at)]
    assert [row.title for row in await rows(service_sessions, "SELECT title FROM zones")] == ["新"]


async def shown(client: httpx.AsyncClient, path: str, *roles: str, **claims) -> list[dict]:
    answer = await client.get(path, headers=serving.headers(*roles, **claims))
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_each_sees_the_loads_that_are_theirs(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    zone, steward = make_zone(), new_id()
    mine, other = make_order(zone), make_order(zone, building_id=new_id())
    await tell(service_sessions, zone)
    await tell(service_sessions, mine, other)
    await tell(service_sessions, make_duty(steward, zone))

    async def orders_seen(role: str, query: str = "", **claims) -> set[str]:
        return {load["order_id"] for load in await shown(client, f"/v1/loads{query}", role, **claims)}

    both, own = {str(mine.order_id), str(other.order_id)}, {str(mine.order_id)}
    assert await orders_seen("commander", zone_ids=[zone.path[1]]) == both
    assert await orders_seen("commander", f"?zone_id={zone.zone_id}", zone_ids=[zone.zone_id]) == both
    assert await orders_seen("commander", zone_ids=[new_id()]) == set()
    assert await orders_seen("outlet", outlet_id=mine.lines[0].outlet_id) == own
    assert (
        await orders_seen(
            "outlet", f"?outlet_id={other.lines[0].outlet_id}", outlet_id=mine.lines[0].outlet_id
        )
        == set()
    )
    assert await orders_seen("resident", household_id=mine.household_id) == own
    assert await orders_seen("steward", subject=steward) == own
    sponsor = await client.get("/v1/loads", headers=serving.headers("sponsor"))
    assert (sponsor.status_code, sponsor.json()["code"]) == (403, "kit.forbidden")


async def test_a_pick_list_names_what_goes_into_each_bag(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    line = make_line(quantity=3, grams=5000)
    await tell(service_sessions, make_order(make_zone(), line))
    (load,) = await shown(client, f"/v1/loads?outlet_id={line.outlet_id}", "outlet", outlet_id=line.outlet_id)
    assert [[(each["name"], each["quantity"]) for each in unit["lines"]] for unit in load["units"]] == [
        [("大白菜", 2)],
        [("大白菜", 1)],
    ]


async def make_portion(sessions: Sessions) -> tuple[OrderConfirmed, str]:
    zone = make_zone()
    order = make_order(zone)
    await tell(sessions, zone)
    await tell(sessions, order)
    return order, str((await rows(sessions, "SELECT portion_id FROM portions"))[0].portion_id)


async def test_a_household_sees_its_own_portion_and_pin(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    order, portion_id = await make_portion(service_sessions)
    own = {"household_id": order.household_id}
    (portion,) = await shown(client, f"/v1/portions?order_id={order.order_id}", "resident", **own)
    assert (portion["portion_id"], portion["pin_tries_left"], portion["delivered_at"]) == (
        portion_id,
        5,
        None,
    )
    again = await client.get(f"/v1/portions/{portion_id}", headers=serving.headers("resident", **own))
    assert again.json()["pin"] == portion["pin"]
    assert len(portion["pin"]) == 6


async def test_nobody_else_sees_the_pin_and_another_household_sees_nothing(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    order, portion_id = await make_portion(service_sessions)
    command = {"zone_ids": [order.zone_id]}
    (portion,) = await shown(client, f"/v1/portions?order_id={order.order_id}", "commander", **command)
    assert portion["pin"] is None
    other = serving.headers("resident", household_id=new_id())
    assert (await client.get(f"/v1/portions?order_id={order.order_id}", headers=other)).json()["items"] == []
    for missing in (portion_id, new_id(), "none"):
        answer = await client.get(f"/v1/portions/{missing}", headers=other)
        assert (answer.status_code, answer.json()["code"]) == (404, "kit.not_found")
