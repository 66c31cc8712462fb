"""Health data is kept no longer than it is of use: the last check of each kind, the others for a month."""

import httpx
from sqlalchemy import text

from services.kit.database import Sessions
from tests.whitelist.builders import (
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

MONTH = 30 * 24


async def kept(sessions: Sessions, person: str) -> list[tuple[str, str, int]]:
    """Kind, outcome and age in hours of the checks of a person, the latest first."""
    async with sessions() as session:
        rows = await session.execute(
            text("""
                SELECT kind, outcome, round(extract(epoch FROM now() - sampled_at) / 3600)
                FROM checks WHERE person_id = :person ORDER BY sampled_at DESC
            """),
            {"person": person},
        )
        return [(kind, outcome, int(hours)) for kind, outcome, hours in rows]


async def forget(sessions: Sessions) -> int:
    done = 0
    while batch := await run(sessions, "forget_checks"):
        done += batch
    return done


async def test_a_check_that_a_later_one_stands_for_is_forgotten_after_thirty_days(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    tested, gone = await add_people(client, make_person("tested"), make_person("gone"))
    ages = {"pcr": (MONTH + 200, MONTH + 1, MONTH - 1, 5), "antigen": (MONTH + 90,)}
    await add_checks(
        client,
        *(
            make_check(tested, kind=kind, sampled_at=hours_ago(age))
            for kind, each in ages.items()
            for age in each
        ),
        make_check(tested, kind="pcr", outcome="positive", sampled_at=hours_ago(MONTH + 300)),
        make_check(gone, sampled_at=hours_ago(MONTH + 700)),
        make_check(gone, sampled_at=hours_ago(MONTH + 600)),
    )
    assert await forget(service_sessions) == 3
    assert await kept(service_sessions, tested) == [
        ("pcr", "negative", 5),
        ("pcr", "negative", MONTH - 1),
        ("antigen", "negative", MONTH + 90),
        ("pcr", "positive", MONTH + 300),
    ]
    assert await kept(service_sessions, gone) == [("pcr", "negative", MONTH + 600)]


async def test_what_was_forgotten_changes_no_clearance_also_if_it_is_sent_again(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await add_policy(client)
    (person,) = await add_people(client, make_person())
    old = make_check(person, outcome="positive", sampled_at=hours_ago(MONTH + 40))
    await add_checks(
        client,
        old,
        make_check(person, outcome="positive", sampled_at=hours_ago(MONTH + 20)),
        make_check(person, sampled_at=hours_ago(2)),
    )
    await run(service_sessions, "judge_due")
    said = await list_events(service_sessions, person)
    assert [event["name"] for event in said] == ["person_cleared"]

    assert await forget(service_sessions) == 1
    assert [item["outcome"] for item in await add_checks(client, old)] == ["recorded"]
    await run(service_sessions, "judge_due")
    assert await list_events(service_sessions, person) == said
    assert await forget(service_sessions) == 1
    assert await count(service_sessions, "checks") == 2
