from datetime import UTC, datetime

from services.catalog.consumers import HANDLERS
from services.contracts.orders import OrderConfirmed, OrderPlaced
from services.contracts.values import GivenLine, WantedLine
from services.kit.consumer import deliver
from services.kit.ids import new_id
from tests.catalog.builders import make_outlet, make_received, make_zone_opened, qualify_outlets
from tests.serving import headers


async def hear(sessions, event, *, sequence=1) -> None:
    await deliver(sessions, [make_received(event, sequence=sequence)], consumer="catalog", handlers=HANDLERS)


async def read_report(client, incident_id):
    answer = await client.get(f"/v1/incidents/{incident_id}/supply", headers=headers("commander"))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def send(client, path, body, *roles, key, **claims):
    answer = await client.post(path, json=body, headers=headers(*roles, key=key, **claims))
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


async def stock_cabbage(client, outlet_id) -> tuple[str, dict]:
    """Ten cabbages of 500 g at 1.00 yuan under a ceiling of 2.20 yuan/kg; one at 2.00 is refused."""
    cabbage = {
        "external_id": "cabbage", "name": "大白菜", "variety": "cabbage", "unit_name": "500 g",
        "category": "vegetables",
    }  # fmt: skip
    made = await send(client, "/v1/products", {"products": [cabbage]}, "commander", key="p")
    rule = {
        "kind": "ceiling", "legal_ref": "张家口 2022", "valid_from": "2022-03-01", "ceiling_fen_per_kg": 220,
    }  # fmt: skip
    proposed = await send(client, "/v1/price-rules", rule, "regulator", key="r", subject="first")
    path = f"/v1/price-rules/{proposed['rule_id']}/confirmation"
    await send(client, path, {}, "regulator", key="c", subject="second")
    product_id = made["items"][0]["product_id"]
    offer = {
        "plu": "1", "product_id": product_id, "name": "大白菜", "grams": 500, "purchase_fen": 60,
    }  # fmt: skip
    offers = [offer | {"price_fen": 100}, offer | {"plu": "2", "price_fen": 200}]
    path = f"/v1/outlets/{outlet_id}"
    listed = await send(client, f"{path}/offers", {"offers": offers}, "outlet", key="o", outlet_id=outlet_id)
    assert [item["outcome"] for item in listed["items"]][1] == "refused"
    count = {"plu": "1", "kind": "count", "quantity": 10, "observed_at": datetime.now(UTC).isoformat()}
    await send(client, f"{path}/stock-changes", {"changes": [count]}, "outlet", key="s", outlet_id=outlet_id)
    return product_id, listed["items"][0]


async def test_an_incidents_supply_is_told_by_kind_refusals_and_holds(client, service_sessions) -> None:
    (outlet_id,) = await qualify_outlets(client, make_outlet())
    product_id, offer = await stock_cabbage(client, outlet_id)
    zone = make_zone_opened()
    await hear(service_sessions, zone)
    me = headers("outlet", outlet_id=outlet_id)
    (ask,) = (await client.get(f"/v1/outlets/{outlet_id}/assignments", headers=me)).json()["items"]
    await client.post(
        f"/v1/outlets/{outlet_id}/assignments/{ask['assignment_id']}/acceptance",
        json={"capacity_orders": 110},
        headers=me,
    )
    places = {name: new_id() for name in ("community_id", "building_id", "household_id")}
    places |= {
        "order_id": new_id(), "zone_id": zone.zone_id, "slot_id": zone.slots[0].slot_id,
        "incident_id": zone.incident_id,
    }  # fmt: skip
    wanted = WantedLine(line=1, product_id=product_id, quantity=3, seen_price_fen=100)
    await hear(service_sessions, OrderPlaced(**places, lines=(wanted,)))

    expected = {
        "incident_id": str(zone.incident_id),
        "outlets_by_kind": {"supermarket": 1},
        "price_refusals": 1,
        "holds": {"held": 3, "committed": 0, "handed_over": 0, "released": 0},
    }
    assert await read_report(client, zone.incident_id) == expected

    line = GivenLine(
        line=1, product_id=product_id, name="大白菜", offer_id=offer["offer_id"], outlet_id=outlet_id,
        quantity=3, grams=500, price_fen=100,
    )  # fmt: skip
    await hear(service_sessions, OrderConfirmed(**places, lines=(line,)), sequence=2)
    expected["holds"] |= {"held": 0, "committed": 3}
    assert await read_report(client, zone.incident_id) == expected


async def test_an_unknown_incident_has_no_supply_and_a_shop_reads_no_report(client) -> None:
    incident_id = new_id()
    assert await read_report(client, incident_id) == {
        "incident_id": str(incident_id),
        "outlets_by_kind": {},
        "price_refusals": 0,
        "holds": {"held": 0, "committed": 0, "handed_over": 0, "released": 0},
    }
    answer = await client.get(f"/v1/incidents/{incident_id}/supply", headers=headers("outlet"))
    assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
