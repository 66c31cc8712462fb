"""What a plan was made from may wait on the road by the time it is committed; nothing of it is forgotten."""

from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from services.dispatch import solving
from services.dispatch.plans import application as plans
from services.kit import database
from services.kit.database import Sessions
from tests.dispatch.builders import make_cleared, rows, tell
from tests.dispatch.rescued import Carried, make_carried
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


async def test_what_else_a_superseded_plan_was_to_carry_is_planned_with_what_waits(
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
        ("rescue", "requested", None, [first, second]),
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
