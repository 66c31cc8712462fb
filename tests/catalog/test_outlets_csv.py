"""The ledger and the shelf as a spreadsheet has them: what a line says is what an item of a batch says."""

from datetime import date

import httpx
import pytest
from sqlalchemy import text

from services.catalog.outlets.domain import Licence, LicenceKind
from services.catalog.outlets.items import LEDGER
from services.catalog.stock.offers.routes import GOODS
from services.kit.ids import new_id
from tests.catalog import goods
from tests.catalog.builders import make_outlet
from tests.serving import headers

HEAD = (
    "external_id,name,kind,lat,lon,scale_m2,capacity_orders,reserve_person_days,risk,"
    "business_number,food_number,food_valid_to,drug_number"
)
SHOP = "北臧村超市,supermarket,39.66,116.33,800,300,6000,low,B1,F1,,D1"
OFFERS = "plu,product_id,name,grams,purchase_fen,price_fen"


async def send(client, *lines, key=None, head=None, path="/v1/outlets.csv") -> httpx.Response:
    caller = head or headers("commander", subject="town-hall", key=key or str(new_id()))
    content = "\n".join(lines).encode()
    return await client.post(path, content=content, headers={**caller, "content-type": "text/csv"})


async def count(service_sessions, table: str) -> int:
    async with service_sessions() as session:
        return (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()


async def test_a_line_says_of_a_shop_what_an_item_says(client) -> None:
    first = await send(client, HEAD, f"shop-1,{SHOP}")
    assert first.status_code == 200, first.text
    [line] = first.json()["items"]
    assert {**line, "outlet_id": None} == {
        "line": 2, "index": 0, "external_id": "shop-1", "outlet_id": None, "outcome": "created", "errors": [],
    }  # fmt: skip
    head = headers("commander", subject="town-hall")
    again = await client.post("/v1/outlets", json={"outlets": [make_outlet()]}, headers=head)
    [item] = again.json()["items"]
    assert (item["outcome"], item["outlet_id"]) == ("unchanged", line["outlet_id"])


def test_licences_stand_in_columns_of_their_own() -> None:
    header = (
        "external_id;name;kind;lat;lon;scale_m2;capacity_orders;risk;drug_valid_to;drug_number;food_number"
    )
    [item] = LEDGER.read(f"{header}\nx;X;pharmacy;1;2;3;4;low;2026-12-31;D1;".encode()).items
    assert item.facts().licences == (Licence(LicenceKind.DRUG, "D1", date(2026, 12, 31)),)
    assert item.facts().reserve_person_days == 0


async def test_lines_are_answered_one_by_one_by_the_lines_of_the_file(client) -> None:
    answer = await send(
        client,
        HEAD,
        f"twin,{SHOP}",
        '"two\nlines",' + SHOP.replace("39.66", "CANARY").replace("F1,,", "F1,2026-02-30,"),
        "",
        f"good,{SHOP}",
        f"twin,{SHOP}",
    )
    assert "CANARY" not in answer.text
    told = [
        (one["line"], one["index"], one["external_id"], one["outcome"],
         [(error["pointer"], error["code"]) for error in one["errors"]])
        for one in answer.json()["items"]
    ]  # fmt: skip
    assert told == [
        (2, 0, "twin", "refused", [("/lines/2/external_id", "catalog.external_id_repeated")]),
        (3, 1, None, "refused", [
            ("/lines/3/lat", "kit.float_type"), ("/lines/3/food_valid_to", "kit.date_parsing"),
        ]),
        (6, 2, "good", "created", []),
        (7, 3, "twin", "refused", [("/lines/7/external_id", "catalog.external_id_repeated")]),
    ]  # fmt: skip
    listed = await client.get("/v1/outlets", headers=headers("commander"))
    assert [item["external_id"] for item in listed.json()["items"]] == ["good"]


async def test_the_same_file_under_the_same_key_has_the_first_answer(client, service_sessions) -> None:
    first = await send(client, HEAD, f"shop-1,{SHOP}", key="ledger")
    again = await send(client, HEAD, f"shop-1,{SHOP}", key="ledger")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    other = await send(client, HEAD, f"shop-2,{SHOP}", key="ledger")
    assert (other.status_code, other.json()["code"]) == (422, "kit.idempotency_key_reused")
    without = await send(client, HEAD, f"shop-2,{SHOP}", head=headers("commander"))
    assert (without.status_code, without.json()["code"]) == (400, "kit.idempotency_key_missing")
    assert await count(service_sessions, "outlets") == 1


async def test_only_who_keeps_the_ledger_sends_it_and_only_as_what_it_is(client, service_sessions) -> None:
    head = headers("outlet", key="k")
    assert (await send(client, HEAD, f"shop-1,{SHOP}", head=head)).status_code == 403
    keeper = headers("commander", key="k")
    as_json = await client.post("/v1/outlets.csv", json={"outlets": [make_outlet()]}, headers=keeper)
    assert (as_json.status_code, as_json.json()["code"]) == (415, "kit.sheet_media_type")
    unread = await send(client, HEAD.replace("lat", "latitude"), f"shop-1,{SHOP}")
    assert (unread.status_code, [one["pointer"] for one in unread.json()["errors"]]) == (
        422, ["/lines/1", "/lines/1/lat"],
    )  # fmt: skip
    assert await count(service_sessions, "outlets") == 0


async def test_a_file_of_which_no_line_can_be_read_changes_nothing(client, service_sessions) -> None:
    ledger = await send(client, HEAD, f"shop-1,{SHOP}".replace("low", "lowest"))
    assert [one["outcome"] for one in ledger.json()["items"]] == ["refused"]
    assert await count(service_sessions, "outlets") == 0
    outlet_id = await goods.make_shop(client)
    path = f"/v1/outlets/{outlet_id}/offers.csv"
    shelf = await send(client, OFFERS, "1,x,大白菜,500,100,120", head=goods.as_outlet(outlet_id), path=path)
    assert [one["errors"][0]["pointer"] for one in shelf.json()["items"]] == ["/lines/2/product_id"]
    assert await goods.read_offers(client, outlet_id) == []


async def test_goods_are_listed_line_by_line_under_their_caps(client) -> None:
    rule_id = await goods.bind_ceiling(client, 240)
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    path, shop = f"/v1/outlets/{outlet_id}/offers.csv", goods.as_outlet(outlet_id)
    lines = (
        OFFERS,
        f"1,{product_id},=大白菜,500,100,120",
        f"2,{product_id},大白菜,500,100,1.20",
        f"3,{product_id},大白菜,500,100,121",
        f"4,{new_id()},大白菜,500,100,120",
        f"1,{product_id},大白菜,500,100,120",
    )
    answer = await send(client, *lines, head=shop, path=path)
    items = answer.json()["items"]
    assert [(one["line"], one["plu"], one["outcome"], one["is_blocked"]) for one in items] == [
        (2, "1", "created", False), (3, None, "refused", None), (4, "3", "refused", None),
        (5, "4", "refused", None), (6, "1", "refused", None),
    ]  # fmt: skip
    assert [(error["pointer"], error["code"]) for one in items for error in one["errors"]] == [
        ("/lines/3/price_fen", "kit.int_type"),
        ("/lines/4/price_fen", "catalog.price_above_cap"),
        ("/lines/5/product_id", "catalog.product_unknown"),
        ("/lines/6/plu", "catalog.plu_repeated"),
    ]
    assert items[2]["errors"][0]["params"]["rule_id"] == rule_id
    assert [(one["plu"], one["name"]) for one in await goods.read_offers(client, outlet_id)] == [
        ("1", "=大白菜")
    ]
    again = await send(client, *lines, head=shop, path=path)
    assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")
    foreign = await send(client, *lines, head=goods.as_outlet(new_id()), path=path)
    assert foreign.status_code == 403


def test_deals_stand_in_columns_of_their_own() -> None:
    header = f"{OFFERS},deal_2_sold_on,deal_2_sale_fen,deal_2_purchase_fen,deal_1_sold_on"
    sheet = GOODS.read(
        f"{header}\n1,{new_id()},x,1,2,3,2022-03-01,120,100,\n2,{new_id()},x,1,2,3,,,,2022-03-01".encode()
    )
    [deal] = sheet.items[0].deals
    assert (deal.sold_on, deal.sale_fen, deal.purchase_fen) == (date(2022, 3, 1), 120, 100)
    # Of the first deal only the day is told, in a file that has no columns for the rest.
    assert [fault.pointer for fault in sheet.lines[1].faults] == [
        "/lines/3/deal_1_sale_fen", "/lines/3/deal_1_purchase_fen",
    ]  # fmt: skip


@pytest.mark.parametrize("form", [LEDGER, GOODS])
def test_the_example_of_the_document_can_be_read(form) -> None:
    assert [line.faults for line in form.read(form.example.encode()).lines] == [()]
