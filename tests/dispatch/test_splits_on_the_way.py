"""A split beside the way of its load: what it says of a gate, a shop and a trip that nobody told of."""

from datetime import datetime
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from services.dispatch.plans import pool
from services.dispatch.rescues import application as rescues
from services.kit import database
from services.kit.database import Sessions
from tests.dispatch.builders import HOUR, NOW, make_line, make_order, make_suspended, rows, said, tell
from tests.dispatch.bulks import CABBAGE, EGGS, RICE, BulkRelay, make_bulk_relay
from tests.dispatch.relays import put_on_trip

HANDED_OVER = "dispatch.load_handed_over.v1"


@pytest.fixture
async def relay(client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path) -> BulkRelay:
    return await make_bulk_relay(client, service_sessions, tmp_path)


async def test_goods_of_which_all_was_lost_have_left_their_shop_though_nobody_else_told_of_them(
    relay: BulkRelay,
) -> None:
    everything = [(CABBAGE, "missing", 27_000), (RICE, "missing", 10_000), (EGGS, "missing", 4000)]
    assert (await relay.split(relay.split_note(*everything))).json()["portions_g"] == 0
    ((sequence, came),) = await said(relay.sessions, HANDED_OVER)
    assert (sequence, came["leg"], came["giver_id"], came["taker_id"], came["is_breach"]) == (
        1, 2, str(relay.steward), str(relay.steward), False,
    )  # fmt: skip
    assert datetime.fromisoformat(came["occurred_at"]) == NOW - 8 * HOUR / 60

    await relay.record(*relay.crate_notes(2, 1))
    handed = await said(relay.sessions, HANDED_OVER)
    assert [(sequence, event["leg"]) for sequence, event in handed] == [(1, 2), (2, 1)]


async def test_a_split_tells_no_gate_that_was_told_and_a_gate_told_late_says_when_it_was(
    relay: BulkRelay,
) -> None:
    await relay.record(*relay.crate_notes(1))
    await relay.split(relay.split_note())
    found = await rows(relay.sessions, "SELECT at_gate_at = split_at AS by_split FROM loads")
    assert [row.by_split for row in found] == [True]
    await relay.record(*[relay.note(2, crate, minutes=-9) for crate in relay.crates])
    found = await rows(relay.sessions, "SELECT at_gate_at FROM loads")
    assert [row.at_gate_at for row in found] == [NOW - 9 * HOUR / 60]
    handed = await said(relay.sessions, HANDED_OVER)
    assert [(sequence, event["leg"]) for sequence, event in handed] == [(1, 1), (2, 2)]


async def add_to_trip(relay: BulkRelay) -> UUID:
    """One more load on the same trip, for one door."""
    order = make_order(relay.zone, make_line())
    await tell(relay.sessions, order)
    async with relay.sessions.begin() as session:
        query = """
            INSERT INTO trip_loads (trip_id, load_id, is_held)
            SELECT trip_id, (SELECT load_id FROM loads WHERE order_id = :order_id), true FROM trip_loads
            RETURNING load_id
        """
        found: UUID = (await session.execute(text(query), {"order_id": order.order_id})).scalar_one()
    return found


async def test_what_was_split_though_no_driver_told_of_it_is_not_waited_for_rescued_or_planned_again(
    relay: BulkRelay,
) -> None:
    other = await add_to_trip(relay)
    await relay.split(relay.split_note())
    trip = "SELECT status, load_id FROM trips JOIN trip_loads USING (trip_id) WHERE loaded_at IS NULL"
    assert [tuple(row) for row in await rows(relay.sessions, trip)] == [("planned", other)]

    await tell(relay.sessions, make_suspended(relay.driver), sequence=2)

    assert await rows(relay.sessions, "SELECT 1 FROM rescues") == []
    assert [tuple(row) for row in await rows(relay.sessions, trip)] == [("released", other)]
    assert [
        row.load_ids for row in await rows(relay.sessions, "SELECT load_ids FROM plans WHERE is_automatic")
    ] == [[other]]
    async with relay.sessions() as session:
        waiting = await pool.list_pool(session, [relay.zone.slots[0].slot_id])
    assert [load.load_id for load in waiting] == [other]


async def test_a_trip_of_which_all_is_split_has_left_whichever_was_told_first(relay: BulkRelay) -> None:
    await relay.split(relay.split_note())
    await relay.record(*relay.crate_notes(1))
    await tell(relay.sessions, make_suspended(relay.driver), sequence=2)
    ((status, is_held),) = await rows(
        relay.sessions, "SELECT status, is_held FROM trips JOIN trip_loads USING (trip_id)"
    )
    assert (status, is_held) == ("departed", True)
    assert len(await said(relay.sessions, "dispatch.trip_departed.v1")) == 1
    assert await rows(relay.sessions, "SELECT 1 FROM rescues") == []
    assert await rows(relay.sessions, "SELECT 1 FROM plans WHERE is_automatic") == []


async def test_what_was_split_while_it_waited_to_be_rescued_is_taken_off_the_trip_that_was_to_come_for_it(
    relay: BulkRelay,
) -> None:
    await relay.record(*relay.crate_notes(1))
    ((lost,),) = await rows(relay.sessions, "SELECT vehicle_id FROM trips")
    async with relay.sessions.begin() as session:
        await rescues.lose_vehicle(session, lost, "in the ditch", await database.now(session))
    await put_on_trip(relay.sessions, relay.zone, relay.load_id, relay.driver)

    await relay.split(relay.split_note())

    found = await rows(
        relay.sessions, "SELECT status, is_held FROM trips JOIN trip_loads USING (trip_id) ORDER BY trip_id"
    )
    assert [tuple(row) for row in found] == [("stranded", False), ("released", False)]
    assert await rows(relay.sessions, "SELECT 1 FROM rescues WHERE settled_at IS NULL") == []
    async with relay.sessions() as session:
        assert await pool.list_pool(session, [relay.zone.slots[0].slot_id]) == []
