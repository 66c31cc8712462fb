import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.serving import headers
from tests.whitelist.builders import (
    COMMANDER,
    GUARD,
    OFFICER,
    add_checks,
    add_people,
    count,
    hours_ago,
    make_check,
    make_person,
)


@pytest.fixture
async def person_id(client: httpx.AsyncClient) -> str:
    (person_id,) = await add_people(client)
    return person_id


async def test_a_reference_sent_again_is_the_same_finding(
    client: httpx.AsyncClient, service_sessions: Sessions, person_id: str
) -> None:
    check = make_check(person_id, reference="LAB-1")
    before = await count(service_sessions, "people_due")
    assert await add_checks(client, check, check) == [
        {"index": 0, "outcome": "recorded", "errors": []},
        {"index": 1, "outcome": "repeated", "errors": []},
    ]
    assert await add_checks(client, check) == [{"index": 0, "outcome": "repeated", "errors": []}]
    assert await count(service_sessions, "checks") == 1
    assert await count(service_sessions, "people_due") == before + 1


async def test_a_reference_used_for_another_finding_is_refused_and_the_first_stays(
    client: httpx.AsyncClient, service_sessions: Sessions, person_id: str
) -> None:
    check = make_check(person_id, reference="LAB-1")
    await add_checks(client, check)
    others = await add_checks(client, {**check, "outcome": "positive"}, {**check, "sampled_at": hours_ago(9)})
    assert [(item["outcome"], item["errors"][0]["code"]) for item in others] == [
        ("refused", "whitelist.reference_reused")
    ] * 2
    assert others[1]["errors"][0]["pointer"] == "/checks/1/reference"
    async with service_sessions() as session:
        assert (await session.execute(text("SELECT outcome FROM checks"))).scalars().all() == ["negative"]


async def test_one_pooled_sample_stands_for_several_people(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    people = await add_people(client, *(make_person(str(number)) for number in range(10)))
    items = await add_checks(client, *(make_check(person, reference="POOL-7") for person in people))
    assert {item["outcome"] for item in items} == {"recorded"}
    assert await count(service_sessions, "checks") == 10


async def test_every_bad_finding_is_refused_with_all_its_faults_and_the_good_one_is_recorded(
    client: httpx.AsyncClient, service_sessions: Sessions, person_id: str
) -> None:
    ahead = (datetime.now(UTC) + timedelta(minutes=6)).isoformat()
    items = await add_checks(
        client,
        make_check(str(new_id()), kind="health_code", outcome="negative", sampled_at=ahead),
        make_check(person_id, kind="temperature", outcome="red"),
        make_check(person_id),
    )
    assert [item["outcome"] for item in items] == ["refused", "refused", "recorded"]
    assert [(error["pointer"], error["code"]) for error in items[0]["errors"]] == [
        ("/checks/0/person_id", "whitelist.person_unknown"),
        ("/checks/0/outcome", "whitelist.outcome_unknown"),
        ("/checks/0/sampled_at", "whitelist.sampled_in_future"),
    ]
    assert items[1]["errors"][0]["params"] == {"outcomes": ["normal", "fever"]}
    assert await count(service_sessions, "checks") == 1


async def test_a_device_whose_clock_is_a_little_ahead_is_believed(
    client: httpx.AsyncClient, person_id: str
) -> None:
    ahead = datetime.now(UTC) + timedelta(minutes=4)
    beijing = ahead.astimezone(tz=datetime.fromisoformat("2022-01-01T00:00:00+08:00").tzinfo).isoformat()
    (item,) = await add_checks(client, make_check(person_id, sampled_at=beijing))
    assert item["outcome"] == "recorded"


async def test_the_laboratorys_reference_is_not_kept_in_clear(
    client: httpx.AsyncClient, service_sessions: Sessions, person_id: str
) -> None:
    await add_checks(client, make_check(person_id, reference="CANARY"))
    async with service_sessions() as session:
        row = (await session.execute(text("SELECT checks::text FROM checks"))).scalar_one()
    assert "CANARY" not in row
    assert b"CANARY".hex() not in row


async def test_the_same_findings_sent_at_once_in_any_order_are_recorded_once(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    people = await add_people(client, *(make_person(str(number)) for number in range(30)))
    checks = [make_check(person) for person in people]
    sendings = [checks, checks[::-1], checks[10:] + checks[:10]]
    answers = await asyncio.gather(*(add_checks(client, *sending) for sending in sendings))
    outcomes = [item["outcome"] for items in answers for item in items]
    assert (outcomes.count("recorded"), outcomes.count("repeated")) == (30, 60)
    assert await count(service_sessions, "checks") == 30


@pytest.mark.parametrize("who", [COMMANDER, GUARD])
async def test_only_health_officers_record_findings(
    client: httpx.AsyncClient, service_sessions: Sessions, person_id: str, who
) -> None:
    answer = await client.post("/v1/checks", headers=who, json={"checks": [make_check(person_id)]})
    assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
    assert await count(service_sessions, "checks") == 0


async def test_more_findings_than_a_batch_holds_are_refused_whole(
    client: httpx.AsyncClient, service_sessions: Sessions, person_id: str
) -> None:
    checks = [make_check(person_id) for _ in range(501)]
    answer = await client.post("/v1/checks", headers=OFFICER, json={"checks": checks})
    assert answer.status_code == 422
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [
        ("/checks", "kit.too_long")
    ]
    assert await count(service_sessions, "checks") == 0


async def test_a_moment_without_a_zone_or_of_another_age_is_refused(
    client: httpx.AsyncClient, person_id: str
) -> None:
    for moment in ("2022-11-20T12:00:00", "0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-08:00"):
        check = make_check(person_id, sampled_at=moment)
        answer = await client.post("/v1/checks", headers=OFFICER, json={"checks": [check]})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/checks/0/sampled_at")


async def sign(client: httpx.AsyncClient, person_id: str, who: dict, **given) -> httpx.Response:
    body = {"text_version": "2022-3", "signed_at": hours_ago(1), **given}
    return await client.post(f"/v1/people/{person_id}/commitment", headers=who, json=body)


async def test_a_person_signs_for_themself_and_the_first_signature_stays(
    client: httpx.AsyncClient, service_sessions: Sessions, person_id: str
) -> None:
    self = headers("steward", subject=person_id)
    before = await count(service_sessions, "people_due")
    first = await sign(client, person_id, self, signed_at="2022-11-20T12:00:00Z")
    assert (first.status_code, first.json()) == (200, {"person_id": person_id, "text_version": "2022-3"})
    again = await sign(client, person_id, COMMANDER)
    assert again.json() == first.json()
    async with service_sessions() as session:
        signed_at = (await session.execute(text("SELECT signed_at FROM commitments"))).scalar_one()
    assert signed_at == datetime(2022, 11, 20, 12, tzinfo=UTC)
    assert await count(service_sessions, "people_due") == before + 1


async def test_nobody_signs_for_another_nor_in_the_future_nor_for_nobody(
    client: httpx.AsyncClient, service_sessions: Sessions, person_id: str
) -> None:
    other = await sign(client, person_id, headers("steward", subject=new_id()))
    assert (other.status_code, other.json()["code"]) == (403, "kit.forbidden")
    future = await sign(client, person_id, COMMANDER, signed_at=hours_ago(-1))
    assert (future.status_code, future.json()["code"]) == (422, "whitelist.signed_in_future")
    assert future.json()["errors"][0]["pointer"] == "/signed_at"
    nobody = await sign(client, str(new_id()), COMMANDER)
    assert (nobody.status_code, nobody.json()["code"]) == (404, "whitelist.person_unknown")
    assert await count(service_sessions, "commitments") == 0
