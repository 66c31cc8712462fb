import asyncio

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.whitelist.builders import (
    COMMANDER,
    GUARD,
    OFFICER,
    RESIDENT,
    add_people,
    count,
    keys_of,
    make_person,
)


async def send(client: httpx.AsyncClient, *people, headers=COMMANDER) -> list[dict]:
    answer = await client.post("/v1/people", headers=headers, json={"people": people})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_a_staff_list_sent_again_changes_nothing_and_changes_what_is_changed(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    ada, bo = make_person("a"), make_person("b", role="driver", id_number="110115199001011234")
    first = await send(client, ada, bo)
    assert [item["outcome"] for item in first] == ["created", "created"]
    again = await send(client, ada, bo)
    assert [item["outcome"] for item in again] == ["unchanged", "unchanged"]
    moved = await send(client, {**ada, "phone": "13900000000"}, {**bo, "role": "runner"}, make_person("c"))
    assert [item["outcome"] for item in moved] == ["updated", "updated", "created"]
    assert [item["person_id"] for item in moved[:2]] == [item["person_id"] for item in first]
    assert await count(service_sessions, "people") == 3
    # Two of the first sending, none of the second, three of the third.
    assert await count(service_sessions, "people_due") == 5


async def test_one_bad_entry_does_not_fail_the_others_and_all_its_faults_are_named(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    bad = make_person("bad", role="resident")
    items = await send(
        client, make_person("good"), bad, make_person("bad"), make_person("shop", role="outlet")
    )
    assert [item["outcome"] for item in items] == ["created", "refused", "refused", "refused"]
    assert [(error["pointer"], error["code"]) for item in items for error in item["errors"]] == [
        ("/people/1/external_id", "whitelist.external_id_twice"),
        ("/people/1/role", "whitelist.role_not_staff"),
        ("/people/2/external_id", "whitelist.external_id_twice"),
        ("/people/3/outlet_id", "whitelist.outlet_missing"),
    ]
    assert [item["person_id"] for item in items[1:]] == [None, None, None]
    assert await count(service_sessions, "people") == 1
    assert await count(service_sessions, "vault_keys") == 1


async def test_the_same_external_id_of_two_clients_is_two_people(client: httpx.AsyncClient) -> None:
    (mine,) = await send(client, make_person("1"))
    (other,) = await send(client, make_person("1"), headers=OFFICER)
    assert (other["outcome"], mine["person_id"] != other["person_id"]) == ("created", True)


async def test_a_person_is_shown_to_those_who_keep_the_list_and_each_reading_is_written_down(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    area = str(new_id())
    person = make_person(id_number="110115199001011234", home_area_id=area, service_area_ids=[area])
    (person_id,) = await add_people(client, person)

    seen = await client.get(f"/v1/people/{person_id}", headers=OFFICER)
    assert seen.json() == {
        "person_id": person_id,
        "external_id": "st-1",
        "role": "steward",
        "outlet_id": None,
        "home_area_id": area,
        "service_area_ids": [area],
        "personal": {"name": "王楼长", "phone": "13800000000", "id_number": "110115199001011234"},
    }
    listed = await client.get("/v1/people?role=steward", headers=COMMANDER)
    assert listed.json() == {"items": [seen.json()], "cursor": None}
    async with service_sessions() as session:
        reads = await session.execute(text("SELECT reader, purpose, person_id FROM person_reads ORDER BY id"))
    assert [(row.reader, row.purpose, str(row.person_id)) for row in reads] == [
        ("officer", "staff_entry", person_id),
        ("commander", "staff_list", person_id),
    ]


async def test_a_guard_sees_who_is_staff_and_nothing_personal(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    (person_id,) = await add_people(client)
    shown = await client.get(f"/v1/people/{person_id}", headers=GUARD)
    listed = await client.get("/v1/people", headers=GUARD)
    assert (shown.json()["personal"], listed.json()["items"][0]["personal"]) == (None, None)
    assert await count(service_sessions, "person_reads") == 0


async def test_a_list_goes_by_pages_and_by_role(client: httpx.AsyncClient) -> None:
    ids = await add_people(client, *(make_person(str(number)) for number in range(5)))
    await add_people(client, make_person("driver", role="driver"))
    found, cursor = [], ""
    for _ in range(3):
        page = await client.get(f"/v1/people?role=steward&limit=2{cursor}", headers=GUARD)
        found += [item["person_id"] for item in page.json()["items"]]
        cursor = f"&cursor={page.json()['cursor']}"
    assert (found, page.json()["cursor"]) == (sorted(ids), None)


async def test_nothing_personal_lies_in_a_table_in_clear(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    (person_id,) = await add_people(client, make_person(name="CANARY", phone="13712345678"))
    async with service_sessions() as session:
        row = (await session.execute(text("SELECT people::text, sealed FROM people"))).one()
    assert "CANARY" not in row[0]
    assert b"CANARY" not in row.sealed
    assert {str(scope) for scope in await keys_of(service_sessions)} == {person_id}


async def test_what_was_read_cannot_be_unwritten(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    (person_id,) = await add_people(client)
    await client.get(f"/v1/people/{person_id}", headers=OFFICER)
    for statement in ("DELETE FROM person_reads", "UPDATE person_reads SET reader = ''"):
        with pytest.raises(DBAPIError):
            async with service_sessions.begin() as session:
                await session.execute(text(statement))
    assert await count(service_sessions, "person_reads") == 1


async def test_an_unknown_person_is_a_404(client: httpx.AsyncClient) -> None:
    for path in (f"/v1/people/{new_id()}", f"/v1/people/{new_id()}/clearance"):
        answer = await client.get(path, headers=OFFICER)
        assert (answer.status_code, answer.json()["code"]) == (404, "whitelist.person_unknown")


@pytest.mark.parametrize("who", [RESIDENT, GUARD])
async def test_only_who_keeps_the_list_can_change_it(
    client: httpx.AsyncClient, service_sessions: Sessions, who
) -> None:
    answer = await client.post("/v1/people", headers=who, json={"people": [make_person()]})
    assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
    assert await count(service_sessions, "people") == 0


async def test_a_resident_reads_nothing_of_the_staff(client: httpx.AsyncClient) -> None:
    (person_id,) = await add_people(client)
    for path in ("/v1/people", f"/v1/people/{person_id}", f"/v1/people/{person_id}/clearance", "/v1/duties"):
        answer = await client.get(path, headers=RESIDENT)
        assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")


@pytest.mark.parametrize(
    "wrong",
    [{"phone": "call me"}, {"name": ""}, {"role": "king"}, {"status": "cleared"}, {"service_area_ids": [1]}],
)
async def test_an_entry_of_another_form_is_refused_without_an_echo(client: httpx.AsyncClient, wrong) -> None:
    answer = await client.post("/v1/people", headers=COMMANDER, json={"people": [{**make_person(), **wrong}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "kit.invalid")
    assert "call me" not in answer.text


async def test_two_imports_of_one_list_at_once_make_each_person_once(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    people = [make_person(str(number)) for number in range(20)]
    answers = await asyncio.gather(*(send(client, *people) for _ in range(4)))
    assert await count(service_sessions, "people") == 20
    assert len({tuple(item["person_id"] for item in items) for items in answers}) == 1
    assert sorted(items[0]["outcome"] for items in answers) == ["created", *["unchanged"] * 3]
