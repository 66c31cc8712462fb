"""What becomes of trips: who sees them, who drives them, when they leave, and when a driver is suspended."""

from datetime import datetime

from sqlalchemy import text

from services.dispatch import solving
from services.dispatch.plans import application
from services.kit import database
from services.kit.ids import new_id
from tests.dispatch.builders import (
    HOUR,
    NOW,
    make_cleared,
    make_pass,
    make_slot,
    make_suspended,
    rows,
    said,
    tell,
)
from tests.dispatch.towns import make_town, solve_here
from tests.serving import headers


def codes(response):
    return [error["code"] for error in response.json()["errors"]]


async def read_trip(town, trip_id):
    return (await town.client.get(f"/v1/trips/{trip_id}", headers=town.commander())).json()


async def held(town):
    found = await rows(town.sessions, "SELECT load_id FROM trip_loads WHERE is_held ORDER BY load_id")
    return [row.load_id for row in found]


async def load(town, *load_ids):
    async with town.sessions.begin() as session:
        return await application.note_loaded(session, load_ids, await database.now(session))


async def suspend(town, person_id):
    """What the consumer does: the suspension is written, then the work is released."""
    async with town.sessions.begin() as session:
        await session.execute(
            text("UPDATE crew SET is_suspended = true WHERE person_id = :person_id"),
            {"person_id": person_id},
        )
        return await application.release_driver(session, [person_id], await database.now(session))


async def assign(town, trip_id, person_id):
    return await town.client.post(
        f"/v1/trips/{trip_id}/driver", json={"person_id": str(person_id)}, headers=town.commander()
    )


async def plans(town):
    return await rows(
        town.sessions,
        "SELECT plan_id, status, cause, failure, load_ids FROM plans WHERE is_automatic",
    )


async def test_a_commander_sees_the_trips_of_the_own_areas_a_driver_the_own_ones(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=2)
    trip = await town.committed()
    other = next(person for person in town.drivers if str(person) != trip["driver_id"])

    async def seen(head, **asked):
        listed = await client.get("/v1/trips", params=asked, headers=head)
        assert listed.status_code == 200, listed.text
        return [item["trip_id"] for item in listed.json()["items"]]

    async def read(head):
        return (await client.get(f"/v1/trips/{trip['trip_id']}", headers=head)).status_code

    mine = [trip["trip_id"]]
    assert await seen(town.commander()) == mine
    assert await seen(town.commander(), zone_id=str(town.zone.zone_id)) == mine
    assert await seen(town.commander(), zone_id=str(new_id())) == []
    assert await seen(town.commander(), plan_id=trip["plan_id"]) == mine
    assert await seen(headers("commander", zone_ids=[new_id()])) == []
    assert await seen(town.driver(trip["driver_id"])) == mine
    assert await seen(town.driver(other)) == []
    assert await read(town.commander()) == 200
    assert await read(town.driver(trip["driver_id"])) == 200
    assert await read(town.driver(other)) == 404
    assert await read(headers("commander", zone_ids=[new_id()])) == 404
    assert await read(headers("resident", household_id=new_id())) == 404
    assert (await client.get("/v1/trips", headers=headers("resident"))).status_code == 403


async def test_a_trip_leaves_when_its_last_load_is_on_board(client, service_sessions):
    town = await make_town(client, service_sessions, orders=2)
    trip = await town.committed()
    first, second = await town.load_ids()

    assert await load(town, first) == 0
    assert (await read_trip(town, trip["trip_id"]))["status"] == "planned"
    assert await load(town, first, second, new_id()) == 1
    assert await load(town, second) == 0

    left = await read_trip(town, trip["trip_id"])
    assert left["status"] == "departed"
    ((sequence, event),) = await said(service_sessions, "dispatch.trip_departed.v1")
    assert sequence == 1
    assert event == {
        "trip_id": trip["trip_id"],
        "incident_id": str(town.zone.incident_id),
        "vehicle_id": trip["vehicle_id"],
        "driver_id": trip["driver_id"],
        "load_ids": [str(first), str(second)],
        "departed_at": event["departed_at"],
    }
    assert datetime.fromisoformat(event["departed_at"]) == datetime.fromisoformat(left["departed_at"])


async def test_a_driver_says_that_the_trip_leaves(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=2)
    trip = await town.committed()
    other = next(person for person in town.drivers if str(person) != trip["driver_id"])
    path = f"/v1/trips/{trip['trip_id']}/departure"

    stranger = await client.post(path, headers=town.driver(other))
    first = await client.post(path, headers=town.driver(trip["driver_id"], "go"))
    again = await client.post(path, headers=town.driver(trip["driver_id"], "go"))
    anew = await client.post(path, headers=town.driver(trip["driver_id"], "go again"))

    assert stranger.status_code == 404
    assert first.json() == {"trip_id": trip["trip_id"], "driver_id": trip["driver_id"], "status": "departed"}
    assert first.content == again.content
    assert (anew.status_code, anew.json()["code"]) == (409, "dispatch.trip_not_planned")
    assert len(await said(service_sessions, "dispatch.trip_departed.v1")) == 1
    assert await load(town, *await town.load_ids()) == 0


async def test_another_driver_is_assigned_or_refused_with_every_reason(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=2)
    trip = await town.committed()
    other = next(person for person in town.drivers if str(person) != trip["driver_id"])
    late = new_id()
    await tell(service_sessions, make_cleared(late, until=NOW + HOUR))

    refused = await assign(town, trip["trip_id"], late)
    assert (refused.status_code, refused.json()["code"]) == (422, "dispatch.driver_not_cleared")
    assert codes(refused) == ["dispatch.clearance_ends_too_soon"]
    assert codes(await assign(town, trip["trip_id"], new_id())) == ["dispatch.person_unknown"]
    assert (await read_trip(town, trip["trip_id"]))["driver_id"] == trip["driver_id"]

    assert (await assign(town, trip["trip_id"], other)).status_code == 200
    assert (await read_trip(town, trip["trip_id"]))["driver_id"] == str(other)
    await load(town, *await town.load_ids())
    departed = await assign(town, trip["trip_id"], trip["driver_id"])
    assert (departed.status_code, departed.json()["code"]) == (409, "dispatch.trip_not_planned")
    stranger = await client.post(
        f"/v1/trips/{trip['trip_id']}/driver", json={"person_id": str(other)}, headers=town.driver(other, "k")
    )
    assert stranger.status_code == 403


async def test_the_crew_of_the_pass_and_the_pass_itself_bind_who_drives(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=2)
    trip = await town.committed()
    other = next(person for person in town.drivers if str(person) != trip["driver_id"])

    crewed = make_pass(number="110115000000", crew=[trip["driver_id"]])
    await client.post("/v1/passes", json={"passes": [crewed]}, headers=headers("commander", key="1"))
    assert codes(await assign(town, trip["trip_id"], other)) == ["dispatch.not_of_the_pass_crew"]

    over = make_pass(number="110115000000", valid_to=(NOW + HOUR).isoformat())
    await client.post("/v1/passes", json={"passes": [over]}, headers=headers("commander", key="2"))
    missing = await assign(town, trip["trip_id"], other)
    assert (missing.status_code, missing.json()["code"]) == (422, "dispatch.pass_missing")


async def test_nobody_drives_two_trips_at_a_time(client, service_sessions):
    town = await make_town(client, service_sessions, orders=2, vehicles=2, drivers=2, grams=500_000)
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE travel_policies SET stop_seconds = 4000"))
    plan_id = await town.plan()
    first, second = (await town.commit(plan_id)).json()["trips"]

    refused = await assign(town, first["trip_id"], second["driver_id"])

    assert (refused.status_code, refused.json()["code"]) == (409, "dispatch.driver_busy")
    assert refused.json()["errors"][0]["params"] == {"trip_id": second["trip_id"]}


async def test_a_suspended_drivers_trip_goes_to_another_who_is_free(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=2)
    trip = await town.committed()
    suspended = next(person for person in town.drivers if str(person) == trip["driver_id"])

    (released,) = await suspend(town, suspended)

    after = await read_trip(town, trip["trip_id"])
    assert (after["status"], after["driver_id"]) == (
        "planned", str(next(person for person in town.drivers if person != suspended)),
    )  # fmt: skip
    assert sorted(released.reassigned_load_ids) == await town.load_ids()
    assert (released.pooled_load_ids, released.aboard_load_ids) == ([], [])
    assert await plans(town) == []
    assert await suspend(town, suspended) == []


async def test_without_another_driver_the_loads_are_planned_anew_and_committed_when_one_is_there(
    client, service_sessions
):
    town = await make_town(client, service_sessions, drivers=1)
    trip = await town.committed()

    (released,) = await suspend(town, town.drivers[0])

    assert sorted(released.pooled_load_ids) == await town.load_ids()
    assert (await read_trip(town, trip["trip_id"]))["status"] == "released"
    assert await held(town) == []
    ((plan_id, status, cause, _, load_ids),) = await plans(town)
    assert (status, cause, sorted(load_ids)) == ("requested", "driver_suspended", await town.load_ids())

    assert await solving.solve_next(service_sessions, solve_here)
    async with service_sessions.begin() as session:
        assert await application.commit_automatic(session, NOW) == 1
    assert (await plans(town))[0].status == "ready"
    async with service_sessions.begin() as session:
        assert await application.commit_automatic(session, NOW) == 0

    relief = new_id()
    await tell(service_sessions, make_cleared(relief))
    async with service_sessions.begin() as session:
        assert await application.commit_automatic(session, NOW + HOUR / 60) == 1
    assert (await plans(town))[0].status == "committed"
    (new,) = (await town.read_plan(str(plan_id)))["trips"]
    assert (new["status"], new["driver_id"]) == ("planned", str(relief))
    assert await held(town) == await town.load_ids()


async def test_a_plan_anew_that_comes_too_late_has_failed_with_its_reason(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=1)
    await town.committed()
    await suspend(town, town.drivers[0])
    assert await solving.solve_next(service_sessions, solve_here)

    async with service_sessions.begin() as session:
        assert await application.commit_automatic(session, NOW + 6 * HOUR) == 1

    assert (await plans(town))[0][1:4] == ("failed", "driver_suspended", "dispatch.plan_outdated")
    assert await held(town) == []


async def test_a_plan_anew_whose_departure_has_passed_is_made_anew_while_the_slot_lasts(
    client, service_sessions
):
    town = await make_town(client, service_sessions, drivers=1)
    await town.committed()
    await suspend(town, town.drivers[0])
    assert await solving.solve_next(service_sessions, solve_here)
    await tell(service_sessions, make_cleared(new_id()))

    async with service_sessions.begin() as session:
        assert await application.commit_automatic(session, NOW + 3.95 * HOUR) == 1

    late, again = sorted(await plans(town), key=lambda plan: plan.plan_id)
    assert (late.status, late.failure) == ("failed", "dispatch.plan_outdated")
    assert (again.status, sorted(again.load_ids)) == ("requested", await town.load_ids())


async def test_what_a_plan_anew_has_no_driver_for_is_planned_once_more(client, service_sessions):
    slot = make_slot(ends_at=NOW + 2.3 * HOUR)
    town = await make_town(
        client, service_sessions, orders=2, vehicles=2, drivers=2, grams=400_000, slots=[slot]
    )
    plan_id = await town.plan()
    assert (await town.commit(plan_id)).status_code == 200
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE crew SET is_suspended = true"))
        await application.release_driver(session, town.drivers, await database.now(session))
    await tell(service_sessions, make_cleared(new_id()))
    assert await solving.solve_next(service_sessions, solve_here)
    async with service_sessions.begin() as session:
        assert await application.commit_automatic(session, NOW) == 1

    done, again = sorted(await plans(town), key=lambda plan: plan.plan_id)
    assert (done.status, again.status) == ("committed", "requested")
    assert sorted(await held(town) + again.load_ids) == await town.load_ids()


async def test_what_a_suspended_driver_has_on_board_is_to_be_rescued(client, service_sessions):
    town = await make_town(client, service_sessions, orders=3, drivers=2)
    trip = await town.committed()
    aboard, *waiting = await town.load_ids()
    await load(town, aboard)
    suspended = next(person for person in town.drivers if str(person) == trip["driver_id"])

    (released,) = await suspend(town, suspended)

    assert (released.person_id, released.incident_id) == (suspended, town.zone.incident_id)
    assert released.aboard_load_ids == [aboard]
    assert released.pooled_load_ids == waiting
    assert (await read_trip(town, trip["trip_id"]))["status"] == "stranded"
    assert await held(town) == [aboard]
    assert sorted((await plans(town))[0].load_ids) == waiting
    assert await suspend(town, suspended) == []


async def test_of_a_trip_that_has_left_only_what_is_not_at_its_gate_is_to_be_rescued(
    client, service_sessions
):
    town = await make_town(client, service_sessions, orders=2)
    trip = await town.committed()
    first, second = await town.load_ids()
    await load(town, first, second)
    async with service_sessions.begin() as session:
        await session.execute(
            text("UPDATE loads SET at_gate_at = now() WHERE load_id = :load_id"), {"load_id": first}
        )

    (released,) = await suspend(town, town.drivers[0])

    assert released.aboard_load_ids == [second]
    assert released.pooled_load_ids == []
    assert (await read_trip(town, trip["trip_id"]))["status"] == "stranded"


async def test_the_consumer_releases_who_is_suspended(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=1)
    trip = await town.committed()

    await tell(service_sessions, make_suspended(town.drivers[0]), sequence=2)

    assert (await read_trip(town, trip["trip_id"]))["status"] == "released"
    assert len(await plans(town)) == 1


async def test_a_plan_anew_takes_no_vehicle_that_only_the_suspended_may_drive(client, service_sessions):
    town = await make_town(client, service_sessions, vehicles=2, drivers=2)
    passes = [
        make_pass(plate=row.plate, number=row.number, crew=[str(person)])
        for row, person in zip(
            await rows(
                service_sessions, "SELECT plate, number FROM vehicle_passes JOIN vehicles USING (vehicle_id)"
            ),
            town.drivers,
            strict=True,
        )
    ]
    await client.post("/v1/passes", json={"passes": passes}, headers=headers("commander", key="1"))
    trip = await town.committed()
    suspended = next(person for person in town.drivers if str(person) == trip["driver_id"])
    other = next(person for person in town.drivers if person != suspended)

    (released,) = await suspend(town, suspended)
    assert sorted(released.pooled_load_ids) == await town.load_ids()
    assert await solving.solve_next(service_sessions, solve_here)
    async with service_sessions.begin() as session:
        assert await application.commit_automatic(session, NOW) == 1

    ((plan_id, status, *_),) = await plans(town)
    assert status == "committed"
    (new,) = (await town.read_plan(str(plan_id)))["trips"]
    assert (new["driver_id"], new["vehicle_id"] == trip["vehicle_id"]) == (str(other), False)
