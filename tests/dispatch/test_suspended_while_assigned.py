"""P11: who is suspended while being assigned is assigned before it or not at all."""

import asyncio
import os
import random

from sqlalchemy import text

from tests.dispatch.test_trips import assign, read_trip
from tests.dispatch.towns import make_town

RACES = 5000 if os.environ.get("PROMISES") == "full" else 15
SUSPEND = text("UPDATE crew SET is_suspended = true WHERE person_id = :person")
DRIVER = text("SELECT driver_id FROM trips WHERE trip_id = :trip")


async def suspend(town, trip_id, person, *, after):
    """Suspend a person; return who drives the trip at that moment, seen with the person's row in hand."""
    await asyncio.sleep(after)
    async with town.sessions.begin() as session:
        await session.execute(SUSPEND, {"person": person})
        return (await session.execute(DRIVER, {"trip": trip_id})).scalar_one()


async def begin_anew(town, trip_id, first):
    async with town.sessions.begin() as session:
        await session.execute(text("UPDATE crew SET is_suspended = false"))
        await session.execute(
            text("UPDATE trips SET driver_id = :first WHERE trip_id = :trip"),
            {"first": first, "trip": trip_id},
        )


async def test_nobody_is_assigned_once_suspended_whichever_came_first(client, service_sessions):
    town = await make_town(client, service_sessions, drivers=2)
    trip = await town.committed()
    trip_id, first = trip["trip_id"], trip["driver_id"]
    other = next(person for person in town.drivers if str(person) != first)
    draw, seen = random.Random(11), set()
    for _ in range(RACES):
        await begin_anew(town, trip_id, first)
        answer, at_suspension = await asyncio.gather(
            assign(town, trip_id, other), suspend(town, trip_id, other, after=draw.uniform(0, 0.02))
        )
        assert answer.status_code in (200, 422), answer.text
        assert (await read_trip(town, trip_id))["driver_id"] == str(at_suspension)
        assert (answer.status_code == 200) == (at_suspension == other)
        seen.add(answer.status_code)
    assert 200 in seen
