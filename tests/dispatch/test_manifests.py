import asyncio
import random
from typing import Any
from uuid import UUID

import httpx

from services.contracts.orders import Form, SlotClosed, ZoneOpened
from services.dispatch.consumers import HANDLERS
from services.dispatch.fleet import queries as fleet_queries
from services.dispatch.loads import domain, queries
from services.kit import database
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import (
    HOUR,
    NOW,
    arrived,
    make_cancelled,
    make_line,
    make_order,
    make_vehicle,
    make_zone,
    pack,
    rows,
    tell,
)
from tests.dispatch.bulks import SHOP, make_decided, make_part

HOUSEHOLDS = [UUID(int=2000 + number) for number in range(3)]
WANTED = [{"cabbage": 10, "rice": 4}, {"cabbage": 9, "rice": 3}, {"eggs": 30}]


def make_group(zone: ZoneOpened, group_id: UUID) -> list[Any]:
    """The parts of three households, and the group's word."""
    parts = [
        make_part(zone, group_id, wanted, household_id=household_id)
        for household_id, wanted in zip(HOUSEHOLDS, WANTED, strict=True)
    ]
    return [*parts, make_decided(zone, group_id, len(parts))]


async def contents_of(sessions: Sessions, group_id: UUID) -> list[tuple[Any, ...]]:
    """What the loads of a group hold, without the ids that were made for them."""
    found = await rows(
        sessions,
        """
        SELECT outlet_id, loads.number AS load, loads.grams AS load_g, pieces, load_units.number, kind,
               load_units.grams, portions.household_id,
               jsonb_path_query_array(lines, '$[*].name') AS names,
               jsonb_path_query_array(lines, '$[*].quantity') AS quantities
        FROM loads JOIN load_units USING (load_id) LEFT JOIN portions USING (portion_id)
        WHERE group_id = :group_id ORDER BY outlet_id, loads.number, load_units.number
        """,
        group_id=group_id,
    )
    return [tuple(row) for row in found]


async def test_a_group_is_packed_once_when_its_word_and_all_its_parts_are_here_in_any_order(
    service_sessions: Sessions,
) -> None:
    zone, seen = make_zone(), []
    for seed in range(6):
        group_id, chance = new_id(), random.Random(seed)
        words = make_group(zone, group_id)
        told = [*words, *words]
        chance.shuffle(told)
        for place, word in enumerate(told):
            await tell(service_sessions, word)
            await pack(service_sessions)
            is_whole = len(set(map(id, told[: place + 1]))) == len(words)
            assert bool(await contents_of(service_sessions, group_id)) == is_whole
        seen.append(await contents_of(service_sessions, group_id))
    first, second, third = HOUSEHOLDS
    assert seen[0] == [
        (SHOP, 1, 87_500, 4, 1, "crate", 24_000, None, ["cabbage"], [16]),
        (SHOP, 1, 87_500, 4, 2, "crate", 25_000, None, ["rice"], [5]),
        (SHOP, 1, 87_500, 4, 3, "tote", 24_900, None, ["rice", "cabbage", "eggs"], [2, 3, 13]),
        (SHOP, 1, 87_500, 4, 4, "crate", 13_600, None, ["eggs"], [17]),
        (SHOP, 1, 87_500, 4, 5, "household_bag", 11_500, first, ["rice", "cabbage"], [2, 1]),
        (SHOP, 1, 87_500, 4, 6, "household_bag", 11_500, first, ["rice", "cabbage"], [2, 1]),
        (SHOP, 1, 87_500, 4, 7, "household_bag", 12_000, first, ["cabbage"], [8]),
        (SHOP, 1, 87_500, 4, 8, "household_bag", 11_500, second, ["rice", "cabbage"], [2, 1]),
        (SHOP, 1, 87_500, 4, 9, "household_bag", 11_000, second, ["rice", "cabbage"], [1, 4]),
        (SHOP, 1, 87_500, 4, 10, "household_bag", 6000, second, ["cabbage"], [4]),
        (SHOP, 1, 87_500, 4, 11, "household_bag", 12_000, third, ["eggs"], [15]),
        (SHOP, 1, 87_500, 4, 12, "household_bag", 12_000, third, ["eggs"], [15]),
    ]
    assert all(each == seen[0] for each in seen)
    found = await rows(service_sessions, "SELECT order_id, building_id, household_id, form FROM loads")
    assert {tuple(row) for row in found} == {(None, None, None, "bulk")}
    assert [row.count for row in await rows(service_sessions, "SELECT count(*) FROM portions")] == [18]


WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_two_last_words_at_once_pack_once(service_sessions: Sessions) -> None:
    zone, group_id = make_zone(), new_id()
    *parts, word = make_group(zone, group_id)
    await tell(service_sessions, *parts[:2])
    async with service_sessions.begin() as session:
        now = await database.now(session)
        await HANDLERS[type(parts[2])](session, [arrived(parts[2])], now)
        other = asyncio.create_task(tell(service_sessions, word))
        async with asyncio.timeout(10):
            while not await rows(service_sessions, WAITING):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.01)
    await other
    assert await asyncio.gather(pack(service_sessions), pack(service_sessions)) in ([0, 1], [1, 0])
    assert len(await contents_of(service_sessions, group_id)) == 12


async def test_a_wave_is_complete_only_when_its_groups_are_packed(service_sessions: Sessions) -> None:
    zone = make_zone()
    slot_id = zone.slots[0].slot_id
    *parts, word = make_group(zone, new_id())
    await tell(
        service_sessions,
        SlotClosed(slot_id=slot_id, zone_id=zone.zone_id, incident_id=zone.incident_id, confirmed=3),
    )

    async def confirmed() -> int:
        async with service_sessions() as session:
            wave = (await queries.find_waves(session, [slot_id]))[slot_id]
        assert domain.is_complete(expected=wave.expected, confirmed=wave.confirmed) == (wave.confirmed == 3)
        return int(wave.confirmed)

    await tell(service_sessions, *parts)
    assert await confirmed() == 0
    await tell(service_sessions, word)
    assert await confirmed() == 0
    await pack(service_sessions)
    assert await confirmed() == 3


async def test_an_ended_part_is_dropped_before_the_packing_and_after_it_changes_nothing(
    service_sessions: Sessions,
) -> None:
    group_id = new_id()
    *parts, word = make_group(make_zone(), group_id)
    await tell(service_sessions, make_cancelled(parts[0]), sequence=3)
    await tell(service_sessions, *parts, sequence=2)
    await tell(service_sessions, word)
    await pack(service_sessions)
    left = await contents_of(service_sessions, group_id)
    assert {row[7] for row in left} == {None, *HOUSEHOLDS[1:]}
    await tell(service_sessions, make_cancelled(parts[1]), sequence=3)
    assert await contents_of(service_sessions, group_id) == left
    assert await rows(service_sessions, "SELECT 1 FROM loads WHERE withdrawn_at IS NOT NULL") == []


async def test_the_newest_word_on_a_group_stands_and_a_bagged_group_has_no_manifest(
    service_sessions: Sessions,
) -> None:
    zone, group_id = make_zone(), new_id()
    await tell(service_sessions, make_decided(zone, group_id, 4, seed="new"), sequence=2)
    await tell(service_sessions, make_decided(zone, group_id, 0, seed="old"), sequence=1)
    await tell(service_sessions, make_decided(zone, new_id(), 0, form=Form.BAGGED))
    assert await pack(service_sessions) == 0
    found = await rows(service_sessions, "SELECT group_id, confirmed, seed, packed_at FROM manifests")
    assert [tuple(row) for row in found] == [(group_id, 4, "new", None)]


async def test_an_empty_group_is_packed_into_nothing(service_sessions: Sessions) -> None:
    await tell(service_sessions, make_decided(make_zone(), new_id(), 0))
    assert await pack(service_sessions) == 1
    assert [
        row.done
        for row in await rows(service_sessions, "SELECT packed_at IS NOT NULL AS done FROM manifests")
    ] == [True]
    assert await rows(service_sessions, "SELECT 1 FROM loads") == []


async def test_a_word_that_counts_more_parts_makes_a_group_wait_again(service_sessions: Sessions) -> None:
    zone, group_id = make_zone(), new_id()
    *parts, _ = make_group(zone, group_id)
    await tell(service_sessions, *parts[:2])
    await tell(service_sessions, make_decided(zone, group_id, 2), sequence=1)
    await tell(service_sessions, make_decided(zone, group_id, 3), sequence=2)
    assert await pack(service_sessions) == 0
    await tell(service_sessions, parts[2])
    assert await pack(service_sessions) == 1


async def test_no_load_is_larger_than_the_largest_vehicle_in_service_carries(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    over = (NOW - HOUR / 2).isoformat()
    vans = [
        make_vehicle(plate="京A00001", capacity_g=50_000),
        make_vehicle(plate="京A00002", capacity_g=70_000),
        make_vehicle(plate="京A00003", capacity_g=80_000, shift_ends_at=over),
    ]
    head = serving.headers("commander", key="1")
    answer = await client.post("/v1/vehicles", json={"vehicles": vans}, headers=head)
    assert answer.status_code == 200, answer.text
    (lost,) = await rows(service_sessions, "SELECT vehicle_id FROM vehicles WHERE capacity_g = 70000")
    async with service_sessions.begin() as session:
        assert await fleet_queries.lose(session, lost.vehicle_id, "", NOW)
    group_id = new_id()
    *parts, word = make_group(make_zone(), group_id)
    await tell(service_sessions, *parts)
    await tell(service_sessions, word)
    await pack(service_sessions)
    found = await rows(service_sessions, "SELECT number, grams, pieces FROM loads ORDER BY number")
    assert [tuple(row) for row in found] == [(1, 35_000, 2), (2, 28_500, 2), (3, 24_000, 1)]


async def test_a_group_of_two_thousand_households_is_packed_within_the_limits_of_the_database(
    service_sessions: Sessions,
) -> None:
    zone, group_id = make_zone(), new_id()
    goods = [(new_id(), 300 + 100 * number) for number in range(12)]
    orders = [
        make_order(
            zone,
            *(
                make_line(line=line, offer_id=offer_id, grams=grams, outlet_id=SHOP)
                for line, (offer_id, grams) in enumerate(goods[household % 6 :][:7], 1)
            ),
            group_id=group_id, form=Form.BULK,
        )
        for household in range(2000)
    ]  # fmt: skip
    for first in range(0, len(orders), 500):
        await tell(service_sessions, *orders[first : first + 500])
    await tell(service_sessions, make_decided(zone, group_id, len(orders)))
    assert await pack(service_sessions) == 1
    (loads,) = await rows(service_sessions, "SELECT count(*), sum(grams) AS grams FROM loads")
    assert loads == (19, sum(line.grams * line.quantity for order in orders for line in order.lines))
    (units,) = await rows(
        service_sessions,
        """
        SELECT count(DISTINCT portion_id), sum(grams) FILTER (WHERE portion_id IS NULL) AS crates,
               sum(grams) FILTER (WHERE portion_id IS NOT NULL) AS bags
        FROM load_units
        """,
    )
    assert units == (2000, loads.grams, loads.grams)
