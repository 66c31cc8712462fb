"""The town hall is told in its language what a vehicle lacks."""

import httpx

from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import make_vehicle

CHINESE = {"accept-language": "zh-CN"}


async def test_a_vehicle_that_is_refused_is_told_in_chinese(client: httpx.AsyncClient) -> None:
    vehicles = [make_vehicle(), make_vehicle()]
    head = {**serving.headers("commander", key="v"), **CHINESE}
    answer = await client.post("/v1/vehicles", json={"vehicles": vehicles}, headers=head)
    assert (answer.status_code, answer.headers["content-language"]) == (200, "zh-CN")
    details = [[error["detail"] for error in item["errors"]] for item in answer.json()["items"]]
    assert details == [[], ["本批中车牌号重复"]]


async def test_a_slot_that_is_not_known_is_told_in_chinese(client: httpx.AsyncClient) -> None:
    head = {**serving.headers("commander", key="p", zone_ids=[new_id()]), **CHINESE}
    answer = await client.post("/v1/plans", json={"slot_ids": [str(new_id())]}, headers=head)
    assert (answer.status_code, answer.json()["title"]) == (422, "没有该配送时段")
    assert [error["detail"] for error in answer.json()["errors"]] == ["没有该配送时段"]
