import httpx
import pytest

from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.whitelist.builders import (
    COMMANDER,
    GUARD,
    OFFICER,
    add_people,
    add_policy,
    count,
    make_person,
    make_policy,
)


async def state(client: httpx.AsyncClient, who=OFFICER, **given) -> httpx.Response:
    head = {**who, "idempotency-key": str(new_id())}
    return await client.post("/v1/policies", headers=head, json=make_policy(**given))


async def test_a_policy_is_listed_as_it_was_stated(client: httpx.AsyncClient) -> None:
    policy_id = await add_policy(client, roles=["steward", "driver"], commitment_version="2022-3")
    (shown,) = (await client.get("/v1/policies", headers=GUARD)).json()["items"]
    del shown["stated_at"]
    assert shown == {
        "policy_id": policy_id,
        "zone_class": "sealed",
        "roles": ["driver", "steward"],
        "valid_from": "2022-01-01T00:00:00Z",
        "valid_to": None,
        "pcr_max_age_hours": 48,
        "antigen_max_age_hours": None,
        "commitment_version": "2022-3",
        "legal_ref": "京疫防 2022-11",
    }


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"pcr_max_age_hours": None}, "whitelist.policy_unbounded", ""),
        ({"valid_to": "2022-01-01T00:00:00Z"}, "whitelist.policy_ends_first", "/valid_to"),
        ({"pcr_max_age_hours": 0}, "kit.greater_than_equal", "/pcr_max_age_hours"),
        ({"antigen_max_age_hours": 10**9}, "kit.less_than_equal", "/antigen_max_age_hours"),
        ({"zone_class": "moon"}, "kit.enum", "/zone_class"),
    ],
)
async def test_a_policy_that_cannot_bind_is_refused(
    client: httpx.AsyncClient, service_sessions: Sessions, given, code, pointer
) -> None:
    await add_people(client)
    due = await count(service_sessions, "people_due")
    answer = await state(client, **given)
    assert answer.status_code == 422
    assert [(error["code"], error["pointer"]) for error in answer.json()["errors"]] == [(code, pointer)]
    assert await count(service_sessions, "policies") == 0
    assert await count(service_sessions, "people_due") == due


@pytest.mark.parametrize(("roles", "marked"), [([], 3), (["driver"], 1), (["guard", "steward"], 2)])
async def test_a_policy_marks_everyone_whom_it_concerns(
    client: httpx.AsyncClient, service_sessions: Sessions, roles, marked
) -> None:
    people = [make_person("1"), make_person("2"), make_person("3", role="driver")]
    await add_people(client, *people)
    due = await count(service_sessions, "people_due")
    await add_policy(client, roles=roles)
    assert await count(service_sessions, "people_due") == due + marked


async def test_a_policy_is_stated_once_however_often_it_is_sent(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    head = {**OFFICER, "idempotency-key": "p-1"}
    first = await client.post("/v1/policies", headers=head, json=make_policy())
    again = await client.post("/v1/policies", headers=head, json=make_policy())
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert await count(service_sessions, "policies") == 1
    keyless = await client.post("/v1/policies", headers=OFFICER, json=make_policy())
    assert (keyless.status_code, keyless.json()["code"]) == (400, "kit.idempotency_key_missing")


async def test_only_health_officers_state_policies(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    answer = await state(client, COMMANDER)
    assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
    assert await count(service_sessions, "policies") == 0
