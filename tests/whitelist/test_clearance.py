from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import text

from services.kit import outbox
from services.kit.database import Sessions
from services.whitelist.clearance.heartbeat import words_of_partitions
from tests.whitelist.builders import (
    COMMANDER,
    GUARD,
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


def moment(written: str) -> datetime:
    return datetime.fromisoformat(written)


async def test_a_person_is_cleared_by_a_test_and_told_until_when(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await add_policy(client)
    (person_id,) = await add_people(client)
    await run(service_sessions, "judge_due")
    sampled_at = hours_ago(1)
    await add_checks(client, make_check(person_id, sampled_at=sampled_at))
    assert await run(service_sessions, "judge_due") == 1

    said = {"person_id": person_id, "role": "steward"}
    suspended, cleared = await list_events(service_sessions, person_id)
    assert suspended == {
        **said,
        "name": "person_suspended",
        "sequence": 1,
        "codes": ["whitelist.pcr_missing"],
    }
    (clearance,) = cleared.pop("clearances")
    assert cleared == {**said, "name": "person_cleared", "sequence": 2}
    assert clearance["zone_class"] == "sealed"
    assert moment(clearance["valid_until"]) == moment(sampled_at) + timedelta(hours=48)


async def test_nothing_is_told_when_nothing_said_has_changed(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await add_policy(client)
    (person_id,) = await add_people(client)
    await add_checks(client, make_check(person_id))
    await run(service_sessions, "judge_due")
    await add_checks(client, make_check(person_id, sampled_at=hours_ago(20)))
    await add_checks(client, make_check(person_id, kind="temperature", outcome="normal"))
    await add_policy(client, roles=["driver"], pcr_max_age_hours=1)
    assert await run(service_sessions, "judge_due") == 2
    assert [event["sequence"] for event in await list_events(service_sessions, person_id)] == [1]


async def test_a_positive_test_suspends_without_telling_the_others_what_was_found(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await add_policy(client)
    (person_id,) = await add_people(client)
    await add_checks(client, make_check(person_id))
    await run(service_sessions, "judge_due")
    await add_checks(client, make_check(person_id, outcome="positive", sampled_at=hours_ago(0.5)))
    await run(service_sessions, "judge_due")
    await add_checks(client, make_check(person_id, sampled_at=hours_ago(0.1)))
    await run(service_sessions, "judge_due")
    events = await list_events(service_sessions, person_id)
    assert [event["name"] for event in events] == ["person_cleared", "person_suspended", "person_cleared"]
    assert events[1]["codes"] == ["whitelist.health_requirement"]


async def test_a_clearance_ends_by_the_clock_alone(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await add_policy(client)
    (person_id,) = await add_people(client)
    sampled_at = hours_ago(1)
    await add_checks(client, make_check(person_id, sampled_at=sampled_at))
    await run(service_sessions, "judge_due")
    end = moment(sampled_at) + timedelta(hours=48)
    assert await run(service_sessions, "judge_lapsed", now=end - timedelta(microseconds=1)) == 0
    assert await run(service_sessions, "judge_lapsed", now=end) == 1
    assert await run(service_sessions, "judge_lapsed", now=end) == 0
    last = (await list_events(service_sessions, person_id))[-1]
    assert (last["name"], last["sequence"], last["codes"]) == (
        "person_suspended",
        2,
        ["whitelist.pcr_expired"],
    )


async def test_a_policy_announced_for_later_binds_when_its_time_comes(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    begins = datetime.now(UTC) + timedelta(hours=1)
    await add_policy(client, valid_from=begins.isoformat())
    (person_id,) = await add_people(client)
    await add_checks(client, make_check(person_id))
    await run(service_sessions, "judge_due")
    assert await run(service_sessions, "judge_lapsed", now=begins) == 1
    events = await list_events(service_sessions, person_id)
    assert [event["name"] for event in events] == ["person_suspended", "person_cleared"]
    assert events[0]["codes"] == ["whitelist.no_policy"]


async def test_a_stricter_policy_suspends_and_a_change_of_role_is_told(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await add_policy(client)
    (person_id,) = await add_people(client)
    await add_checks(client, make_check(person_id, sampled_at=hours_ago(30)))
    await run(service_sessions, "judge_due")
    await add_policy(client, roles=["steward"], pcr_max_age_hours=24, valid_from=hours_ago(0))
    await run(service_sessions, "judge_due")
    await add_people(client, make_person(role="runner"))
    await run(service_sessions, "judge_due")
    events = await list_events(service_sessions, person_id)
    assert [(event["name"], event["role"], event["sequence"]) for event in events] == [
        ("person_cleared", "steward", 1),
        ("person_suspended", "steward", 2),
        ("person_cleared", "runner", 3),
    ]


async def test_the_fact_about_one_goes_before_the_rule_about_everyone(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await add_policy(client)
    (person_id,) = await add_people(client)
    await add_checks(client, make_check(person_id))
    await run(service_sessions, "judge_due")
    async with service_sessions.begin() as session:
        many = "SELECT 1, gen_random_uuid() FROM generate_series(1, 2000)"
        await session.execute(text(f"INSERT INTO people_due (urgency, person_id) {many}"))
    await add_checks(client, make_check(person_id, outcome="positive", sampled_at=hours_ago(0)))
    assert await run(service_sessions, "judge_due") == 500
    assert (await list_events(service_sessions, person_id))[-1]["name"] == "person_suspended"


async def test_a_health_officer_reads_every_reason_and_the_reading_is_written_down(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await add_policy(client, pcr_max_age_hours=24, commitment_version="2022-3")
    (person_id,) = await add_people(client)
    sampled_at = "2022-11-20T04:00:00Z"
    await add_checks(client, make_check(person_id, sampled_at=sampled_at))
    shown = (await client.get(f"/v1/people/{person_id}/clearance", headers=OFFICER)).json()
    assert (shown["person_id"], [item["zone_class"] for item in shown["clearances"]]) == (
        person_id,
        ["sealed", "controlled", "precaution"],
    )
    sealed, controlled, _ = shown["clearances"]
    assert sealed == {
        "zone_class": "sealed",
        "cleared": False,
        "valid_until": None,
        "reasons": [
            {"code": "whitelist.pcr_expired", "params": {"max_age_hours": 24, "sampled_at": sampled_at}},
            {"code": "whitelist.commitment_missing", "params": {"text_version": "2022-3"}},
        ],
    }
    assert controlled["reasons"] == [{"code": "whitelist.no_policy", "params": {}}]
    async with service_sessions() as session:
        read = (await session.execute(text("SELECT reader, purpose FROM person_reads"))).one()
    assert tuple(read) == ("officer", "clearance_reasons")


async def test_a_guard_and_a_commander_see_whether_and_until_when_but_not_why(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await add_policy(client)
    (person_id,) = await add_people(client)
    await add_checks(client, make_check(person_id, outcome="positive"))
    for who in (GUARD, COMMANDER):
        answer = await client.get(f"/v1/people/{person_id}/clearance", headers=who)
        assert [(item["cleared"], item["reasons"]) for item in answer.json()["clearances"]] == [
            (False, None)
        ] * 3
        assert "positive" not in answer.text
    assert await count(service_sessions, "person_reads") == 0


async def test_a_clearance_shown_is_as_fresh_as_the_last_fact(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await add_policy(client)
    (person_id,) = await add_people(client)
    await add_checks(client, make_check(person_id))
    shown = (await client.get(f"/v1/people/{person_id}/clearance", headers=GUARD)).json()
    assert shown["clearances"][0]["cleared"] is True
    assert await list_events(service_sessions, person_id) == []


async def test_every_partition_has_its_beat_each_15_seconds(service_sessions: Sessions) -> None:
    start = datetime(2022, 11, 20, 12, tzinfo=UTC)
    beats = [await run(service_sessions, "heartbeat", now=start + timedelta(seconds=n)) for n in range(31)]
    assert [second for second, beat in enumerate(beats) if beat] == [0, 15, 30]
    assert set(beats) == {0, 12}
    events = await list_events(service_sessions)
    assert sorted((event["partition"], event["sequence"]) for event in events) == [
        (partition, sequence) for partition in range(12) for sequence in (1, 2, 3)
    ]
    assert all(outbox.partition_of(event["key_of_partition"]) == event["partition"] for event in events)
    assert len(set(words_of_partitions())) == 12
