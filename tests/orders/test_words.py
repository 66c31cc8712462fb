"""Residents are told in their language why an order cannot be, at once and afterwards."""

from services.contracts.catalog import StockRefused
from services.contracts.values import LineFailure
from services.kit.ids import new_id
from tests.orders.bus import deliver
from tests.orders.ground import CABBAGE, RICE, open_ground, place
from tests.orders.towns import area
from tests.serving import headers

CHINESE = {"accept-language": "zh-CN,zh;q=0.9"}


async def test_a_quota_that_is_used_up_is_told_in_chinese(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, orders=1, units=2)
    await place(client, ground)
    head = {**ground.resident(key=str(new_id())), **CHINESE}
    answer = await client.post("/v1/orders", json=ground.body(), headers=head)
    assert (answer.status_code, answer.headers["content-language"]) == (422, "zh-CN")
    assert answer.json()["title"] == "已超出每户限购"
    assert [error["detail"] for error in answer.json()["errors"]] == [
        "已超出每户限购：本次 1，还可购 0",
        "已超出每户限购：本次 2，还可购 0",
    ]


async def test_a_refusal_that_came_later_is_told_in_the_readers_language(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    failures = (
        LineFailure(line=1, product_id=CABBAGE, code="catalog.out_of_stock", asked=2, available=1),
        LineFailure(line=2, product_id=RICE, code="catalog.price_changed", asked=450, available=500),
    )
    await deliver(service_sessions, (StockRefused(reservation_id=order_id, failures=failures), 1))

    async def read(**language: str) -> list[str]:
        head = {**ground.resident(), **language}
        answer = await client.get(f"/v1/orders/{order_id}", headers=head)
        assert answer.headers["vary"] == "accept-language"
        return [refusal["detail"] for refusal in answer.json()["refusals"]]

    assert await read(**CHINESE) == [
        "该商品缺货：需要 2，现有 1",
        "价格已上涨，未按新价下单：您看到的是 4.50 元，现价 5.00 元",
    ]
    assert await read() == [
        "There is not enough in stock: asked for 2, there are 1",
        "The price has risen since it was seen: seen 4.50 yuan, now 5.00 yuan",
    ]


async def test_each_area_of_an_import_is_answered_in_chinese(client) -> None:
    body = {"areas": [area("T", "street"), area("T", "street")]}
    head = {**headers("commander"), **CHINESE}
    answer = await client.post("/v1/areas", json=body, headers=head)
    details = [[error["detail"] for error in item["errors"]] for item in answer.json()["items"]]
    assert (answer.status_code, details) == (200, [[], ["本批中区域编码重复"]])
