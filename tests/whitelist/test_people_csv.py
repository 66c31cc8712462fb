"""The staff list as a spreadsheet has it: a line says what an entry says, and nothing of it is repeated."""

import httpx

from services.kit.database import Sessions
from services.kit.ids import new_id
from services.whitelist.people.routes import STAFF_LIST
from tests.serving import headers
from tests.whitelist.builders import COMMANDER, GUARD, add_people, count, make_person

HEAD = "external_id,role,name,phone,id_number,outlet_id,service_area_ids"


async def send(client: httpx.AsyncClient, *lines: str, key: str = "", head=COMMANDER) -> httpx.Response:
    keyed = {**head, "idempotency-key": key or str(new_id()), "content-type": "text/csv"}
    return await client.post("/v1/people.csv", content="\r\n".join(lines).encode("utf-8-sig"), headers=keyed)


async def test_a_line_says_of_a_person_what_an_entry_says(client: httpx.AsyncClient) -> None:
    areas = [str(new_id()), str(new_id())]
    answer = await send(client, HEAD, f"st-1,steward,王楼长,13800000000,,,{areas[0]} {areas[1]}")
    assert answer.status_code == 200, answer.text
    [line] = answer.json()["items"]
    assert {**line, "person_id": None} == {
        "line": 2, "index": 0, "external_id": "st-1", "person_id": None, "outcome": "created", "errors": [],
    }  # fmt: skip
    [same] = await add_people(client, make_person(service_area_ids=areas))
    assert same == line["person_id"]
    shown = (await client.get(f"/v1/people/{same}", headers=COMMANDER)).json()
    assert (shown["service_area_ids"], shown["outlet_id"]) == (areas, None)
    assert shown["personal"] == {"name": "王楼长", "phone": "13800000000", "id_number": None}


async def test_one_bad_line_does_not_fail_the_others(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    answer = await send(
        client,
        HEAD,
        "a,steward,CANARY,CANARY,110115199001011234",
        "b,outlet,CANARY,13800000000",
        "c,resident,CANARY,13800000000",
        "d,CANARY,,13800000000,,x,y z",
        "e,driver,CANARY,13800000000",
    )
    assert "CANARY" not in answer.text
    items = answer.json()["items"]
    assert [(one["line"], one["index"], one["external_id"], one["outcome"]) for one in items] == [
        (2, 0, None, "refused"), (3, 1, "b", "refused"), (4, 2, "c", "refused"), (5, 3, None, "refused"),
        (6, 4, "e", "created"),
    ]  # fmt: skip
    assert [(error["pointer"], error["code"]) for one in items for error in one["errors"]] == [
        ("/lines/2/phone", "kit.string_pattern_mismatch"),
        ("/lines/3/outlet_id", "whitelist.outlet_missing"),
        ("/lines/4/role", "whitelist.role_not_staff"),
        ("/lines/5/role", "kit.enum"),
        ("/lines/5/name", "kit.missing"),
        ("/lines/5/outlet_id", "kit.uuid_parsing"),
        ("/lines/5/service_area_ids", "kit.uuid_parsing"),
    ]
    assert (await count(service_sessions, "people"), await count(service_sessions, "vault_keys")) == (1, 1)


async def test_the_same_list_under_the_same_key_has_the_first_answer(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    lines = (HEAD, "a,steward,王楼长,13800000000")
    first, again = [await send(client, *lines, key="staff") for _ in range(2)]
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    other = await send(client, HEAD, "b,steward,王楼长,13800000000", key="staff")
    assert (other.status_code, other.json()["code"]) == (422, "kit.idempotency_key_reused")
    assert (await send(client, *lines, head=GUARD)).status_code == 403
    assert (await send(client, *lines, head=headers("resident"))).status_code == 403
    assert await count(service_sessions, "people") == 1


def test_the_example_of_the_document_can_be_read() -> None:
    assert [line.faults for line in STAFF_LIST.read(STAFF_LIST.example.encode()).lines] == [()]
