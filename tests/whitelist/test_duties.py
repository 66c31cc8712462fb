import httpx
import pytest

from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.whitelist.builders import (
    COMMANDER,
    GUARD,
    RESIDENT,
    add_people,
    count,
    list_events,
    make_person,
)

VILLAGE, HOUSE = str(new_id()), str(new_id())


def make_duty(person_id: str, **given) -> dict:
    duty = {
        "person_id": person_id,
        "role": "steward",
        "community_id": VILLAGE,
        "building_ids": [HOUSE],
        "starts_at": "2022-11-20T00:00:00Z",
        "ends_at": "2022-11-21T00:00:00Z",
    }
    return {**duty, **given}


async def send(client: httpx.AsyncClient, *duties, headers=COMMANDER) -> list[dict]:
    answer = await client.post("/v1/duties", headers=headers, json={"duties": duties})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_a_duty_is_told_once_and_again_only_when_it_says_something_else(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    (person_id,) = await add_people(client)
    duty = make_duty(person_id)
    (created,) = await send(client, duty)
    (unchanged,) = await send(client, duty)
    longer = {**duty, "ends_at": "2022-11-22T00:00:00Z"}
    (updated,) = await send(client, longer)
    outcomes = [item["outcome"] for item in (created, unchanged, updated)]
    assert outcomes == ["created", "unchanged", "updated"]
    assert created["duty_id"] == unchanged["duty_id"] == updated["duty_id"]
    told = {"name": "duty_stated", "duty_id": created["duty_id"]}
    assert await list_events(service_sessions, created["duty_id"]) == [
        {**told, "sequence": 1, **duty},
        {**told, "sequence": 2, **longer},
    ]


async def test_every_bad_duty_is_refused_with_all_its_faults(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    steward, driver = await add_people(client, make_person("1"), make_person("2", role="driver"))
    items = await send(
        client,
        make_duty(str(new_id()), building_ids=[], ends_at="2022-11-20T00:00:00Z"),
        make_duty(driver, role="driver"),
        make_duty(driver),
        make_duty(steward),
        make_duty(steward, role="guard", building_ids=[]),
    )
    assert [item["outcome"] for item in items] == ["refused", "refused", "refused", "created", "refused"]
    assert [(error["pointer"], error["code"]) for item in items for error in item["errors"]] == [
        ("/duties/0/person_id", "whitelist.person_unknown"),
        ("/duties/0/building_ids", "whitelist.duty_without_buildings"),
        ("/duties/0/ends_at", "whitelist.duty_ends_first"),
        ("/duties/1/role", "whitelist.role_without_duty"),
        ("/duties/2/role", "whitelist.role_mismatch"),
        ("/duties/4/role", "whitelist.role_mismatch"),
    ]
    assert await count(service_sessions, "duties") == 1
    assert len(await list_events(service_sessions)) == 1


async def test_of_twins_in_one_batch_the_last_counts_and_one_is_told(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    (person_id,) = await add_people(client)
    other = str(new_id())
    items = await send(client, make_duty(person_id), make_duty(person_id, building_ids=[other]))
    assert len({item["duty_id"] for item in items}) == 1
    (event,) = await list_events(service_sessions)
    assert (event["building_ids"], event["sequence"]) == ([other], 1)


async def test_duties_are_listed_by_community(client: httpx.AsyncClient) -> None:
    (guard,) = await add_people(client, make_person(role="guard"))
    elsewhere = str(new_id())
    gate = {"role": "guard", "building_ids": []}
    here, there = await send(
        client, make_duty(guard, **gate), make_duty(guard, **gate, community_id=elsewhere)
    )
    every = await client.get("/v1/duties", headers=GUARD)
    assert [duty["duty_id"] for duty in every.json()["items"]] == [here["duty_id"], there["duty_id"]]
    some = await client.get(f"/v1/duties?community_id={elsewhere}", headers=GUARD)
    assert some.json()["items"] == [
        {"duty_id": there["duty_id"], **make_duty(guard, **gate, community_id=elsewhere)}
    ]


@pytest.mark.parametrize("who", [GUARD, RESIDENT])
async def test_only_who_keeps_the_staff_list_puts_people_on_duty(
    client: httpx.AsyncClient, service_sessions: Sessions, who
) -> None:
    (person_id,) = await add_people(client)
    answer = await client.post("/v1/duties", headers=who, json={"duties": [make_duty(person_id)]})
    assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
    assert await count(service_sessions, "duties") == 0
