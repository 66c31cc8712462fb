"""What several workers, checks that come in and policies that change do to one another: nothing."""

import asyncio
import random
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import text

from services.contracts.access import Role
from services.kit import database, timers
from services.kit.database import Sessions
from services.kit.vault import Master
from services.whitelist.clearance import application as clearance
from services.whitelist.people import application as people
from services.whitelist.people.domain import Entry, Personal
from services.whitelist.settings import WhitelistSettings
from services.whitelist.timers import TIMERS
from tests.serving import make_settings
from tests.whitelist.builders import (
    OFFICER,
    add_checks,
    add_people,
    add_policy,
    count,
    hours_ago,
    list_events,
    make_check,
    make_person,
    run,
)


async def drain(sessions: Sessions) -> None:
    while await run(sessions, "judge_due"):
        pass


async def test_a_fact_that_comes_while_its_person_is_judged_neither_waits_nor_is_lost(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await add_policy(client)
    (person_id,) = await add_people(client)
    async with service_sessions.begin() as session:
        assert await clearance.judge_due(session, await database.now(session)) == 1
        # Still uncommitted: the person's row is locked, and what was said is not yet to be seen.
        await asyncio.wait_for(add_checks(client, make_check(person_id)), timeout=0.9)
    await drain(service_sessions)
    events = await list_events(service_sessions, person_id)
    assert [(event["name"], event["sequence"]) for event in events] == [
        ("person_suspended", 1),
        ("person_cleared", 2),
    ]


async def test_two_workers_that_judge_one_person_at_once_say_it_once(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await add_policy(client)
    (person_id,) = await add_people(client)
    for _ in range(8):
        await add_checks(client, make_check(person_id, sampled_at=hours_ago(1)))
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE people_due SET urgency = 1 WHERE id % 2 = 0"))

    async def judge(place: int) -> None:
        async with service_sessions.begin() as session:
            now = await database.now(session)
            marks = text("DELETE FROM people_due WHERE id % 4 = :place RETURNING person_id")
            taken = (await session.execute(marks, {"place": place})).scalars().all()
            await clearance.judge_people(session, taken, now)

    await asyncio.gather(*(judge(place) for place in range(4)))
    events = await list_events(service_sessions, person_id)
    assert [(event["name"], event["sequence"]) for event in events] == [("person_cleared", 1)]


async def test_a_person_imported_beside_a_change_of_policy_is_judged_by_it(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path, whitelist_url: str
) -> None:
    master = Master.of_file(make_settings(WhitelistSettings, tmp_path, whitelist_url).master_key)
    personal = Personal(name="王", phone="138", id_number=None)
    entry = Entry(
        external_id="1",
        role=Role.GUARD,
        personal=personal,
        outlet_id=None,
        home_area_id=None,
        service_area_ids=(),
    )
    async with service_sessions() as session:
        await people.import_people(session, [entry], client="c", master=master)
        policy = asyncio.create_task(add_policy(client))
        # The policy waits: what it marks must include whoever is coming in.
        waits = text("""
            SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """)
        while not (await session.execute(waits)).scalar_one():
            assert (await asyncio.wait([policy], timeout=0.005))[1] == {policy}
        assert not policy.done()
        await session.commit()
    await policy
    async with service_sessions() as session:
        urgencies = await session.execute(text("SELECT urgency FROM people_due ORDER BY urgency"))
        assert urgencies.scalars().all() == [0, 1]


async def test_what_was_last_said_is_what_the_facts_and_policies_say_whatever_ran_at_once(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    draw = random.Random(20221120)
    ids = await add_people(client, *(make_person(str(number)) for number in range(60)))
    stopped = asyncio.Event()

    async def work() -> None:
        while not stopped.is_set():
            await run(service_sessions, "judge_due")
            await asyncio.sleep(0)

    async def test_people() -> None:
        for _ in range(12):
            tested = draw.sample(ids, 20)
            checks = [
                make_check(
                    person_id,
                    outcome=draw.choice(["negative", "negative", "positive"]),
                    sampled_at=hours_ago(draw.uniform(0, 40)),
                )
                for person_id in tested
            ]
            await add_checks(client, *checks)

    async def change_policies() -> None:
        for hours in (48, 12, 72, 24, 6, 36):
            await add_policy(client, pcr_max_age_hours=hours, valid_from=hours_ago(0))

    workers = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.gather(test_people(), test_people(), change_policies())
    stopped.set()
    await asyncio.gather(*workers)
    await drain(service_sessions)

    said = defaultdict(list)
    for event in await list_events(service_sessions):
        said[event["person_id"]].append(event)
    assert set(said) == set(ids)
    for person_id in ids:
        events = said[person_id]
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        path = f"/v1/people/{person_id}/clearance"
        sealed = (await client.get(path, headers=OFFICER)).json()["clearances"][0]
        if sealed["cleared"]:
            assert events[-1]["clearances"] == [
                {"zone_class": "sealed", "valid_until": sealed["valid_until"]}
            ]
        else:
            assert events[-1]["name"] == "person_suspended"
    assert await count(service_sessions, "people_due") == 0


async def test_several_workers_beat_once(service_sessions: Sessions) -> None:
    later = datetime.now(UTC)
    for seconds in (0, 20, 40):
        now = later + timedelta(seconds=seconds)
        beats = await asyncio.gather(*(run(service_sessions, "heartbeat", now=now) for _ in range(4)))
        assert sum(beats) == 12
    events = await list_events(service_sessions)
    assert len({(event["partition"], event["sequence"]) for event in events}) == len(events) == 36


async def test_a_suspension_leaves_within_5_seconds_while_everyone_is_judged_anew(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    ids = []
    for batch in range(4):
        people_of_batch = [make_person(f"{batch}-{number}") for number in range(500)]
        ids += await add_people(client, *people_of_batch)
    await add_policy(client)
    await add_checks(client, make_check(ids[0]))
    await drain(service_sessions)

    loops = [
        asyncio.create_task(timers.keep_running(service_sessions, timer))
        for timer in TIMERS
        if timer.name == "judge_due"
    ]
    await add_policy(client, pcr_max_age_hours=24, valid_from=hours_ago(0))
    started = time.perf_counter()
    await add_checks(client, make_check(ids[0], outcome="positive", sampled_at=hours_ago(0)))
    while (await list_events(service_sessions, ids[0]))[-1]["name"] != "person_suspended":
        assert time.perf_counter() - started < 5
        await asyncio.sleep(0.02)
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
