"""What the shops of a town sell: products, price rules, offers, counts."""

from datetime import UTC, datetime

from services.console.scenarios.case import Good, Item
from services.console.scenarios.town import SetUpFailed, Town, each, taken
from services.contracts.access import Role

STOCK_SCARCE = 3


async def list_goods(town: Town) -> None:
    """Put the goods of the case on sale; some shops try a price above the cap first."""
    goods = town.case.assumed.goods
    products = [
        {"external_id": f"{town.case.name}-{good.name}", "name": good.name, "variety": good.name,
         "unit_name": town.case.assumed.unit_name, "category": good.category}
        for good in goods
    ]  # fmt: skip
    answers = await town.regulator.import_all("/v1/products", "products", products)
    ids = taken(answers, "product_id")
    town.products = dict(zip([good.name for good in goods], ids, strict=True))
    deputy = town.voices.of(Role.REGULATOR)
    for rule in town.case.assumed.rules:
        scope = {"category": rule.category} if rule.category else {}
        body = rule.model_dump(exclude={"category"}, exclude_none=True)
        made = await town.regulator.post(
            "/v1/price-rules", {**body, "scope": scope, "valid_from": "2022-03-16"}
        )
        await deputy.post(f"/v1/price-rules/{made['rule_id']}/confirmation")
    sellers = [shop["outlet_id"] for shop in town.outlets.values() if shop["kind"] == goods[0].kind.value]
    overpriced = sellers[: town.case.assumed.overpriced]
    await each(
        town.outlets.values(), lambda shop: _list_and_count(town, shop, shop["outlet_id"] in overpriced)
    )


async def _list_and_count(town: Town, shop: Item, tries_too_high: bool) -> None:  # noqa: FBT001 - one shop's habit
    goods = [good for good in town.case.assumed.goods if good.kind.value == shop["kind"]]
    if not goods:
        return
    voice, path = town.outlet(shop["outlet_id"]), f"/v1/outlets/{shop['outlet_id']}"
    if tries_too_high:
        answers = (await voice.post(f"{path}/offers", {"offers": [_offer(town, goods[0], factor=9)]}))[
            "items"
        ]
        town.price_refusals += sum(answer["outcome"] == "refused" for answer in answers)
    taken(
        (await voice.post(f"{path}/offers", {"offers": [_offer(town, good) for good in goods]}))["items"],
        "offer_id",
    )
    counts = [
        {"plu": good.name, "kind": "count", "observed_at": datetime.now(UTC).isoformat(),
         "quantity": STOCK_SCARCE if good.name == town.case.assumed.scarce else town.case.assumed.stock_units}
        for good in goods
    ]  # fmt: skip
    answers = (await voice.post(f"{path}/stock-changes", {"changes": counts}))["items"]
    if any(answer["outcome"] != "applied" for answer in answers):
        raise SetUpFailed(f"a count of {shop['name']} was not applied: {answers}")


def _offer(town: Town, good: Good, *, factor: int = 1) -> Item:
    deal = {"sold_on": "2022-03-09", "sale_fen": good.price_fen, "purchase_fen": good.purchase_fen}
    return {
        "plu": good.name,
        "product_id": town.products[good.name],
        "name": good.name,
        "grams": good.grams,
        "purchase_fen": good.purchase_fen,
        "price_fen": good.price_fen * factor,
        "deals": [deal],
    }
