from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.catalog.stock.offers import application
from services.kit import database
from services.kit.ids import new_id
from tests.catalog import goods
from tests.catalog.goods import make_listing
from tests.serving import headers


async def rejudge(service_sessions) -> int:
    async with service_sessions.begin() as session:
        return await application.rejudge_stale(session, await database.now(session))


def standing(offers):
    return [(one["plu"], one["price_fen"], one["cap_fen"], one["is_blocked"]) for one in offers]


async def test_a_listing_above_its_cap_is_refused_alone_with_the_rule_and_the_cap(client) -> None:
    rule_id = await goods.bind_ceiling(client, 240)
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    items = await goods.list_goods(
        client, outlet_id, make_listing(product_id, "1"), make_listing(product_id, "2", price_fen=121)
    )
    assert [(one["plu"], one["outcome"], one["is_blocked"]) for one in items] == [
        ("1", "created", False), ("2", "refused", None),
    ]  # fmt: skip
    assert items[1]["errors"] == [
        {
            "pointer": "/offers/1/price_fen",
            "code": "catalog.price_above_cap",
            "params": {
                "price_fen": 121, "cap_fen": 120, "rule_id": rule_id, "rule_version": 1,
                "legal_ref": "张家口 2022",
            },
            "detail": "The price is above its cap: asked 1.21 yuan, at most 1.20 yuan, 张家口 2022",
        }
    ]  # fmt: skip
    assert standing(await goods.read_offers(client, outlet_id)) == [("1", 120, 120, False)]


async def test_a_refused_price_leaves_the_old_listing_standing_and_is_kept_with_its_inputs(client) -> None:
    rule_id = await goods.bind_ceiling(client, 240)
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    await goods.list_goods(client, outlet_id, make_listing(product_id, price_fen=110))
    [item] = await goods.list_goods(client, outlet_id, make_listing(product_id, price_fen=150))
    assert (item["outcome"], item["is_blocked"]) == ("refused", False)
    assert standing(await goods.read_offers(client, outlet_id)) == [("1001", 110, 120, False)]

    answer = await client.get("/v1/price-refusals", headers=headers("regulator"))
    [refusal] = answer.json()["items"]
    assert (refusal["price_fen"], refusal["cap_fen"], refusal["rule_id"], refusal["occasion"]) == (
        150, 120, rule_id, "listing",
    )  # fmt: skip
    assert refusal["inputs"] == {
        "grams": 500, "purchase_fen": 100, "category": "vegetables", "outlet_kind": "supermarket",
        "zone_ids": [], "margin_rate": None, "reference": None, "unused_deals": [],
    }  # fmt: skip
    own = await client.get("/v1/price-refusals", headers=headers("outlet", outlet_id=outlet_id))
    others = await client.get("/v1/price-refusals", headers=headers("outlet", outlet_id=new_id()))
    assert (len(own.json()["items"]), others.json()["items"]) == (1, [])


async def bind_margin(client, rate="0.35", **given):
    body = {
        "kind": "margin_rate", "legal_ref": "潍坊 2022-03-16", "valid_from": "2022-03-16",
        "reference_date": "2022-03-10", "default_rate": rate, **given,
    }  # fmt: skip
    head = headers("regulator", subject="inspector", key=str(new_id()))
    rule_id = (await client.post("/v1/price-rules", json=body, headers=head)).json()["rule_id"]
    second = headers("regulator", subject="second", key=str(new_id()))
    await client.post(f"/v1/price-rules/{rule_id}/confirmation", headers=second)


async def test_a_falling_cost_blocks_an_unchanged_price(client) -> None:
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    deal = {"sold_on": "2022-03-09", "sale_fen": 9800, "purchase_fen": 5400}
    first = make_listing(product_id, purchase_fen=5400, price_fen=9800, deals=[deal])
    assert (await goods.list_goods(client, outlet_id, first))[0]["outcome"] == "created"
    await bind_margin(client)

    # The deal is not told again: what was stated once stays the reference.
    cheaper = make_listing(product_id, purchase_fen=3600, price_fen=9800)
    [item] = await goods.list_goods(client, outlet_id, cheaper)
    assert (item["outcome"], item["is_blocked"]) == ("refused", True)
    assert item["errors"][0]["params"]["cap_fen"] == 6533
    assert standing(await goods.read_offers(client, outlet_id)) == [("1001", 9800, 6533, True)]

    [item] = await goods.list_goods(client, outlet_id, cheaper | {"price_fen": 6533})
    assert (item["outcome"], item["is_blocked"]) == ("updated", False)


INVENTED = {"sold_on": "2022-03-09", "sale_fen": 300, "purchase_fen": 100}


async def test_a_shop_sets_no_cap_of_its_own_by_deals_that_it_states_once_the_rule_binds(client) -> None:
    await bind_margin(client)
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    dear = make_listing(product_id, price_fen=300, deals=[INVENTED])
    [item] = await goods.list_goods(client, outlet_id, dear)
    assert (item["outcome"], item["unused_deals"]) == ("refused", 1)
    assert item["errors"][0]["params"]["cap_fen"] == 135
    [item] = await goods.list_goods(client, outlet_id, dear | {"price_fen": 135})
    assert (item["outcome"], item["unused_deals"]) == ("created", 1)

    # Another version of the rule makes the deal no older.
    [rule] = (await client.get("/v1/price-rules", headers=headers("regulator"))).json()["items"]
    await bind_margin(client, rule_id=rule["rule_id"])
    [item] = await goods.list_goods(client, outlet_id, dear)
    assert (item["outcome"], item["errors"][0]["params"]["cap_fen"]) == ("refused", 135)


async def test_a_deal_counts_once_the_regulator_vouches_for_it(client) -> None:
    await bind_margin(client)
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    await goods.list_goods(client, outlet_id, make_listing(product_id, deals=[INVENTED]))
    body = {"deals": [INVENTED | {"plu": "1001"}, INVENTED | {"plu": "9999"}]}
    path = f"/v1/outlets/{outlet_id}/deals"
    own = await client.post(path, json=body, headers=goods.as_outlet(outlet_id))
    assert own.status_code == 403
    assert standing(await goods.read_offers(client, outlet_id)) == [("1001", 120, 135, False)]

    answer = await client.post(path, json=body, headers=headers("regulator", key="receipts"))
    known, unknown = answer.json()["items"]
    assert (known["outcome"], known["errors"]) == ("recorded", [])
    assert (unknown["outcome"], unknown["errors"][0]["code"]) == ("refused", "catalog.offer_unknown")
    assert standing(await goods.read_offers(client, outlet_id)) == [("1001", 120, 300, False)]
    nowhere = await client.post(
        f"/v1/outlets/{new_id()}/deals", json=body, headers=headers("regulator", key="nowhere")
    )
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "catalog.outlet_unknown")


async def test_a_new_price_refused_keeps_the_old_price_at_the_new_cost(client) -> None:
    await bind_margin(client)
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    await goods.list_goods(client, outlet_id, make_listing(product_id, purchase_fen=100, price_fen=100))
    [item] = await goods.list_goods(
        client, outlet_id, make_listing(product_id, purchase_fen=80, price_fen=150)
    )
    assert (item["outcome"], item["is_blocked"]) == ("refused", False)
    [offer] = await goods.read_offers(client, outlet_id)
    assert (offer["price_fen"], offer["purchase_fen"], offer["cap_fen"]) == (100, 80, 108)


async def test_a_confirmed_rule_blocks_what_stands_above_it_and_the_next_version_frees_it(
    client, service_sessions
) -> None:
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    await goods.list_goods(
        client, outlet_id, make_listing(product_id, "1"), make_listing(product_id, "2", price_fen=90)
    )
    assert await rejudge(service_sessions) == 0
    rule_id = await goods.bind_ceiling(client, 200, category="vegetables")
    assert await rejudge(service_sessions) == 2
    assert standing(await goods.read_offers(client, outlet_id)) == [
        ("1", 120, 100, True), ("2", 90, 100, False),
    ]  # fmt: skip

    body = {
        "rule_id": rule_id, "kind": "ceiling", "legal_ref": "张家口 2022", "valid_from": "2022-03-01",
        "ceiling_fen_per_kg": 260,
    }  # fmt: skip
    head = headers("regulator", subject="inspector", key="v2")
    await client.post("/v1/price-rules", json=body, headers=head)
    second = headers("regulator", subject="second", key="v2")
    await client.post(f"/v1/price-rules/{rule_id}/confirmation", headers=second)
    assert await rejudge(service_sessions) == 2
    assert [one["is_blocked"] for one in await goods.read_offers(client, outlet_id)] == [False, False]
    assert await rejudge(service_sessions) == 0


async def test_a_rule_of_a_zone_binds_the_shops_that_come_to_supply_it(client, service_sessions) -> None:
    zone_id = new_id()
    await goods.bind_ceiling(client, 200, zone_id=str(zone_id))
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    [item] = await goods.list_goods(client, outlet_id, make_listing(product_id))
    assert item["outcome"] == "created"
    await goods.supply_zone(service_sessions, [outlet_id], zone_id=zone_id)
    assert await rejudge(service_sessions) == 1
    assert standing(await goods.read_offers(client, outlet_id)) == [("1001", 120, 100, True)]


async def test_a_rule_that_begins_later_binds_from_its_day_on(client, service_sessions) -> None:
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    later = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()
    body = {
        "kind": "ceiling", "legal_ref": "later", "valid_from": later, "ceiling_fen_per_kg": 10,
    }  # fmt: skip
    head = headers("regulator", subject="inspector", key="later")
    rule_id = (await client.post("/v1/price-rules", json=body, headers=head)).json()["rule_id"]
    second = headers("regulator", subject="second", key="later")
    await client.post(f"/v1/price-rules/{rule_id}/confirmation", headers=second)
    await goods.list_goods(client, outlet_id, make_listing(product_id))
    async with service_sessions.begin() as session:
        until = (await session.execute(text("SELECT judged_until FROM offers"))).scalar_one()
        assert until.isoformat() == later
        stale = await application.rejudge_stale(session, datetime.now(UTC) + timedelta(days=10))
        assert stale == 1
        assert (await session.execute(text("SELECT is_blocked FROM offers"))).scalar_one() is True


async def test_a_product_that_changes_its_category_is_judged_by_that(client, service_sessions) -> None:
    await goods.bind_ceiling(client, 200, category="fruit")
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    await goods.list_goods(client, outlet_id, make_listing(product_id))
    assert await goods.make_product(client, category="fruit") == product_id
    assert await rejudge(service_sessions) == 1
    assert standing(await goods.read_offers(client, outlet_id)) == [("1001", 120, 100, True)]


async def test_the_database_itself_lets_no_price_stand_above_its_cap(client, service_sessions) -> None:
    await goods.bind_ceiling(client, 240)
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    await goods.list_goods(client, outlet_id, make_listing(product_id))
    for wrong in ("price_fen = 121", "cap_fen = 119"):
        with pytest.raises(IntegrityError):
            async with service_sessions.begin() as session:
                await session.execute(text(f"UPDATE offers SET {wrong}"))


async def test_what_cannot_be_listed_at_all_says_why(client) -> None:
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    other = await goods.make_product(client, "rice")
    await goods.list_goods(client, outlet_id, make_listing(product_id, "1"))
    items = await goods.list_goods(
        client,
        outlet_id,
        make_listing(new_id(), "2"),
        make_listing(other, "1"),
        make_listing(product_id, "3"),
        make_listing(product_id, "3"),
        make_listing(product_id, "1"),
    )
    assert [(one["outcome"], [error["code"] for error in one["errors"]]) for one in items] == [
        ("refused", ["catalog.product_unknown"]),
        ("refused", ["catalog.plu_taken"]),
        ("created", []),
        ("refused", ["catalog.plu_repeated"]),
        ("refused", ["catalog.plu_repeated"]),
    ]


async def test_listing_the_same_again_changes_nothing(client) -> None:
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    [first] = await goods.list_goods(client, outlet_id, make_listing(product_id))
    [again] = await goods.list_goods(client, outlet_id, make_listing(product_id))
    assert (again["outcome"], again["offer_id"]) == ("unchanged", first["offer_id"])


async def test_an_outlet_lists_for_itself_alone(client) -> None:
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    body = {"offers": [make_listing(product_id)]}
    path = f"/v1/outlets/{outlet_id}/offers"
    for head in (goods.as_outlet(new_id()), headers("commander", key="k"), headers("regulator", key="k")):
        refused = await client.post(path, json=body, headers=head)
        assert (refused.status_code, refused.json()["code"]) == (403, "kit.forbidden")
    assert (await client.get(path, headers=headers("outlet", outlet_id=new_id()))).status_code == 403
    assert await goods.read_offers(client, outlet_id) == []


async def test_an_outlet_that_the_ledger_does_not_know_lists_nothing(client) -> None:
    outlet_id, product_id = new_id(), await goods.make_product(client)
    refused = await client.post(
        f"/v1/outlets/{outlet_id}/offers",
        json={"offers": [make_listing(product_id)]},
        headers=goods.as_outlet(outlet_id),
    )
    assert (refused.status_code, refused.json()["code"]) == (404, "catalog.outlet_unknown")


@pytest.mark.parametrize(
    "wrong", [{"price_fen": 2**31}, {"purchase_fen": 0}, {"grams": 0}, {"cap_fen": 1}, {"plu": ""}]
)
async def test_a_listing_of_another_form_is_refused(client, wrong) -> None:
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    refused = await client.post(
        f"/v1/outlets/{outlet_id}/offers",
        json={"offers": [make_listing(product_id, **wrong)]},
        headers=goods.as_outlet(outlet_id),
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "kit.invalid")
