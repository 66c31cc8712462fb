"""A day's orders: households, stewards on their behalf, the hotline, and leaders with their groups."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from services.console.scenarios.case import Good, Item
from services.console.scenarios.town import Tell, Town, each
from services.console.scenarios.voices import Refused
from services.console.scenarios.zone import NotInTime, wait_until_closed
from services.contracts.access import Role
from services.contracts.values import OutletKind

# Which goods a group orders: what the leader's supermarket has.
GROUP_KINDS = frozenset({OutletKind.SUPERMARKET})
ON_BEHALF_PERCENT = 30
HOTLINE_PERCENT = 5
GROUP_LEAD_SECONDS = 5
DECIDED_WITHIN = 120.0


@dataclass
class Day:
    """What was asked of Baton in a day, and what it said at once."""

    order_ids: list[str] = field(default_factory=list)
    group_ids: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    decided: list[Item] = field(default_factory=list)
    idle: list[Item] = field(default_factory=list)


async def take_orders(town: Town, zone: Item) -> Day:
    """Let every sealed household order or say that it wants nothing; half of them through groups."""
    chance, day = Random(town.case.seed + 3), Day()  # noqa: S311 - draws baskets, hides nothing
    slot = (await town.commander.get(f"/v1/zones/{zone['zone_id']}/slots"))["slots"][0]
    menu = await town.commander.get(f"/v1/zones/{zone['zone_id']}/menu")
    prices = {line["product_id"]: line["price_fen"] for line in menu["lines"]}
    alone, grouped = _divide(town, chance, day)
    baskets = _draw_baskets(town, chance, prices, alone, grouped)
    channels = {household["household_id"]: chance.randrange(100) for household in alone}
    groups = await _open_groups(town, slot, grouped)

    async def order_alone(household: Item) -> None:
        body = {"household_id": household["household_id"], "slot_id": slot["slot_id"],
                "lines": baskets[household["household_id"]]}  # fmt: skip
        caller = _caller(town, household, channels[household["household_id"]])
        await _note(day, caller.post("/v1/orders", body, key=f"order-{household['household_id']}"))

    async def join(household: Item) -> None:
        resident = town.voices.of(Role.RESIDENT, household_id=household["household_id"])
        path = f"/v1/group-orders/{groups[household['household_id']]}/parts"
        body = {"lines": baskets[household["household_id"]]}
        await _note(day, resident.post(path, body, key=f"part-{household['household_id']}"))

    await asyncio.gather(each(alone, order_alone), each(grouped, join))
    day.group_ids = sorted(set(groups.values()))
    await each(day.idle, lambda household: check_in(town, household, "nothing_needed"))
    return day


async def check_in(town: Town, household: Item, outcome: str) -> None:
    """Let the steward of a household's building ask at the door."""
    steward = town.voices.of(Role.STEWARD, subject=town.steward_of(household["building_id"]))
    await steward.post(f"/v1/households/{household['household_id']}/check-ins", {"outcome": outcome})


async def see_decided(town: Town, zone: Item, day: Day, tell: Tell) -> None:
    """Know what became of a day's orders after the cut-off; who was refused is asked after."""
    await wait_until_closed(town, zone["zone_id"])
    day.decided = await _wait_until_decided(town, day.order_ids)
    refused = [order for order in day.decided if order["status"] == "refused"]
    confirmed = len(day.decided) - len(refused)
    tell(f"cut-off: {confirmed} orders confirmed, {len(refused)} refused with their reasons")
    await _ask_refused(town, refused)


async def _wait_until_decided(town: Town, order_ids: Sequence[str]) -> list[Item]:
    """Return the orders once none awaits its decision."""
    waiting, decided = list(order_ids), []
    deadline = asyncio.get_running_loop().time() + DECIDED_WITHIN
    while waiting:
        seen = await each(waiting, lambda order_id: town.commander.get(f"/v1/orders/{order_id}"))
        decided += [order for order in seen if order["status"] != "placed"]
        waiting = [order["order_id"] for order in seen if order["status"] == "placed"]
        if waiting and asyncio.get_running_loop().time() > deadline:
            raise NotInTime(f"{len(waiting)} orders have no decision, the first is {waiting[0]}")
    return decided


def _divide(town: Town, chance: Random, day: Day) -> tuple[list[Item], list[Item]]:
    alone: list[Item] = []
    grouped: list[Item] = []
    for household in town.households:
        if chance.randrange(100) < town.case.assumed.idle_percent:
            day.idle.append(household)
        elif chance.randrange(100) < town.case.assumed.group_share_percent:
            grouped.append(household)
        else:
            alone.append(household)
    return alone, grouped


def _draw_baskets(
    town: Town, chance: Random, prices: dict[str, int], alone: Sequence[Item], grouped: Sequence[Item]
) -> dict[str, list[Item]]:
    if town.case.facts.market:
        drawn = town.case.market_baskets(len(alone) + len(grouped))
    else:
        drawn = [town.case.basket(chance) for _ in alone]
        drawn += [town.case.basket(chance, GROUP_KINDS) for _ in grouped]
    return {
        household["household_id"]: _lines(town, prices, basket)
        for household, basket in zip((*alone, *grouped), drawn, strict=True)
    }


def _lines(town: Town, prices: dict[str, int], basket: Sequence[tuple[Good, int]]) -> list[Item]:
    return [
        {"product_id": town.products[good.name], "quantity": quantity,
         "seen_price_fen": prices[town.products[good.name]]}
        for good, quantity in basket
        if town.products[good.name] in prices
    ]  # fmt: skip


async def _open_groups(town: Town, slot: Item, grouped: Sequence[Item]) -> dict[str, str]:
    """Open the groups of each village and return each household's group."""
    of_village: defaultdict[str, list[Item]] = defaultdict(list)
    for household in grouped:
        of_village[household["village"]].append(household)
    cut_off = datetime.fromisoformat(slot["cut_off_at"]) - timedelta(seconds=GROUP_LEAD_SECONDS)
    groups: dict[str, str] = {}
    for village, households in of_village.items():
        leader = town.voices.of(Role.LEADER, zone_ids=[town.areas[village]])
        body: dict[str, Any] = {
            "community_id": town.areas[village], "slot_id": slot["slot_id"],
            "minimum": town.case.assumed.group_minimum, "cut_off_at": cut_off.isoformat(),
            "below_minimum": "send", "form": town.case.assumed.form.value,
        }  # fmt: skip
        opened = [
            (await leader.post("/v1/group-orders", body))["group_id"]
            for _ in range(town.case.assumed.groups_a_village)
        ]
        groups |= {
            household["household_id"]: opened[place % len(opened)]
            for place, household in enumerate(households)
        }
    return groups


def _caller(town: Town, household: Item, drawn: int) -> Any:
    if drawn < HOTLINE_PERCENT:
        return town.voices.of(Role.HOTLINE, zone_ids=[town.root_id])
    if drawn < HOTLINE_PERCENT + ON_BEHALF_PERCENT:
        return town.voices.of(Role.STEWARD, subject=town.steward_of(household["building_id"]))
    return town.voices.of(Role.RESIDENT, household_id=household["household_id"])


async def _note(day: Day, asked: Any) -> None:
    try:
        day.order_ids.append((await asked)["order_id"])
    except Refused as refused:
        day.refused += 1
        day.refusals.update(refused.codes)


async def _ask_refused(town: Town, refused: Sequence[Item]) -> None:
    """Let the stewards ask at each door whose order was refused: nobody is forgotten for a shortage."""
    of_id = {household["household_id"]: household for household in town.households}
    asked = {order["household_id"]: of_id[order["household_id"]] for order in refused}
    await each(asked.values(), lambda household: check_in(town, household, "needs_help"))
