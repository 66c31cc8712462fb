"""A duty counts while the whitelist has not suspended who has it, in whatever order the words come."""

import asyncio
from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy import text

from services.kit import database
from services.kit.ids import new_id
from services.orders import consumers
from tests.orders.bus import deliver, received
from tests.orders.openings import activate, capacity, cleared, duty, prepare, show, supplied, suspended
from tests.orders.towns import plant_town
from tests.serving import headers


async def waiting_zone(client, sessions):
    """A zone that waits for nothing but the steward of its one building."""
    town = await plant_town(client, prefix=new_id().hex[-6:])
    zone = await prepare(client, town)
    incident_id = (await activate(client, town, zone["zone_id"])).json()["incident_id"]
    await deliver(sessions, (supplied(zone["zone_id"], incident_id), 1), (capacity(zone, incident_id), 1))
    return town, zone["zone_id"]


async def asks_at_the_door(client, town, person_id):
    (home,) = town.households[town.all_buildings[0]]
    head = headers("steward", subject=person_id, key=str(new_id()))
    answer = await client.post(
        f"/v1/households/{home}/check-ins", json={"outcome": "nothing_needed"}, headers=head
    )
    return answer.status_code


async def test_the_newest_word_on_a_steward_counts_in_every_order_of_arrival(
    client, service_sessions
) -> None:
    for order in permutations("dsc"):
        for newest in ("s", "c"):
            town, zone_id = await waiting_zone(client, service_sessions)
            stated = duty(town, *town.all_buildings)
            words = {
                "d": (stated, 1),
                "s": (suspended(stated.person_id), 2 if newest == "s" else 1),
                "c": (cleared(stated.person_id), 2 if newest == "c" else 1),
            }
            for word in order:
                await deliver(service_sessions, words[word])
            stands = newest == "c"
            assert (await asks_at_the_door(client, town, stated.person_id) == 201) is stands, (order, newest)
            seen = await show(client, zone_id)
            assert (seen["awaits"]["stewards"] == []) is stands, (order, newest)
            if stands:
                assert seen["status"] == "open", order
            elif order.index("d") > order.index("s"):
                assert seen["status"] == "activated", order


async def test_of_whom_nothing_was_heard_the_duty_counts(client, service_sessions) -> None:
    town, zone_id = await waiting_zone(client, service_sessions)
    stated = duty(town, *town.all_buildings)
    await deliver(service_sessions, (suspended(new_id()), 1), (stated, 1))
    assert (await show(client, zone_id))["status"] == "open"
    assert await asks_at_the_door(client, town, stated.person_id) == 201


async def test_a_suspension_takes_everything_a_duty_gives_and_a_clearance_gives_it_back(
    client, service_sessions
) -> None:
    town, zone_id = await waiting_zone(client, service_sessions)
    stated = duty(town, *town.all_buildings)
    await deliver(service_sessions, (stated, 1))
    (home,) = town.households[town.all_buildings[0]]
    head = headers("steward", subject=stated.person_id)
    order = {
        "household_id": str(home), "slot_id": str(new_id()),
        "lines": [{"product_id": str(new_id()), "quantity": 1, "seen_price_fen": 1}],
    }  # fmt: skip

    async def tries():
        keyed = {**head, "idempotency-key": str(new_id())}
        return [
            (await client.get(f"/v1/households/{home}", headers=head)).status_code,
            (await client.get(f"/v1/orders?household_id={home}", headers=head)).status_code,
            (await client.post("/v1/orders", json=order, headers=keyed)).status_code,
            await asks_at_the_door(client, town, stated.person_id),
        ]

    assert await tries() == [200, 200, 422, 201]
    await deliver(service_sessions, (suspended(stated.person_id), 1))
    assert await tries() == [404, 404, 404, 404]
    seen = await show(client, zone_id)
    assert (seen["status"], seen["awaits"]["stewards"]) == ("open", [str(town.all_buildings[0])])
    await deliver(service_sessions, (cleared(stated.person_id), 2))
    assert await tries() == [200, 200, 422, 201]
    assert (await show(client, zone_id))["awaits"]["stewards"] == []


async def test_another_steward_on_duty_holds_the_building(client, service_sessions) -> None:
    town, zone_id = await waiting_zone(client, service_sessions)
    one, two = duty(town, *town.all_buildings), duty(town, *town.all_buildings)
    await deliver(service_sessions, (suspended(one.person_id), 1), (one, 1), (two, 1))
    assert (await show(client, zone_id))["status"] == "open"
    assert await asks_at_the_door(client, town, one.person_id) == 404


@pytest.mark.parametrize(("ends", "status"), [(timedelta(seconds=-1), 404), (timedelta(seconds=59), 201)])
async def test_a_clearance_counts_until_its_last_class_ends(client, service_sessions, ends, status) -> None:
    town, _ = await waiting_zone(client, service_sessions)
    stated = duty(town, *town.all_buildings)
    await deliver(service_sessions, (cleared(stated.person_id, ends=ends), 1), (stated, 1))
    assert await asks_at_the_door(client, town, stated.person_id) == status


async def test_a_duty_and_a_clearance_at_once_are_not_missed(client, service_sessions) -> None:
    town, zone_id = await waiting_zone(client, service_sessions)
    stated = duty(town, *town.all_buildings)
    await deliver(service_sessions, (suspended(stated.person_id), 1))
    async with service_sessions.begin() as session:
        arrived = received(stated).as_arrived(type(stated))
        await consumers.on_duty_stated(session, [arrived], await database.now(session))
        second = asyncio.create_task(deliver(service_sessions, (cleared(stated.person_id), 2)))
        await asyncio.wait([second], timeout=0.3)
    await second
    assert (await show(client, zone_id))["status"] == "open"


async def test_an_older_word_changes_nothing(client, service_sessions) -> None:
    person_id = new_id()
    await deliver(service_sessions, (suspended(person_id), 5))
    await deliver(service_sessions, (cleared(person_id), 4))
    async with service_sessions() as session:
        rows = await session.execute(text("SELECT sequence, cleared_until FROM clearances"))
        assert [tuple(row) for row in rows] == [(5, None)]
