"""Shops and market inspectors are told in their language what a listing lacks."""

from services.kit.ids import new_id
from tests.catalog import goods
from tests.serving import headers

CHINESE = {"accept-language": "zh-CN"}


async def test_a_price_above_its_cap_is_told_in_chinese(client) -> None:
    await goods.bind_ceiling(client, 240)
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    answer = await client.post(
        f"/v1/outlets/{outlet_id}/offers",
        json={"offers": [goods.make_listing(product_id, price_fen=121)]},
        headers={**goods.as_outlet(outlet_id), **CHINESE},
    )
    assert (answer.status_code, answer.headers["content-language"]) == (200, "zh-CN")
    [error] = answer.json()["items"][0]["errors"]
    assert error["detail"] == "售价超过限价：报价 1.21 元，最高 1.20 元，依据 张家口 2022"


async def test_an_outlet_that_is_not_known_is_told_in_chinese(client) -> None:
    answer = await client.get(f"/v1/outlets/{new_id()}", headers={**headers("regulator"), **CHINESE})
    assert (answer.status_code, answer.json()["title"]) == (404, "没有该保供网点")
