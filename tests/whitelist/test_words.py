"""Whoever keeps the staff list is told in their language what an entry lacks."""

import httpx

from services.kit.ids import new_id
from tests.whitelist.builders import COMMANDER, make_person

CHINESE = {"accept-language": "zh-CN"}


async def test_an_entry_that_is_refused_is_told_in_chinese(client: httpx.AsyncClient) -> None:
    people = [make_person("shop", role="outlet"), make_person("home", role="resident")]
    answer = await client.post("/v1/people", headers={**COMMANDER, **CHINESE}, json={"people": people})
    assert (answer.status_code, answer.headers["content-language"]) == (200, "zh-CN")
    shop, home = ([error["detail"] for error in item["errors"]] for item in answer.json()["items"])
    assert shop == ["网点人员须注明所属网点"]
    [detail] = home
    assert detail.startswith("不是工作人员的岗位：可选 commander, driver, ")


async def test_a_person_who_is_not_known_is_told_in_chinese(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/v1/people/{new_id()}", headers={**COMMANDER, **CHINESE})
    assert (answer.status_code, answer.json()["title"]) == (404, "人员名单中没有此人")
