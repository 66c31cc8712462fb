"""What a plan was made from may wait on the road by the time it is committed; nothing of it is forgotten."""

from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from services.dispatch import solving
from services.dispatch.plans import application as plans
from services.dispatch.plans import gathering, pool
from services.kit import database
from services.kit.database import Sessions
from tests.dispatch.builders import make_cancelled, make_cleared, rows, said, tell
from tests.dispatch.rescued import ROADSIDE, Carried, make_carried
from tests.dispatch.towns import solve_here


async def commit_next(carried: Carried) -> int:
    async with carried.sessions.begin() as session:
        return await plans.commit_automatic(session, await database.now(session))


async def automatic_plans(carried: Carried) -> list[tuple[Any, ...]]:
    found = await rows(
        carried.sessions,
        "SELECT cause, status, failure, load_ids FROM plans WHERE is_automatic ORDER BY plan_id",
    )
    return [(*row[:3], sorted(row.load_ids)) for row in found]


async def pick_ups(carried: Carried) -> set[UUID]:
    found = await rows(
        carried.sessions,
        "SELECT place_id FROM trip_stops JOIN trips USING (trip_id) "
        "WHERE kind = 'pick_up' AND status = 'planned'",
    )
    return {row.place_id for row in found}


async def trip_states(carried: Carried) -> list[str]:
    found = await rows(carried.sessions, "SELECT status FROM trips ORDER BY trip_id")
    return [row.status for row in found]


async def test_a_plan_from_the_outlet_is_not_committed_for_goods_that_stand_on_the_road(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, legs=0)
    load_ids = await carried.town.load_ids()
    await carried.suspend(carried.other)
    await carried.suspend(carried.driver)
    await tell(carried.sessions, make_cleared(carried.other), sequence=3)
    async with carried.sessions.begin() as session:
        claimed = await plans.claim_plan(session, await database.now(session))
    assert claimed is not None
    await carried.hand_over(1, None, carried.driver, minutes=-4)
    await carried.sweep()
    solution, violations = await solve_here(claimed.wave, seconds=1, seed=1)
    async with carried.sessions.begin() as session:
        at = await database.now(session)
        assert await plans.store_solution(session, claimed, solution, violations, at)

    assert await commit_next(carried) == 1

    assert await automatic_plans(carried) == [
        ("driver_suspended", "failed", "dispatch.plan_outdated", load_ids),
        ("rescue", "requested", None, load_ids),
        ("driver_suspended", "requested", None, load_ids),
    ]
    assert await pick_ups(carried) == set()
    await carried.plan()
    rescue = await carried.rescue()
    assert await pick_ups(carried) == {UUID(rescue["rescue_id"])}


async def test_what_else_a_superseded_plan_was_to_carry_is_planned_anew(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, legs=0, drivers=1, vehicles=1)
    first, second = await carried.town.load_ids()
    await carried.suspend(carried.driver)
    assert await solving.solve_next(carried.sessions, solve_here)
    assert await commit_next(carried) == 1
    await carried.hand_over(1, None, carried.driver, minutes=-4, only=first)

    await carried.sweep()

    assert await automatic_plans(carried) == [
        ("driver_suspended", "failed", "dispatch.plan_outdated", [first, second]),
        ("rescue", "requested", None, [first]),
        ("rescue", "requested", None, [second]),
    ]


async def test_what_a_plan_was_to_carry_beside_loads_that_another_took_is_planned_anew(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, legs=0, drivers=1, vehicles=1)
    first, second = await carried.town.load_ids()
    trip_id = carried.trip["trip_id"]
    await carried.suspend(carried.driver)
    assert await solving.solve_next(carried.sessions, solve_here)
    async with carried.sessions.begin() as session:
        await session.execute(
            text("UPDATE trip_loads SET is_held = true WHERE trip_id = :trip AND load_id = :load"),
            {"trip": trip_id, "load": first},
        )

    assert await commit_next(carried) == 1

    assert await automatic_plans(carried) == [
        ("driver_suspended", "failed", "dispatch.loads_taken", [first, second]),
        ("driver_suspended", "requested", None, [second]),
    ]


async def test_a_load_of_which_parts_wait_in_two_places_is_brought_from_one_after_the_other(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    """Two bags are with the first driver; the next takes one of them and is suspended; a third comes."""
    carried = await make_carried(
        client, service_sessions, tmp_path, legs=0, orders=1, grams=15_000, drivers=3
    )
    first_bag, _ = [unit.load_unit_id for unit in await carried.units()]
    (load_id,) = await carried.town.load_ids()
    first = carried.driver
    await carried.hand_over(1, None, first, minutes=-4)
    await carried.suspend(first)
    next_trip = await carried.plan()
    following = UUID(next_trip["driver_id"])
    await carried.hand_over(1, first, following, only_unit=first_bag)

    await carried.suspend(following)

    at_first, at_next = sorted(await carried.rescues(), key=lambda each: each["holder_id"] != str(first))
    assert [(each["holder_id"], each["pieces"], each["takers"]) for each in (at_first, at_next)] == [
        (str(first), 1, []), (str(following), 1, []),
    ]  # fmt: skip
    assert await trip_states(carried) == ["stranded", "stranded"]

    last_trip = await carried.plan()

    third = UUID(last_trip["driver_id"])
    assert (last_trip["stops"][0]["place_id"], third in {first, following}) == (at_next["rescue_id"], False)
    assert (await carried.rescue(at_first["rescue_id"]))["takers"] == []
    (taker,) = (await carried.rescue(at_next["rescue_id"]))["takers"]
    assert (taker["person_id"], taker["trip_id"]) == (str(third), last_trip["trip_id"])
    assert await carried.follow(minutes=2) == 0
    await carried.hand_over(1, following, third, only_unit=first_bag, minutes=1)
    assert await trip_states(carried) == ["stranded", "stranded", "departed"]

    assert await carried.follow(minutes=3) == 1

    assert (await automatic_plans(carried))[-1] == ("rescue", "requested", None, [load_id])
    async with carried.sessions() as session:
        (load,) = await pool.list_pool(session, [carried.town.slot_id], [load_id])
    assert (load.origin_id, load.pieces) == (UUID(at_first["rescue_id"]), 1)


async def test_a_trip_whose_goods_are_found_to_stand_on_the_road_is_not_made(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, legs=0, orders=1)
    await carried.suspend(carried.driver)
    assert await trip_states(carried) == ["planned"]

    await carried.hand_over(1, None, carried.driver, minutes=-4)
    await carried.sweep()

    assert await trip_states(carried) == ["released"]
    assert await rows(carried.sessions, "SELECT 1 FROM trip_seats WHERE left_at IS NULL") == []


async def test_a_vehicle_that_stands_with_goods_on_the_road_is_planned_for_these_alone(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, legs=0, vehicles=1)
    first, second = await carried.town.load_ids()
    await carried.hand_over(1, None, carried.driver, minutes=-4, only=first)
    await carried.suspend(carried.driver)

    async def vehicles_for(*load_ids: UUID) -> list[str]:
        async with carried.sessions() as session:
            wave = await gathering.gather(
                session,
                zone_ids=[carried.town.zone.zone_id],
                slot_ids=[carried.town.slot_id],
                load_ids=load_ids,
                now=await database.now(session),
            )
        return [str(vehicle.vehicle_id) for vehicle in wave.vehicles]

    assert await vehicles_for(first) == [carried.trip["vehicle_id"]]
    assert await vehicles_for(second) == []
    assert await vehicles_for(first, second) == []


async def test_a_plan_with_a_vehicle_that_stands_with_other_goods_by_now_is_outdated(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, legs=0, vehicles=1)
    first, second = await carried.town.load_ids()
    await carried.suspend(carried.other)
    await carried.suspend(carried.driver)
    await tell(carried.sessions, make_cleared(carried.other), sequence=3)
    async with carried.sessions.begin() as session:
        now = await database.now(session)
        await plans.plan_anew(session, [second], cause="asked", now=now)
        await session.execute(text("DELETE FROM plans WHERE cause = 'driver_suspended'"))
    assert await solving.solve_next(carried.sessions, solve_here)
    await carried.hand_over(1, None, carried.driver, minutes=-4, only=first)
    await carried.sweep()

    assert await commit_next(carried) == 1

    assert [plan[1:3] for plan in await automatic_plans(carried) if plan[0] == "asked"] == [
        ("failed", "dispatch.plan_outdated"),
        ("requested", None),
    ]


async def test_an_order_that_ends_when_its_goods_have_left_by_word_alone_is_carried_to_its_door(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, legs=0)
    first, second = carried.town.orders
    trip = f"/v1/trips/{carried.trip['trip_id']}"
    await tell(carried.sessions, make_cancelled(second), sequence=2)
    left = await client.post(f"{trip}/departure", headers=carried.town.driver(carried.driver))
    assert left.status_code == 200, left.text

    await tell(carried.sessions, make_cancelled(first), sequence=2)

    async def withdrawn() -> set[UUID]:
        found = await rows(carried.sessions, "SELECT order_id FROM loads WHERE withdrawn_at IS NOT NULL")
        return {row.order_id for row in found}

    # What was in its shop is withdrawn.
    assert await withdrawn() == {second.order_id}
    ((load_id,),) = await rows(
        carried.sessions, "SELECT load_id FROM loads WHERE order_id = :id", id=first.order_id
    )
    await carried.hand_over(1, None, carried.driver, only=load_id)
    await carried.hand_over(2, carried.driver, carried.steward, only=load_id)
    await carried.hand_over(3, carried.steward, None, only=load_id)
    told = await said(carried.sessions, "dispatch.portion_delivered.v1")
    assert [payload["order_id"] for _, payload in told] == [str(first.order_id)]
    assert await withdrawn() == {second.order_id}


async def test_an_order_that_ends_while_its_goods_are_to_be_rescued_is_rescued_all_the_same(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, legs=0, orders=1)
    trip = f"/v1/trips/{carried.trip['trip_id']}"
    left = await client.post(f"{trip}/departure", headers=carried.town.driver(carried.driver))
    assert left.status_code == 200, left.text
    await carried.suspend(carried.driver)
    assert await rows(carried.sessions, "SELECT 1 FROM trip_loads WHERE is_held") == []

    await tell(carried.sessions, make_cancelled(carried.town.orders[0]), sequence=2)

    assert await rows(carried.sessions, "SELECT 1 FROM loads WHERE withdrawn_at IS NOT NULL") == []
    rescue = await carried.rescue()
    assert (rescue["status"], rescue["pieces"]) == ("open", 1)
    assert (await carried.plan())["stops"][0]["place_id"] == rescue["rescue_id"]


async def test_what_was_left_at_its_outlet_is_brought_when_the_other_part_was_taken_over(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(
        client, service_sessions, tmp_path, legs=0, orders=1, grams=15_000, drivers=3
    )
    on_road, at_outlet = [unit.load_unit_id for unit in await carried.units()]
    first = carried.driver
    await carried.hand_over(1, None, first, minutes=-4, only_unit=on_road, place=ROADSIDE)
    await carried.suspend(first)
    next_trip = await carried.plan()
    following = UUID(next_trip["driver_id"])
    assert await carried.follow(minutes=2) == 0
    await carried.hand_over(1, first, following, only_unit=on_road)
    assert await trip_states(carried) == ["stranded", "departed"]

    await carried.hand_over(2, following, carried.steward, only_unit=on_road)

    assert [await carried.follow(), await carried.follow(minutes=1)] == [1, 0]

    last_trip = await carried.plan()
    third = UUID(last_trip["driver_id"])
    outlet_id = (await carried.units())[0].outlet_id
    assert (last_trip["stops"][0]["place_id"], last_trip["pieces"]) == (str(outlet_id), 1)
    assert await carried.follow(minutes=30) == 0
    await carried.suspend(third)
    assert await rows(carried.sessions, "SELECT 1 FROM rescues WHERE settled_at IS NULL") == []
    assert (await trip_states(carried))[2] in {"planned", "released"}
    await tell(carried.sessions, make_cleared(third), sequence=3)

    await carried.hand_over(1, None, third, only_unit=at_outlet, minutes=1)
    await carried.hand_over(2, third, carried.steward, only_unit=at_outlet, minutes=2)
    await carried.hand_over(3, carried.steward, None, minutes=3)
    assert await rows(carried.sessions, "SELECT 1 FROM loads WHERE delivered_at IS NULL") == []
    assert await carried.follow(minutes=40) == 0


async def test_what_was_left_at_its_outlet_is_planned_again_each_time_twice_as_late(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(
        client, service_sessions, tmp_path, legs=0, orders=1, grams=15_000, drivers=2
    )
    on_road, _ = [unit.load_unit_id for unit in await carried.units()]
    await carried.hand_over(1, None, carried.driver, minutes=-4, only_unit=on_road)
    await carried.suspend(carried.driver)
    await carried.plan()
    await carried.hand_over(1, carried.driver, carried.other, only_unit=on_road)

    async def asked_at(minutes: float) -> int:
        async with carried.sessions.begin() as session:
            await session.execute(
                text("UPDATE plans SET status = 'failed', failure = 'none' WHERE status = 'requested'")
            )
        return await carried.follow(minutes=minutes)

    assert [await asked_at(minutes) for minutes in (0, 0.5, 1.1, 3, 3.2, 7, 7.3)] == [1, 0, 1, 0, 1, 0, 1]
