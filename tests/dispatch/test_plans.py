"""Plans asked for, solved apart, looked at and committed, over real connections."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from services.contracts.values import Clearance, Point, ZoneClass
from services.dispatch import solving
from services.dispatch.plans import apart, application, commitment, gathering
from services.dispatch.plans.domain import Solution, Violation
from services.kit import database
from services.kit.errors import Conflict
from services.kit.ids import new_id
from tests.dispatch.builders import (
    GATE,
    HOUR,
    NOW,
    make_cancelled,
    make_cleared,
    make_line,
    make_order,
    make_pass,
    make_slot,
    make_suspended,
    make_vehicle,
    make_zone,
    rows,
    tell,
)  # fmt: skip
from tests.dispatch.towns import make_town, solve_here
from tests.serving import headers


async def status_of(town, plan_id):
    (row,) = await rows(
        town.sessions, "SELECT status, failure, attempts FROM plans WHERE plan_id = :plan_id", plan_id=plan_id
    )
    return row


async def held(town):
    return [row.load_id for row in await rows(town.sessions, "SELECT load_id FROM trip_loads WHERE is_held")]


def codes(response):
    return [error["code"] for error in response.json()["errors"]]


async def test_a_wave_becomes_a_trip_with_a_driver(client, service_sessions):
    town = await make_town(client, service_sessions)

    asked = await client.post(
        "/v1/plans", json={"slot_ids": [str(town.slot_id)]}, headers=town.commander("plan-1")
    )
    plan_id = asked.json()["plan_id"]
    assert asked.status_code == 202
    assert asked.headers["location"] == f"/v1/plans/{plan_id}"
    assert asked.json()["status"] == "requested"
    assert await solving.solve_next(service_sessions)

    preview = await town.read_plan(plan_id)
    assert preview["status"] == "ready"
    assert preview["unassigned"] == []
    (trip,) = preview["trips"]
    assert (trip["status"], trip["driver_id"], trip["grams"], trip["pieces"]) == ("proposed", None, 9000, 3)
    assert [stop["kind"] for stop in trip["stops"]] == ["pick_up", "gate"]
    assert sorted(trip["stops"][0]["load_ids"]) == [str(load_id) for load_id in await town.load_ids()]
    # OUTLET is the base; 1.4 × 2,041 m to the gate and as much home.
    assert trip["metres"] == 2 * 2858
    assert await held(town) == []

    done = await town.commit(plan_id)
    assert done.json() == {
        "plan_id": plan_id,
        "status": "committed",
        "trips": [{"trip_id": trip["trip_id"], "driver_id": str(town.drivers[0])}],
        "uncommitted": [],
    }
    committed = (await town.read_plan(plan_id))["trips"][0]
    assert (committed["status"], committed["driver_id"]) == ("planned", str(town.drivers[0]))
    assert sorted(await held(town)) == await town.load_ids()


async def test_a_plan_is_asked_for_once_however_often_it_is_sent(client, service_sessions):
    town = await make_town(client, service_sessions)
    head = town.commander("twice")
    body = {"slot_ids": [str(town.slot_id)]}

    first = await client.post("/v1/plans", json=body, headers=head)
    second = await client.post("/v1/plans", json=body, headers=head)

    assert first.content == second.content
    assert len(await rows(service_sessions, "SELECT 1 FROM plans")) == 1


async def test_a_wave_that_is_not_complete_is_not_planned(client, service_sessions):
    town = await make_town(client, service_sessions, orders=2, is_closed=False)

    refused = await client.post("/v1/plans", json={"slot_ids": [str(town.slot_id)]}, headers=town.commander())

    assert (refused.status_code, refused.json()["code"]) == (409, "dispatch.wave_incomplete")
    assert refused.json()["errors"][0]["params"] == {"expected": None, "present": 2}
    assert await rows(service_sessions, "SELECT 1 FROM plans") == []


async def test_a_slot_that_is_not_known_is_named(client, service_sessions):
    town = await make_town(client, service_sessions)

    refused = await client.post(
        "/v1/plans", json={"slot_ids": [str(town.slot_id), str(new_id())]}, headers=town.commander()
    )

    assert (refused.status_code, refused.json()["code"]) == (422, "dispatch.slot_unknown")
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/slot_ids/1"]


async def test_slots_of_two_incidents_are_no_wave(client, service_sessions):
    town = await make_town(client, service_sessions)
    other = make_zone(town_id=town.zone.path[1])
    await tell(service_sessions, other)
    head = headers("commander", key="k", zone_ids=[town.zone.path[1]])
    slots = [str(town.slot_id), str(other.slots[0].slot_id)]

    refused = await client.post("/v1/plans", json={"slot_ids": slots}, headers=head)

    assert (refused.status_code, refused.json()["code"]) == (422, "dispatch.slots_of_several_incidents")


async def test_an_empty_pool_is_not_planned(client, service_sessions):
    town = await make_town(client, service_sessions, orders=0)

    refused = await client.post("/v1/plans", json={"slot_ids": [str(town.slot_id)]}, headers=town.commander())

    assert (refused.status_code, refused.json()["code"]) == (409, "dispatch.pool_empty")


async def test_other_commanders_neither_plan_nor_see_nor_commit(client, service_sessions):
    town = await make_town(client, service_sessions)
    plan_id = await town.plan()
    stranger = headers("commander", key="k", zone_ids=[new_id()])

    asked = await client.post("/v1/plans", json={"slot_ids": [str(town.slot_id)]}, headers=stranger)
    read = await client.get(f"/v1/plans/{plan_id}", headers=stranger)
    commit = await client.post(f"/v1/plans/{plan_id}/commitment", json={}, headers=stranger)
    missing = await client.get(f"/v1/plans/{new_id()}", headers=stranger)

    assert (asked.status_code, read.status_code, commit.status_code) == (403, 404, 404)
    assert read.json()["code"] == missing.json()["code"]
    assert await held(town) == []


async def test_every_load_that_is_left_has_its_reason(client, service_sessions):
    town = await make_town(client, service_sessions, vehicles=0)
    plan_id = await town.plan()

    preview = await town.read_plan(plan_id)
    refused = await town.commit(plan_id)

    assert preview["trips"] == []
    assert {left["load_id"]: left["code"] for left in preview["unassigned"]} == {
        str(load_id): "dispatch.no_vehicle" for load_id in await town.load_ids()
    }
    assert (refused.status_code, refused.json()["code"]) == (409, "dispatch.plan_empty")


async def test_a_vehicle_without_a_valid_pass_is_not_planned(client, service_sessions):
    town = await make_town(client, service_sessions)
    over = make_pass(number="110115000000", valid_to=(NOW + HOUR).isoformat())
    await client.post("/v1/passes", json={"passes": [over]}, headers=headers("commander", key="p"))

    preview = await town.read_plan(await town.plan())

    assert {left["code"] for left in preview["unassigned"]} == {"dispatch.no_vehicle"}


async def test_a_vehicle_that_another_zone_insists_on_is_left_to_it(client, service_sessions):
    town = await make_town(client, service_sessions)
    (vehicle,) = await rows(service_sessions, "SELECT vehicle_id FROM vehicles")
    await tell(
        service_sessions, make_zone(pinned_vehicles=({"subject_id": vehicle.vehicle_id, "reason": "透析"},))
    )

    preview = await town.read_plan(await town.plan())

    assert {left["code"] for left in preview["unassigned"]} == {"dispatch.no_vehicle"}


async def test_a_vehicle_on_the_road_is_planned_for_the_time_it_is_free(client, service_sessions):
    town = await make_town(client, service_sessions)
    first = await town.committed()
    late = make_order(town.zone, make_line(outlet_id=town.orders[0].lines[0].outlet_id))
    await tell(service_sessions, late)

    (second,) = (await town.read_plan(await town.plan()))["trips"]

    assert second["vehicle_id"] == first["vehicle_id"]
    assert second["departs_at"] >= first["ends_at"] or second["ends_at"] <= first["departs_at"]
    assert len(second["stops"][0]["load_ids"]) == 1


async def test_only_as_many_vehicles_are_called_out_as_there_are_drivers(client, service_sessions):
    town = await make_town(client, service_sessions, vehicles=3, drivers=2)

    async with service_sessions() as session:
        wave = await gathering.gather(
            session,
            zone_ids=[town.zone.zone_id],
            slot_ids=[town.slot_id],
            load_ids=None,
            now=await database.now(session),
        )

    assert len(wave.vehicles) == 3
    assert sorted(wave.crewed_ids) == sorted(vehicle.vehicle_id for vehicle in wave.vehicles)[:2]


async def test_of_two_plans_for_the_same_loads_the_first_commitment_wins(client, service_sessions):
    town = await make_town(client, service_sessions, vehicles=2, drivers=2)
    one, other = await town.plan(), await town.plan()
    await town.commit(one)

    refused = await town.commit(other)

    assert (refused.status_code, refused.json()["code"]) == (409, "dispatch.loads_taken")
    assert [error["params"]["load_id"] for error in refused.json()["errors"]] == [
        str(load_id) for load_id in await town.load_ids()
    ]
    assert (await town.read_plan(other))["status"] == "ready"
    again = await town.commit(one)
    assert (again.status_code, again.json()["code"]) == (409, "dispatch.plan_not_ready")


async def test_of_two_commitments_at_once_exactly_one_wins(client, service_sessions):
    town = await make_town(client, service_sessions, vehicles=2, drivers=2)
    plans = [await town.plan() for _ in range(4)]

    async def commit(plan_id):
        async with service_sessions.begin() as session:
            return await commitment.commit_plan(session, plan_id, chosen={}, now=await database.now(session))

    outcomes = await asyncio.gather(*map(commit, plans), return_exceptions=True)

    refused = [outcome.code for outcome in outcomes if isinstance(outcome, Conflict)]
    assert refused == ["dispatch.loads_taken"] * 3
    assert sorted(await held(town)) == await town.load_ids()


async def test_what_has_changed_since_is_named(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=1)
    plan_id = await town.plan()
    (trip,) = (await town.read_plan(plan_id))["trips"]
    facts = {"trip_id": trip["trip_id"], "vehicle_id": trip["vehicle_id"]}

    await tell(service_sessions, make_cancelled(town.orders[0]), sequence=2)
    loads = await town.commit(plan_id)
    assert (loads.status_code, loads.json()["code"], codes(loads)) == (
        409, "dispatch.plan_outdated", ["dispatch.load_changed"],
    )  # fmt: skip
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE loads SET withdrawn_at = NULL"))

    smaller = make_vehicle(capacity_g=1_000_000)
    await client.post("/v1/vehicles", json={"vehicles": [smaller]}, headers=headers("commander", key="v"))
    over = make_pass(number="110115000000", valid_to=(NOW + 2 * HOUR).isoformat())
    await client.post("/v1/passes", json={"passes": [over]}, headers=headers("commander", key="p"))
    fleet = await town.commit(plan_id)
    assert [(error["code"], error["params"]) for error in fleet.json()["errors"]] == [
        ("dispatch.vehicle_changed", facts),
        ("dispatch.pass_missing", facts),
    ]
    assert await held(town) == []


async def test_a_plan_is_outdated_when_its_departure_has_passed(client, service_sessions):
    town = await make_town(client, service_sessions)
    plan_id = await town.plan()
    async with service_sessions.begin() as session:
        with pytest.raises(Conflict) as refused:
            await commitment.commit_plan(session, plan_id, chosen={}, now=NOW + 6 * HOUR)

    assert [fault.code for fault in refused.value.faults] == ["dispatch.departure_passed"]


async def test_a_vehicle_that_was_sent_elsewhere_makes_the_plan_outdated(client, service_sessions):
    slots = (make_slot(), make_slot())
    town = await make_town(client, service_sessions, drivers=2, slots=slots)
    other = make_order(
        town.zone, make_line(outlet_id=town.orders[0].lines[0].outlet_id), slot_id=slots[1].slot_id
    )
    await tell(service_sessions, other)
    plan_id = await town.plan()
    async with service_sessions.begin() as session:
        await session.execute(
            text("UPDATE waves SET expected = 1 WHERE slot_id = :slot_id"),
            {"slot_id": slots[1].slot_id},
        )
    second = await town.ask_plan(slot_ids=[str(slots[1].slot_id)])
    assert await solving.solve_next(service_sessions, solve_here)
    assert (await town.commit(second)).status_code == 200

    refused = await town.commit(plan_id)

    assert (refused.json()["code"], codes(refused)) == ("dispatch.plan_outdated", ["dispatch.vehicle_busy"])


async def test_without_a_driver_nothing_is_committed_and_the_plan_stays_ready(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=0)
    plan_id = await town.plan()

    refused = await town.commit(plan_id)

    assert (refused.status_code, refused.json()["code"]) == (409, "dispatch.no_driver")
    assert await held(town) == []
    await tell(service_sessions, make_cleared())
    assert (await town.commit(plan_id)).status_code == 200


async def test_a_trip_that_no_driver_is_free_for_stays_in_the_pool(client, service_sessions):
    town = await make_town(client, service_sessions, orders=2, vehicles=2, drivers=1, grams=500_000)
    async with service_sessions.begin() as session:
        # So far that no vehicle can do both in the slot.
        await session.execute(text("UPDATE travel_policies SET stop_seconds = 4000"))
    plan_id = await town.plan()

    done = (await town.commit(plan_id)).json()

    assert len(done["trips"]) == 1
    assert [left["code"] for left in done["uncommitted"]] == ["dispatch.no_driver"]
    assert len(await held(town)) == 1
    statuses = sorted(trip["status"] for trip in (await town.read_plan(plan_id))["trips"])
    assert statuses == ["planned", "uncommitted"]


async def test_a_driver_whose_clearance_ends_before_the_trip_is_not_given_one(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=0)
    await tell(service_sessions, make_cleared(until=NOW + HOUR))
    plan_id = await town.plan()

    assert (await town.commit(plan_id)).json()["code"] == "dispatch.no_driver"


async def test_a_chosen_driver_is_taken_or_refused_with_every_reason(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=2)
    steward, late = new_id(), new_id()
    await tell(
        service_sessions,
        make_cleared(
            late,
            clearances=(
                Clearance(zone_class=ZoneClass.SEALED, valid_until=NOW + HOUR),
                Clearance(zone_class=ZoneClass.CONTROLLED, valid_until=NOW + 24 * HOUR),
            ),
        ),
    )
    await tell(service_sessions, make_cleared(steward, "steward", clearances=()))
    plan_id = await town.plan()
    (trip,) = (await town.read_plan(plan_id))["trips"]

    async def choose(person_id):
        return await town.commit(plan_id, drivers={trip["trip_id"]: str(person_id)})

    unknown = await choose(new_id())
    assert (unknown.status_code, unknown.json()["code"]) == (422, "dispatch.driver_not_cleared")
    assert codes(unknown) == ["dispatch.person_unknown"]
    assert codes(await choose(steward)) == ["dispatch.not_a_driver", "dispatch.not_cleared_for_class"]
    assert codes(await choose(late)) == ["dispatch.clearance_ends_too_soon"]
    await tell(service_sessions, make_suspended(town.drivers[0]), sequence=2)
    assert codes(await choose(town.drivers[0])) == ["dispatch.person_suspended"]
    stranger = await town.commit(plan_id, drivers={str(new_id()): str(town.drivers[1])})
    assert (stranger.status_code, stranger.json()["code"]) == (422, "dispatch.trip_unknown")
    assert await held(town) == []
    assert (await choose(town.drivers[1])).json()["trips"][0]["driver_id"] == str(town.drivers[1])


async def test_whoever_is_suspended_while_a_plan_is_committed_does_not_drive(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=1)
    plan_id = await town.plan()
    async with service_sessions.begin() as session:
        await commitment.commit_plan(session, plan_id, chosen={}, now=await database.now(session))
        suspension = asyncio.create_task(tell(service_sessions, make_suspended(town.drivers[0]), sequence=2))
        # It waits for the commitment, which was first.
        done, _ = await asyncio.wait({suspension}, timeout=0.3)
        assert done == set()
    await suspension

    async with service_sessions.begin() as session:
        released = await application.release_driver(session, town.drivers, await database.now(session))
    # The consumer may have released him already; either way no trip is his.
    driven = await rows(service_sessions, "SELECT 1 FROM trips WHERE status IN ('planned', 'departed')")
    assert driven == []
    assert [entry.aboard_load_ids for entry in released] in ([], [[]])


async def test_a_plan_whose_solver_was_killed_is_taken_again_after_its_lease(client, service_sessions):
    town = await make_town(client, service_sessions)
    plan_id = await town.ask_plan(seconds=1)
    async with service_sessions.begin() as session:
        dead = await application.claim_plan(session, await database.now(session))
    assert not await solving.solve_next(service_sessions, solve_here)
    assert (await status_of(town, plan_id)).status == "solving"

    async with service_sessions.begin() as session:
        later = await database.now(session) + timedelta(minutes=5)
        alive = await application.claim_plan(session, later)
    assert (alive.plan_id, alive.attempt) == (dead.plan_id, 2)
    solution, violations = await apart.solve(alive.wave, seconds=1, seed=alive.seed)
    async with service_sessions.begin() as session:
        assert not await application.store_solution(session, dead, solution, violations, later)
    async with service_sessions.begin() as session:
        assert await application.store_solution(session, alive, solution, violations, later)
    assert len((await town.read_plan(plan_id))["trips"]) == 1


async def test_a_plan_that_kills_every_solver_has_failed(client, service_sessions):
    town = await make_town(client, service_sessions)
    plan_id = await town.ask_plan()
    for attempt in range(4):
        async with service_sessions.begin() as session:
            await application.claim_plan(session, NOW + attempt * HOUR)

    assert await status_of(town, plan_id) == ("failed", "dispatch.solver_died", 4)


async def test_an_unlawful_solution_is_never_stored(client, service_sessions):
    town = await make_town(client, service_sessions)
    plan_id = await town.ask_plan()

    async def cheat(wave, *, seconds, seed):
        return Solution((), ()), [Violation("dispatch.load_forgotten", wave.loads[0].load_id)]

    assert await solving.solve_next(service_sessions, cheat)

    assert (await status_of(town, plan_id))[:2] == ("failed", "dispatch.plan_unlawful")
    assert await rows(service_sessions, "SELECT 1 FROM trips") == []


async def test_what_is_assigned_on_stale_clearances_is_marked(client, service_sessions):
    town = await make_town(client, service_sessions)
    assert (await town.committed())["is_degraded"] is True
    async with service_sessions.begin() as session:
        await session.execute(
            text(
                "INSERT INTO whitelist_beats SELECT partition, now() FROM generate_series(0, 11) AS partition"
            )
        )
    late = make_order(town.zone, make_line(outlet_id=town.orders[0].lines[0].outlet_id))
    await tell(service_sessions, late)

    assert (await town.committed())["is_degraded"] is False


async def test_a_vehicle_between_two_trips_of_a_plan_stands_at_the_gate_where_the_first_one_ended(
    client, service_sessions
):
    town = await make_town(client, service_sessions, orders=2, grams=300_000, drivers=2)
    plan_id = await town.plan()
    assert (await town.commit(plan_id)).status_code == 200
    first, second = (await town.read_plan(plan_id))["trips"]

    async def vehicle():
        async with service_sessions() as session:
            wave = await gathering.gather(
                session,
                zone_ids=[town.zone.zone_id],
                slot_ids=[town.slot_id],
                load_ids=None,
                now=await database.now(session),
            )
        (vehicle,) = wave.vehicles
        return vehicle.starts_at.isoformat(), vehicle.ends_at, vehicle.stands_at, vehicle.base

    async with service_sessions.begin() as session:
        await session.execute(
            text("UPDATE trips SET departs_at = :at, depart_by = :at, ends_at = :until WHERE trip_id = :id"),
            {"id": second["trip_id"], "at": NOW + 9 * HOUR, "until": NOW + 9.5 * HOUR},
        )
    since, until, stands_at, base = await vehicle()
    assert (datetime.fromisoformat(since), until) == (
        datetime.fromisoformat(first["ends_at"]), NOW + 9 * HOUR,
    )  # fmt: skip
    assert (stands_at, base) == (GATE, GATE)

    async with service_sessions.begin() as session:
        given_up = text("UPDATE trips SET status = 'released' WHERE trip_id = :id")
        await session.execute(given_up, {"id": second["trip_id"]})
    _, _, stands_at, base = await vehicle()
    assert (stands_at, base) == (GATE, Point(lat=39.65, lon=116.3))
    async with service_sessions.begin() as session:
        last = text("UPDATE trips SET number = 5 WHERE trip_id = :id")
        await session.execute(last, {"id": first["trip_id"]})
    _, _, stands_at, _ = await vehicle()
    assert stands_at == Point(lat=39.65, lon=116.3)
