"""What waits on the road is planned anew from where it stands, taken over, and comes to its doors."""

from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from services.contracts.access import Role
from services.dispatch import solving
from services.dispatch.fleet import queries as fleet
from services.dispatch.plans import application as plans
from services.dispatch.rescues import application as rescues
from services.kit import database
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.dispatch.builders import HOUR, NOW, make_cleared, make_suspended, make_vehicle, rows, said, tell
from tests.dispatch.rescued import ROADSIDE, Carried, make_carried
from tests.dispatch.towns import solve_here
from tests.serving import headers


@pytest.fixture
async def carried(client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path) -> Carried:
    return await make_carried(client, service_sessions, tmp_path)


async def breaches(carried: Carried) -> int:
    return len(await rows(carried.sessions, "SELECT 1 FROM breaches"))


async def plate_of(carried: Carried, vehicle_id: str) -> str:
    ((plate,),) = await rows(
        carried.sessions, "SELECT plate FROM vehicles WHERE vehicle_id = :id", id=vehicle_id
    )
    return str(plate)


async def custody(carried: Carried, load_id: Any) -> list[tuple[Any, ...]]:
    found = await rows(
        carried.sessions,
        "SELECT leg, giver_id, taker_id, rescue_id FROM hand_overs JOIN load_units USING (load_unit_id) "
        "WHERE load_id = :id ORDER BY leg, reckoned_at",
        id=load_id,
    )
    return [tuple(row) for row in found]


async def test_a_suspended_drivers_goods_are_taken_over_and_come_to_their_doors(carried: Carried) -> None:
    load_ids = await carried.town.load_ids()
    assert await said(carried.sessions, "dispatch.trip_departed.v1") != []

    await carried.suspend(carried.driver)

    rescue = await carried.rescue()
    assert (rescue["status"], rescue["cause"], rescue["holder_id"]) == (
        "open", "driver_suspended", str(carried.driver),
    )  # fmt: skip
    assert rescue["load_ids"] == sorted(str(load_id) for load_id in load_ids)
    assert (rescue["grams"], rescue["pieces"], rescue["place"]) == (6000, 2, ROADSIDE)
    assert (rescue["vehicle_id"], rescue["community_id"]) == (carried.trip["vehicle_id"], None)
    assert (rescue["takers"], rescue["escalated_at"], rescue["needs"]) == ([], None, None)
    (candidate,) = rescue["candidates"]
    # From the vehicles' base, though one of them stands beside the goods.
    assert (candidate["person_id"], candidate["metres"], candidate["is_near"]) == (
        str(carried.other), 1429, True,
    )  # fmt: skip
    assert await rows(carried.sessions, "SELECT 1 FROM trip_loads WHERE is_held") == []
    ((cause, wanted),) = await rows(carried.sessions, "SELECT cause, load_ids FROM plans WHERE is_automatic")
    assert (cause, sorted(wanted)) == ("rescue", load_ids)

    trip = await carried.plan()

    assert (trip["driver_id"], trip["status"]) == (str(carried.other), "planned")
    assert [(stop["kind"], stop["place_id"]) for stop in trip["stops"]] == [
        ("pick_up", rescue["rescue_id"]),
        ("gate", str(carried.town.zone.communities[0].community_id)),
    ]
    plate = await plate_of(carried, trip["vehicle_id"])
    assert (trip["stops"][0]["place_title"], trip["stops"][0]["position"]) == (plate, ROADSIDE)
    assert trip["stops"][1]["position"] is not None
    assert (await carried.rescue())["takers"] == [
        {"person_id": str(carried.other), "vehicle_id": trip["vehicle_id"], "trip_id": trip["trip_id"]}
    ]

    first, second = load_ids
    by = carried.town.driver(carried.other)
    await carried.hand_over(1, carried.driver, carried.other, only=first, by=by)
    assert (await carried.rescue())["load_ids"] == [str(second)]
    assert [
        row.status for row in await rows(carried.sessions, "SELECT status FROM trips ORDER BY trip_id")
    ] == [
        "stranded",
        "planned",
    ]
    items = await carried.hand_over(
        1, carried.driver, carried.other, only=second, by=carried.town.driver(carried.other)
    )
    assert {item["is_breach"] for item in items} == {False}

    settled = await carried.rescue()
    assert (settled["status"], settled["load_ids"], settled["grams"]) == ("settled", [], 0)
    ((_, departed),) = [
        each for each in await said(carried.sessions, "dispatch.trip_departed.v1")
        if each[1]["trip_id"] == trip["trip_id"]
    ]  # fmt: skip
    assert (departed["driver_id"], departed["load_ids"]) == (
        str(carried.other), [str(load_id) for load_id in load_ids],
    )  # fmt: skip

    await carried.hand_over(2, carried.other, carried.steward, minutes=1)
    await carried.hand_over(3, carried.steward, None, minutes=2)
    assert await breaches(carried) == 0
    assert len(await said(carried.sessions, "dispatch.portion_delivered.v1")) == 2
    outlet = carried.town.orders[0].lines[0].outlet_id
    assert [link[:3] for link in await custody(carried, first)][:3] == [
        (1, outlet, carried.driver), (1, carried.driver, carried.other), (2, carried.other, carried.steward),
    ]  # fmt: skip
    assert [str(link[3]) for link in await custody(carried, first)] == [
        "None", rescue["rescue_id"], "None", "None",
    ]  # fmt: skip
    assert (await carried.sweep(), await carried.follow()) == (0, 0)
    assert (await carried.rescue())["settled_at"] == settled["settled_at"]
    found = await rows(carried.sessions, "SELECT reassigned, rescued FROM suspensions")
    assert [tuple(row) for row in found] == [(0, 2)]


async def test_a_vehicle_beside_the_goods_brings_nobody_who_is_far_away(carried: Carried) -> None:
    async with carried.sessions.begin() as session:
        await session.execute(text("UPDATE vehicles SET base_lat = 39.85"))

    await carried.suspend(carried.driver)

    rescue = await carried.rescue()
    assert (rescue["status"], rescue["needs"]["codes"]) == ("escalated", ["dispatch.none_near"])
    assert [each["is_near"] for each in rescue["candidates"]] == [False]


async def test_goods_are_brought_though_the_slot_is_over(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path)
    await carried.suspend(carried.driver)
    async with service_sessions.begin() as session:
        await session.execute(
            text("UPDATE waves SET starts_at = :starts, ends_at = :ends"),
            {"starts": NOW - 2 * HOUR, "ends": NOW - HOUR},
        )
    trip = await carried.plan()
    assert trip["status"] == "planned"
    assert datetime.fromisoformat(trip["stops"][-1]["arrives_at"]) < NOW + HOUR


async def test_a_gate_told_late_shows_that_nothing_had_to_be_rescued(carried: Carried) -> None:
    await carried.suspend(carried.driver)
    trip = await carried.plan()

    await carried.hand_over(2, carried.driver, carried.steward, minutes=-3.5)

    assert (await carried.rescue())["status"] == "settled"
    assert await breaches(carried) == 0
    assert await rows(carried.sessions, "SELECT 1 FROM trip_loads WHERE is_held") == []
    found = await rows(carried.sessions, "SELECT status FROM trips WHERE trip_id = :id", id=trip["trip_id"])
    assert [row.status for row in found] == ["released"]


async def test_a_take_over_told_after_the_gate_is_still_part_of_the_rescue(carried: Carried) -> None:
    await carried.suspend(carried.driver)
    await carried.plan()
    await carried.hand_over(2, carried.other, carried.steward, minutes=1)
    assert (await carried.rescue())["status"] == "settled"

    by = carried.town.driver(carried.other)
    items = await carried.hand_over(1, carried.driver, carried.other, minutes=-1, by=by)

    assert {item["is_breach"] for item in items} == {False}
    assert await breaches(carried) == 0
    assert (await carried.sweep(), await carried.follow()) == (0, 0)


async def test_who_takes_over_is_judged(carried: Carried) -> None:
    await carried.suspend(carried.driver)
    items = await carried.hand_over(1, carried.driver, new_id())
    assert {item["is_breach"] for item in items} == {True}
    reasons = await rows(carried.sessions, "SELECT reasons FROM breaches")
    assert {reason["code"] for row in reasons for reason in row.reasons} == {"dispatch.person_not_cleared"}


async def test_the_next_driver_who_falls_ill_before_the_take_over_gives_the_way_to_another(
    carried: Carried,
) -> None:
    third = new_id()
    await carried.suspend(carried.driver)
    await carried.plan()
    await tell(carried.sessions, make_cleared(third))

    await carried.suspend(carried.other)

    assert len(await carried.rescues()) == 1
    (taker,) = (await carried.rescue())["takers"]
    assert taker["person_id"] == str(third)
    await carried.hand_over(1, carried.driver, third)
    assert (await carried.rescue())["status"] == "settled"
    assert await breaches(carried) == 0


async def test_goods_on_a_lost_vehicle_wait_for_another_which_their_own_driver_may_bring(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, drivers=1)
    async with carried.sessions.begin() as session:
        await session.execute(text("UPDATE slot_capacities SET is_due = false"))
    vehicle_id = carried.trip["vehicle_id"]

    lost = await carried.lose(vehicle_id, "lost")
    again = await carried.lose(vehicle_id, "lost")
    anew = await carried.lose(vehicle_id)
    unknown = await carried.lose(str(new_id()))

    rescue = await carried.rescue()
    assert (lost.status_code, lost.json()["rescue_ids"]) == (200, [rescue["rescue_id"]])
    assert lost.content == again.content
    assert (anew.status_code, anew.json()["code"]) == (409, "dispatch.vehicle_lost")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "kit.not_found")
    assert (rescue["cause"], rescue["holder_id"]) == ("vehicle_lost", str(carried.driver))
    (candidate,) = rescue["candidates"]
    assert candidate["person_id"] == str(carried.driver)
    assert candidate["vehicle_id"] != vehicle_id
    assert await rows(carried.sessions, "SELECT 1 FROM suspensions") == []
    due = await rows(carried.sessions, "SELECT is_due FROM slot_capacities")
    assert [row.is_due for row in due] == [True]

    trip = await carried.plan()
    assert (trip["vehicle_id"], trip["driver_id"]) == (candidate["vehicle_id"], str(carried.driver))
    await carried.hand_over(1, carried.driver, carried.driver)
    assert (await carried.rescue())["status"] == "settled"
    assert len(await rows(carried.sessions, "SELECT 1 FROM trips WHERE status = 'departed'")) == 1
    await carried.hand_over(2, carried.driver, carried.steward, minutes=1)
    assert await breaches(carried) == 0
    assert (await carried.sweep(), await carried.follow()) == (0, 0)


async def test_a_lost_vehicle_gives_back_what_is_not_loaded_and_serves_again_when_somebody_says_so(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, legs=0, vehicles=1)
    vehicle_id = carried.trip["vehicle_id"]
    driver = await client.post(
        f"/v1/vehicles/{vehicle_id}/loss",
        json={"reason": "mine"},
        headers=carried.town.driver(carried.driver),
    )
    assert (driver.status_code, driver.json()["code"]) == (403, "kit.forbidden")

    lost = await carried.lose(vehicle_id)

    assert lost.json()["rescue_ids"] == []
    assert await carried.rescues() == []
    ((cause, load_ids),) = await rows(
        carried.sessions, "SELECT cause, load_ids FROM plans WHERE is_automatic"
    )
    assert (cause, sorted(load_ids)) == ("vehicle_lost", await carried.town.load_ids())
    assert await solving.solve_next(carried.sessions, solve_here)
    codes = await rows(carried.sessions, "SELECT code FROM left_loads")
    assert {row.code for row in codes} == {"dispatch.no_vehicle"}
    async with carried.sessions() as session:
        assert await fleet.list_working(session, NOW) == []

    head = headers("commander", key="again")
    again = await client.post("/v1/vehicles", json={"vehicles": [make_vehicle(kind="bus")]}, headers=head)
    assert [item["outcome"] for item in again.json()["items"]] == ["updated"]
    head = headers("commander", key="once more")
    again = await client.post("/v1/vehicles", json={"vehicles": [make_vehicle(kind="bus")]}, headers=head)
    assert [item["outcome"] for item in again.json()["items"]] == ["unchanged"]
    (vehicle,) = (await client.get("/v1/vehicles", headers=headers("commander"))).json()["items"]
    assert (vehicle["kind"], vehicle["lost_because"]) == ("bus", "in the ditch")
    async with carried.sessions() as session:
        assert await fleet.list_working(session, NOW) == []

    driver = await client.post(
        f"/v1/vehicles/{vehicle_id}/return", headers=carried.town.driver(carried.driver)
    )
    assert (driver.status_code, driver.json()["code"]) == (403, "kit.forbidden")
    unknown = await carried.bring_back(str(new_id()))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "kit.not_found")

    back = await carried.bring_back(vehicle_id)
    anew = await carried.bring_back(vehicle_id, subject="town")

    assert (back.status_code, back.json()["returned_by"]) == (200, "hall")
    assert anew.json() == back.json()
    async with carried.sessions() as session:
        assert [str(each.vehicle_id) for each in await fleet.list_working(session, NOW)] == [vehicle_id]
    (vehicle,) = (await client.get("/v1/vehicles", headers=headers("commander"))).json()["items"]
    assert (vehicle["lost_at"], vehicle["lost_because"]) == (None, None)
    assert (vehicle["returned_at"], vehicle["returned_by"]) == (back.json()["returned_at"], "hall")
    assert (await carried.lose(vehicle_id)).status_code == 200
    (vehicle,) = (await client.get("/v1/vehicles", headers=headers("commander"))).json()["items"]
    assert (vehicle["returned_at"], vehicle["returned_by"]) == (None, None)


async def test_what_no_plan_could_bring_is_planned_again_when_somebody_can(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, vehicles=1)
    assert (await carried.lose(carried.trip["vehicle_id"])).status_code == 200
    assert await solving.solve_next(service_sessions, solve_here)
    async with service_sessions.begin() as session:
        await plans.commit_automatic(session, NOW)
    assert [
        row.status for row in await rows(service_sessions, "SELECT status FROM plans WHERE is_automatic")
    ] == ["failed"]
    assert await carried.follow() == 0

    async with service_sessions.begin() as session:
        await session.execute(
            text("UPDATE rescues SET plan_again_at = plan_again_at + interval '15 minutes'")
        )
    assert await carried.follow(minutes=2) == 0

    assert (await carried.bring_back(carried.trip["vehicle_id"])).status_code == 200

    assert [await carried.follow(minutes=minutes) for minutes in (0.5, 2)] == [0, 1]
    assert (await carried.plan())["status"] == "planned"
    assert await carried.follow(minutes=4) == 0


async def test_what_no_plan_can_bring_is_planned_again_each_time_twice_as_late(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, vehicles=1)
    assert (await carried.lose(carried.trip["vehicle_id"])).status_code == 200

    async def asked_at(minutes: float) -> int:
        async with service_sessions.begin() as session:
            await session.execute(text("UPDATE plans SET status = 'failed', failure = 'none' "
                                       "WHERE is_automatic AND status = 'requested'"))  # fmt: skip
        return await carried.follow(minutes=minutes)

    async def wait() -> float:
        ((waits,),) = await rows(service_sessions, "SELECT plan_again_at - planned_at FROM rescues")
        return float(waits.total_seconds()) / 60

    assert await wait() == 1
    assert [(await asked_at(minutes), await wait()) for minutes in (0.5, 1.1, 3, 3.2, 7, 7.3, 15, 15.4)] == [
        (0, 1), (1, 2), (0, 2), (1, 4), (0, 4), (1, 8), (0, 8), (1, 16),
    ]  # fmt: skip
    assert [(await asked_at(minutes), await wait()) for minutes in (31, 31.5, 47, 47.6)] == [
        (0, 16), (1, 16), (0, 16), (1, 16),
    ]  # fmt: skip


async def test_open_rescues_are_held_few_at_a_time_and_those_that_somebody_holds_are_passed_over(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, legs=0)
    first, second = await carried.town.load_ids()
    await carried.hand_over(1, None, carried.driver, minutes=-4, only=first)
    await carried.hand_over(1, None, carried.other, minutes=-4, only=second)
    await carried.suspend(carried.driver)
    await carried.suspend(carried.other)
    async with service_sessions.begin() as session:
        await session.execute(text("DELETE FROM plans WHERE is_automatic"))
        await session.execute(text("UPDATE rescues SET escalated_at = NULL, needs = NULL"))

    async def free_during(work: Any) -> tuple[int, int]:
        """How many rescues the clock's work was done for, and how many anybody else could hold meanwhile."""
        async with service_sessions() as session:
            at = await database.now(session) + 31 * HOUR / 60
            done = await work(session, at, batch=1)
            free = await rows(service_sessions, "SELECT 1 FROM rescues FOR UPDATE SKIP LOCKED")
            await session.rollback()
            return done, len(free)

    assert await free_during(rescues.settle_over) == (0, 2)
    assert await free_during(rescues.call_late) == (1, 1)
    assert await free_during(rescues.plan_waiting) == (1, 1)
    async with service_sessions() as handing_over:
        await handing_over.execute(text("SELECT 1 FROM rescues FOR NO KEY UPDATE"))
        assert await carried.follow(minutes=31) == 0
    assert await carried.follow(minutes=31) == 4


async def test_a_plan_that_waits_long_for_a_driver_is_made_anew(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, drivers=1)
    await carried.suspend(carried.driver)
    assert await solving.solve_next(service_sessions, solve_here)
    async with service_sessions.begin() as session:
        assert await plans.commit_automatic(session, NOW) == 1
    assert await carried.follow(minutes=4) == 0

    assert await carried.follow(minutes=6) == 1

    found = await rows(
        service_sessions, "SELECT status, failure FROM plans WHERE is_automatic ORDER BY plan_id"
    )
    assert [tuple(row) for row in found] == [("failed", "dispatch.plan_outdated"), ("requested", None)]
    await tell(service_sessions, make_cleared(new_id()))
    assert (await carried.plan())["status"] == "planned"


async def test_what_comes_back_into_the_same_hands_is_rescued_anew(carried: Carried) -> None:
    await carried.suspend(carried.driver)
    first, second = await carried.town.load_ids()
    await carried.hand_over(1, carried.driver, carried.other, only=first)
    await carried.hand_over(1, carried.other, carried.driver, only=first, minutes=0.5)

    assert await carried.sweep() == 1
    assert [await carried.sweep() for _ in range(3)] == [0, 0, 0]
    waiting = [set(each["load_ids"]) for each in await carried.rescues(is_open=True)]
    assert waiting == [{str(second)}, {str(first)}]
    (noted,) = await rows(carried.sessions, "SELECT rescued FROM suspensions")
    assert noted.rescued == 3
    plans_of_first = await rows(
        carried.sessions, "SELECT 1 FROM plans WHERE is_automatic AND :first = ANY(load_ids)", first=first
    )
    assert len(plans_of_first) == 2

    await tell(carried.sessions, make_cleared(carried.driver), sequence=3)
    await carried.hand_over(1, carried.driver, carried.other, only=first, minutes=1)
    await carried.hand_over(1, carried.other, carried.driver, only=first, minutes=1.5)
    await tell(carried.sessions, make_suspended(carried.driver, Role.DRIVER), sequence=4)
    ours = [each for each in await carried.rescues(is_open=True) if str(first) in each["load_ids"]]
    assert len(ours) == 1


async def test_what_a_late_log_puts_on_a_lost_vehicle_is_rescued(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, legs=0)
    assert (await carried.lose(carried.trip["vehicle_id"])).json()["rescue_ids"] == []
    await carried.hand_over(1, None, carried.driver, minutes=-4, place=ROADSIDE)

    assert await carried.sweep() == 2
    assert await carried.sweep() == 0
    rescue = await carried.rescue()
    assert (rescue["cause"], rescue["vehicle_id"]) == ("vehicle_lost", carried.trip["vehicle_id"])
    assert (rescue["holder_id"], rescue["place"]) == (str(carried.driver), ROADSIDE)

    items = await carried.hand_over(1, carried.driver, carried.driver)
    assert {item["is_breach"] for item in items} == {False}
    assert (await carried.rescue())["status"] == "settled"
    assert await carried.sweep() == 0


async def test_a_late_log_is_found_however_long_nobody_looked(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, legs=0)
    await carried.suspend(carried.driver)
    await carried.hand_over(1, None, carried.driver, minutes=-4, place=ROADSIDE)
    async with carried.sessions.begin() as session:
        await session.execute(text("UPDATE hand_overs SET recorded_at = recorded_at - interval '1 day'"))

    assert await carried.sweep() == 2
    assert await carried.sweep() == 0
