"""P11: dispatch hears nothing while a driver is suspended: what it knew counts meanwhile, and is marked."""

import asyncio
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from services.contracts.whitelist import Heartbeat
from services.kit.bus.choose import bus_from
from services.kit.bus.transport import Bus
from services.kit.database import Sessions
from services.kit.event import Event
from services.kit.ids import new_id
from services.whitelist.clearance.heartbeat import words_of_partitions
from tests import databases
from tests.builders import record_of
from tests.chaos import books, of_people
from tests.dispatch.builders import make_cleared, make_suspended, tell
from tests.dispatch.conftest import client, service_sessions, service_url
from tests.dispatch.test_trips import assign, codes, read_trip
from tests.dispatch.towns import Town, make_town
from tests.promises.bells import IS_FULL
from tests.promises.killing import beside
from tests.promises.parts import part_of
from tests.serving import headers

# Of dispatch, where the other promises have catalog's.
__all__ = ["client", "service_sessions", "service_url"]
FROZEN_FOR = 120.0
BEATS_EVERY = 15.0 if IS_FULL else 0.5
# In small, all that dispatch knows is made older instead.
AGE = (
    "UPDATE whitelist_beats SET beat_at = beat_at - interval '120 seconds'",
    "UPDATE crew SET sealed_until = sealed_until - interval '120 seconds'",
)
HEARD_WITHIN = 60.0
SEATS = text("SELECT driver_id, is_degraded FROM trip_seats")


async def say(bus: Bus, *events: Event, sequence: int = 1) -> None:
    async with bus.sending() as sender:
        await sender.send([record_of(event, sequence=sequence) for event in events])


async def keep_beating(bus: Bus) -> None:
    while True:
        now, words = datetime.now(UTC), words_of_partitions()
        await say(
            bus,
            *(
                Heartbeat(partition=partition, key_of_partition=word, beat_at=now)
                for partition, word in enumerate(words)
            ),
        )
        await asyncio.sleep(BEATS_EVERY)


async def let_pass(sessions: Sessions) -> None:
    if IS_FULL:
        await asyncio.sleep(FROZEN_FOR)
        return
    async with sessions.begin() as session:
        for statement in AGE:
            await session.execute(text(statement))


async def read_crew(town: Town, person_id: UUID) -> dict[str, Any]:
    shown = (await town.client.get("/v1/crew", headers=headers("health_officer"))).json()["items"]
    return next(each for each in shown if each["person_id"] == str(person_id))


async def until_crew_is(town: Town, person_id: UUID, **wanted: Any) -> None:
    async with asyncio.timeout(HEARD_WITHIN):
        while True:
            seen = await read_crew(town, person_id)
            if all(seen[name] == value for name, value in wanted.items()):
                return
            await asyncio.sleep(0.05)


async def refusal(town: Town, trip_id: str, person_id: UUID) -> list[str]:
    """Why somebody may not drive; nothing is changed by asking."""
    before = await read_trip(town, trip_id)
    answer = await assign(town, trip_id, person_id)
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, answer.text
    assert await read_trip(town, trip_id) == before
    return list(codes(answer))


async def let_drive(town: Town, trip_id: str, person_id: UUID) -> bool:
    """Assign somebody, and say whether that is marked as done on old knowledge."""
    answer = await assign(town, trip_id, person_id)
    assert answer.status_code == httpx.codes.OK, answer.text
    trip = await read_trip(town, trip_id)
    assert trip["driver_id"] == str(person_id)
    return bool(trip["is_degraded"])


async def test_while_no_word_comes_the_last_one_counts_and_is_marked_and_the_next_one_takes_the_trip_back(
    client: httpx.AsyncClient,
    service_sessions: Sessions,
    service_url: str,
    postgres: str,
    tmp_path: Path,
) -> None:
    town = await make_town(client, service_sessions, drivers=2)
    trip_id, first = (trip := await town.committed())["trip_id"], UUID(trip["driver_id"])
    (gone,) = (person for person in town.drivers if person != first)
    short = datetime.now(UTC) + timedelta(seconds=FROZEN_FOR)
    await tell(service_sessions, make_cleared(passing := new_id(), until=short))
    async with databases.fresh(postgres) as bus_url:
        bus = bus_from(bus_url)
        await bus.make_topics(["catalog", "dispatch", "orders", "whitelist"], within=60)
        with part_of("work", "dispatch", tmp_path, service_url, bus_url=bus_url) as worker:
            async with beside(keep_beating(bus)):
                worker.start()
                await until_crew_is(town, gone, is_degraded=False)
                assert not await let_drive(town, trip_id, first)
                assert await refusal(town, trip_id, passing) == ["dispatch.clearance_ends_too_soon"]

                worker.send(signal.SIGSTOP)
                await say(bus, make_suspended(gone), sequence=2)
                await let_pass(service_sessions)
                await until_crew_is(town, gone, is_degraded=True)
                assert await let_drive(town, trip_id, gone)
                assert await refusal(town, trip_id, passing) == ["dispatch.not_cleared_for_class"]
                assert await refusal(town, trip_id, new_id()) == ["dispatch.person_unknown"]
                assert await let_drive(town, trip_id, gone)

                worker.send(signal.SIGCONT)
                since = time.monotonic()
                await until_crew_is(town, gone, cleared_for=[], is_degraded=False)
                took = time.monotonic() - since
                assert await refusal(town, trip_id, gone) == ["dispatch.person_suspended"]
                # Taken back by the worker, which may have heard that before the beats of all partitions.
                assert (await read_trip(town, trip_id))["driver_id"] == str(first)
                assert not await let_drive(town, trip_id, first)
            assert not worker.has_died()
    print(f"heard {took:.1f} s after it went on")  # noqa: T201 - pytest -rP
    async with service_sessions() as session:
        seats = (await session.execute(SEATS)).all()
    assert {marked for driver, marked in seats if driver == gone} == {True}
    async with books.opened({"dispatch": service_url}) as opened:
        assert await of_people.find_uncleared(opened) == []
