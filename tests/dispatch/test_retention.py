"""What dispatch forgets: old words on people that newer ones stand for, and plans that nobody committed."""

from datetime import timedelta

from sqlalchemy import text

from services.dispatch.crew import queries as crew
from services.dispatch.timers import TIMERS
from services.kit import database
from services.kit.ids import new_id
from tests.dispatch.builders import NOW, make_cleared, make_suspended, rows, tell
from tests.dispatch.towns import make_town

FORGET = {timer.name: timer.run for timer in TIMERS if timer.name.startswith("forget_")}
CHILDREN = ("trips", "trip_stops", "trip_loads", "left_loads")
DAY = timedelta(days=1)


async def forget(sessions, timer: str) -> int:
    done = 0
    while True:
        async with sessions.begin() as session:
            batch = await FORGET[timer](session, await database.now(session))
        if not batch:
            return done
        done += batch


async def history(sessions, person) -> list[int]:
    found = await rows(
        sessions, "SELECT sequence FROM crew_history WHERE person_id = :person ORDER BY 1", person=person
    )
    return [row.sequence for row in found]


async def counts(sessions) -> dict[str, int]:
    return {
        table: (await rows(sessions, f"SELECT count(*) FROM {table}"))[0][0] for table in ("plans", *CHILDREN)
    }


async def test_of_words_older_than_ninety_days_the_one_that_stood_then_is_kept(service_sessions):
    often, seldom = new_id(), new_id()
    for sequence, days in ((1, 200), (2, 91), (4, 89), (5, 1)):
        await tell(service_sessions, make_cleared(often, until=NOW), sequence=sequence, at=NOW - days * DAY)
    await tell(service_sessions, make_suspended(often), sequence=3, at=NOW - 90.5 * DAY)
    await tell(service_sessions, make_cleared(seldom), at=NOW - 300 * DAY)
    stood = {(often, NOW - 90 * DAY), (often, NOW - 88 * DAY), (often, NOW), (seldom, NOW - 90 * DAY)}
    async with service_sessions() as session:
        before = await crew.find_standing(session, stood)

    assert await forget(service_sessions, "forget_crew_history") == 2
    assert await history(service_sessions, often) == [3, 4, 5]
    assert await history(service_sessions, seldom) == [1]
    async with service_sessions() as session:
        assert await crew.find_standing(session, stood) == before
    assert before[often, NOW - 90 * DAY].is_suspended


async def age(town, plan_id, days: float) -> None:
    async with town.sessions.begin() as session:
        await session.execute(
            text("UPDATE plans SET requested_at = now() - CAST(:age AS interval) WHERE plan_id = :plan_id"),
            {"age": days * DAY, "plan_id": plan_id},
        )


async def test_a_plan_that_nobody_committed_goes_after_thirty_days_with_all_it_proposed(
    client, service_sessions
):
    town = await make_town(client, service_sessions)
    fresh, old, committed = [await town.plan() for _ in range(3)]
    assert (await town.commit(committed)).status_code == 200
    await age(town, fresh, 29.9)
    await age(town, old, 30.1)
    await age(town, committed, 400)
    before = await counts(service_sessions)
    kept = await town.read_plan(committed)

    assert await forget(service_sessions, "forget_plans") == 1
    assert await counts(service_sessions) == {
        table: number - {"plans": 1, "trips": 1, "trip_stops": 2, "trip_loads": 3}.get(table, 0)
        for table, number in before.items()
    }
    assert await town.read_plan(committed) == kept
    assert (await town.read_plan(fresh))["status"] == "ready"
    gone = await client.get(f"/v1/plans/{old}", headers=town.commander())
    assert gone.status_code == 404
