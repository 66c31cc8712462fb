"""Where the services meet: what one says is what the others expect, in any order of arrival and repeated."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.kit.ids import new_id
from tests.catalog import goods
from tests.catalog.builders import make_outlet, qualify_outlets
from tests.dispatch.builders import make_pass, make_vehicle
from tests.e2e.seams import FIND_GAPS, SERVICES, Post, World, make_world
from tests.orders import openings, towns
from tests.orders.ground import line
from tests.serving import headers
from tests.whitelist.builders import add_checks, add_people, add_policy, make_check, make_person

# The worst bus that may be; the kinder ones only where somebody has the time: SEAMS=all. (The kindest is
# that of the whole town's tests.)
POSTS = {"twice in random cuts": Post(batch=9, is_shuffled=True, times=2)}
if os.environ.get("SEAMS") == "all":
    POSTS |= {"in order": Post(), "one by one": Post(batch=1), "shuffled across keys": Post(is_shuffled=True)}
BOTH_PRICES = 120


@dataclass(kw_only=True)
class Seams:
    """A sealed village with two shops, a steward, drivers, and open channels."""

    world: World
    town: towns.Town
    zone: dict[str, Any]
    shops: Sequence[UUID]
    products: Sequence[str]
    steward: str
    drivers: Sequence[str]

    @property
    def slot_id(self) -> str:
        return self.zone["slot_ids"][0]

    @property
    def households(self) -> list[UUID]:
        return [each for building in self.town.all_buildings for each in self.town.households[building]]

    def resident(self, number: int) -> dict[str, str]:
        return headers("resident", key=new_id().hex, household_id=self.households[number])

    async def place(self, number: int, *lines: dict[str, Any]) -> str:
        body = {"slot_id": self.slot_id, "lines": list(lines)}
        return (await self.world.send("orders", "/v1/orders", body, self.resident(number)))["order_id"]

    async def cancel(self, number: int, order_id: str) -> None:
        await self.world.send("orders", f"/v1/orders/{order_id}/cancellation", {}, self.resident(number))

    async def open_group(self, *lines: dict[str, Any], households: Sequence[int]) -> tuple[str, list[str]]:
        leader = headers("leader", key=new_id().hex, zone_ids=self.town.villages)
        body = {
            "community_id": str(self.town.villages[0]), "slot_id": self.slot_id, "minimum": 2,
            "cut_off_at": (datetime.now(UTC) + timedelta(minutes=30)).isoformat(), "below_minimum": "cancel",
        }  # fmt: skip
        group_id = (await self.world.send("orders", "/v1/group-orders", body, leader))["group_id"]
        path = f"/v1/group-orders/{group_id}/parts"
        parts = [
            (await self.world.send("orders", path, {"lines": list(lines)}, self.resident(number)))["order_id"]
            for number in households
        ]
        return group_id, parts

    async def pass_cut_off(self, what: str = "slots") -> None:
        moment = f"UPDATE {what} SET cut_off_at = now() - interval '1 s'"
        await self.world.do("orders", moment)

    async def pass_decision(self, table: str = "orders") -> None:
        await self.world.do(
            "orders", f"UPDATE {table} SET decide_by = now() - interval '1 s' WHERE decide_by IS NOT NULL"
        )

    async def statuses(self) -> dict[str, str]:
        found = await self.world.rows("orders", "SELECT order_id, status FROM orders")
        return {str(row.order_id): row.status for row in found}

    async def close_slot(self) -> None:
        await self.pass_cut_off()
        await self.world.settle()

    async def plan(self) -> dict[str, Any]:
        """Plan and commit the slot's wave, and return its plan."""
        head = self.town.commander(key=new_id().hex)
        body = {"slot_ids": [self.slot_id], "seconds": 1}
        plan_id = (await self.world.send("dispatch", "/v1/plans", body, head))["plan_id"]
        await self.world.settle()
        head = self.town.commander(key=new_id().hex)
        await self.world.send("dispatch", f"/v1/plans/{plan_id}/commitment", {}, head)
        return await self.world.get("dispatch", f"/v1/plans/{plan_id}", self.town.commander())

    async def hand_over(self, *legs: int, driver: str | None = None, giver: str | None = None) -> None:
        """Let every load that is not withdrawn pass legs; who drives it is its driver, or the one named.

        It is picked up at its outlet, or taken over from the giver named.
        """
        found = await self.world.rows(
            "dispatch",
            """
            SELECT load_unit_id, outlet_id, loads.household_id, driver_id
            FROM loads JOIN load_units USING (load_id)
            LEFT JOIN trip_loads ON trip_loads.load_id = loads.load_id AND is_held
            LEFT JOIN trips USING (trip_id) WHERE withdrawn_at IS NULL
            """,
        )
        notes = []
        for leg in legs:
            for row in found:
                drives = driver or row.driver_id
                gives, takes = {
                    1: (giver or row.outlet_id, drives),
                    2: (drives, self.steward),
                    3: (self.steward, row.household_id),
                }[leg]
                head = headers("outlet", outlet_id=row.outlet_id)
                label = await self.world.get("dispatch", f"/v1/load-units/{row.load_unit_id}/label", head)
                notes.append({
                    "hand_over_id": str(new_id()), "load_unit_id": str(row.load_unit_id), "leg": leg,
                    "giver_id": str(gives), "taker_id": str(takes),
                    "occurred_at": datetime.now(UTC).isoformat(),
                    "proof": {"kind": "qr", "value": label["text"], "photo_sha256": "ab" * 32},
                })  # fmt: skip
        head = self.town.commander(key=new_id().hex)
        answer = await self.world.send("dispatch", "/v1/hand-overs", {"hand_overs": notes}, head)
        assert {item["outcome"] for item in answer["items"]} == {"recorded"}

    async def suspend(self, person_id: str) -> None:
        check = make_check(person_id, kind="antigen", outcome="positive", sampled_at=_ago(minutes=1))
        await add_checks(self.world.clients["whitelist"], check)
        await self.world.settle()

    async def shelf(self, product: int) -> tuple[int, int]:
        """Units on hand and reserved of a product, over both shops."""
        query = """
            SELECT sum(on_hand), sum(reserved) FROM stock JOIN offers USING (offer_id)
            WHERE product_id = :product
        """
        ((on_hand, reserved),) = await self.world.rows("catalog", query, product=self.products[product])
        return int(on_hand), int(reserved)

    async def picked(self) -> int:
        return int(await self.world.value("catalog", "SELECT coalesce(sum(taken), 0) FROM picking"))

    async def taken(self) -> tuple[int, int]:
        """Orders that the slot has, and that quotas count."""
        slots = await self.world.value("orders", "SELECT sum(taken) FROM slots")
        quotas = await self.world.value("orders", "SELECT coalesce(sum(orders), 0) FROM household_quotas")
        return int(slots), int(quotas)


def _ago(**past: float) -> str:
    return (datetime.now(UTC) - timedelta(**past)).isoformat()


async def _fill_shops(world: World) -> tuple[list[UUID], list[str]]:
    client = world.clients["catalog"]
    shops = await qualify_outlets(
        client, *(make_outlet(external_id=f"shop-{n}", capacity_orders=300) for n in (1, 2))
    )
    products = [await goods.make_product(client, name) for name in ("cabbage", "rice")]
    # Rice is in the second shop alone: an order of both comes in two portions.
    for shop, product, plu, units in ((0, 0, "1", 10), (1, 0, "1", 6), (1, 1, "2", 20)):
        await goods.stock_up(client, shops[shop], products[product], units, plu)
    return shops, products


async def _gather_people(world: World, town: towns.Town) -> list[str]:
    client = world.clients["whitelist"]
    await add_policy(client)
    people = await add_people(
        client,
        make_person("steward"),
        make_person("driver-1", role="driver"),
        make_person("driver-2", role="driver"),
    )
    await add_checks(client, *(make_check(person) for person in people))
    duty = {
        "person_id": people[0], "role": "steward", "community_id": str(town.villages[0]),
        "building_ids": [str(each) for each in town.all_buildings], "starts_at": _ago(hours=1),
        "ends_at": (datetime.now(UTC) + timedelta(days=2)).isoformat(),
    }  # fmt: skip
    await world.send("whitelist", "/v1/duties", {"duties": [duty]}, headers("commander"))
    return people


async def _gather_vehicles(world: World, town: towns.Town) -> None:
    body = {"vehicles": [make_vehicle(plate="京A00001")]}
    await world.send("dispatch", "/v1/vehicles", body, town.commander(key=new_id().hex))
    body = {"passes": [make_pass(plate="京A00001")]}
    await world.send("dispatch", "/v1/passes", body, town.commander(key=new_id().hex))


async def _accept_all(world: World, shops: Sequence[UUID]) -> None:
    for shop in shops:
        asked = await world.rows(
            "catalog",
            "SELECT * FROM assignments WHERE outlet_id = :shop AND status = 'asked'",
            shop=shop,
        )
        for row in asked:
            path = f"/v1/outlets/{shop}/assignments/{row.assignment_id}/acceptance"
            body = {"capacity_orders": row.asked_orders}
            await world.send("catalog", path, body, headers("outlet", key=new_id().hex, outlet_id=shop))


async def open_seams(world: World) -> Seams:
    town = await towns.plant_town(world.clients["orders"], buildings=2, households=3)
    shops, products = await _fill_shops(world)
    steward, *drivers = await _gather_people(world, town)
    await _gather_vehicles(world, town)
    await world.settle()
    zone = await openings.prepare(world.clients["orders"], town, quota={"orders": 5, "units": 200})
    activated = await openings.activate(world.clients["orders"], town, zone["zone_id"])
    assert activated.status_code in (200, 202), activated.text
    await world.settle()
    await _accept_all(world, shops)
    await world.settle()
    assert (await openings.show(world.clients["orders"], zone["zone_id"]))["status"] == "open"
    return Seams(
        world=world, town=town, zone=zone, shops=shops, products=products, steward=steward, drivers=drivers
    )


@pytest.fixture(params=POSTS)
async def seams(
    request: pytest.FixtureRequest,
    database_of: Callable[[str], Awaitable[str]],
    tmp_path: Path,
) -> AsyncIterator[Seams]:
    """A town in which what must always hold is looked for at the end, before and after all is told again."""
    async with AsyncExitStack() as stack:
        world = await make_world(stack, database_of, tmp_path, POSTS[request.param])
        seams = await open_seams(world)
        yield seams
        world.deaf.clear()
        await world.settle()
        await require_sound(seams)
        before = await world.snapshot()
        for seed in (1, 2):
            await world.tell_again(Post(batch=13, is_shuffled=True, times=2, seed=seed))
        assert await world.snapshot() == before
        assert await world.pump() == 0


async def require_sound(seams: Seams) -> None:
    """No gap in a sequence, no parked event, no hold without an end, nothing oversold, all sums exact."""
    world = seams.world
    for service in SERVICES:
        assert await world.rows(service, FIND_GAPS) == [], service
        assert await world.value(service, "SELECT count(*) FROM parked") == 0, service
    assert await world.value("catalog", "SELECT coalesce(sum(held), 0) FROM holds") == 0
    wrong = """
        SELECT stock.offer_id FROM stock WHERE on_hand < 0 OR reserved > on_hand
           OR on_hand <> (SELECT coalesce(sum(delta), 0) FROM stock_ledger AS ledger
                          WHERE ledger.offer_id = stock.offer_id)
           OR reserved <> (SELECT coalesce(sum(held + committed), 0) FROM holds
                           WHERE holds.offer_id = stock.offer_id)
    """
    assert await world.rows("catalog", wrong) == []
    assert await world.value("orders", "SELECT count(*) FROM orders WHERE status = 'placed'") == 0
    living = await world.value(
        "orders", "SELECT count(*) FROM orders WHERE status IN ('confirmed', 'fulfilled')"
    )
    assert await seams.taken() == (living, living)
    # An outlet picks each living order that it has a part of, and nothing else.
    parts = """
        SELECT count(*) FROM (
            SELECT DISTINCT order_id, line ->> 'outlet_id' FROM orders, jsonb_array_elements(given) AS line
            WHERE status IN ('confirmed', 'fulfilled')
        ) AS part
    """
    assert await seams.picked() == await world.value("orders", parts)
    committed = "SELECT coalesce(sum(quantity), 0) FROM commitments WHERE status <> 'released'"
    promised = """
        SELECT coalesce(sum((line ->> 'quantity')::int), 0) FROM orders, jsonb_array_elements(given) AS line
        WHERE status IN ('confirmed', 'fulfilled')
    """
    assert await world.value("catalog", committed) == await world.value("orders", promised)
    carried = "SELECT count(*) FROM loads WHERE withdrawn_at IS NULL"
    assert await world.value("dispatch", carried) == await world.value("orders", parts)


def cabbage(seams: Seams, quantity: int = 1) -> dict[str, Any]:
    return line(UUID(seams.products[0]), quantity, BOTH_PRICES)


def rice(seams: Seams, quantity: int = 1) -> dict[str, Any]:
    return line(UUID(seams.products[1]), quantity, BOTH_PRICES)


async def test_a_normal_order_comes_to_its_door(seams: Seams) -> None:
    one = await seams.place(0, cabbage(seams, 8), rice(seams, 2))
    two = await seams.place(1, cabbage(seams, 6), rice(seams, 2))
    await seams.world.settle()
    await seams.close_slot()
    plan = await seams.plan()
    assert plan["status"] == "committed"
    await seams.hand_over(1)
    await seams.world.settle()
    assert await seams.statuses() == {one: "confirmed", two: "confirmed"}
    await seams.hand_over(2, 3)
    await seams.world.settle()
    assert await seams.statuses() == {one: "fulfilled", two: "fulfilled"}
    assert await seams.shelf(0) == (2, 0)
    assert await seams.shelf(1) == (16, 0)


async def test_a_short_group_is_shared_out_to_the_unit_and_comes_to_its_doors(seams: Seams) -> None:
    _, parts = await seams.open_group(cabbage(seams, 5), rice(seams), households=range(4))
    await seams.pass_cut_off("group_orders")
    await seams.world.settle()
    assert await seams.statuses() == dict.fromkeys(parts, "confirmed")
    assert (await seams.shelf(0), await seams.shelf(1)) == ((16, 16), (20, 4))
    await seams.close_slot()
    assert (await seams.plan())["status"] == "committed"
    await seams.hand_over(1, 2, 3)
    await seams.world.settle()
    assert await seams.statuses() == dict.fromkeys(parts, "fulfilled")
    assert (await seams.shelf(0), await seams.shelf(1)) == ((0, 0), (16, 0))


async def test_a_group_with_fewer_units_than_households_refuses_those_without_and_the_wave_is_complete(
    seams: Seams,
) -> None:
    _, first = await seams.open_group(cabbage(seams, 5), households=range(3))
    await seams.pass_cut_off("group_orders")
    await seams.world.settle()
    _, second = await seams.open_group(cabbage(seams, 2), households=range(3, 6))
    await seams.pass_cut_off("group_orders")
    await seams.world.settle()
    statuses = await seams.statuses()
    assert [statuses[part] for part in first] == ["confirmed"] * 3
    assert sorted(statuses[part] for part in second) == ["confirmed", "refused", "refused"]
    assert await seams.shelf(0) == (16, 16)
    await seams.close_slot()
    assert (await seams.plan())["status"] == "committed"


async def test_a_group_for_which_there_is_nothing_is_refused_whole(seams: Seams) -> None:
    taking = [await seams.place(0, cabbage(seams, 10)), await seams.place(1, cabbage(seams, 6))]
    await seams.world.settle()
    _, parts = await seams.open_group(cabbage(seams), households=range(2, 5))
    await seams.pass_cut_off("group_orders")
    await seams.world.settle()
    assert await seams.statuses() == dict.fromkeys(parts, "refused") | dict.fromkeys(taking, "confirmed")


async def test_a_grant_after_the_clock_is_given_back_line_by_line(seams: Seams) -> None:
    _, parts = await seams.open_group(cabbage(seams, 4), rice(seams, 2), households=range(3))
    seams.world.deaf.add(("orders", "catalog"))
    await seams.pass_cut_off("group_orders")
    await seams.world.settle()
    await seams.pass_decision("group_orders")
    await seams.world.settle()
    assert await seams.statuses() == dict.fromkeys(parts, "refused")
    assert await seams.shelf(0) == (16, 12)
    seams.world.deaf.clear()
    await seams.world.settle()
    assert (await seams.shelf(0), await seams.shelf(1)) == ((16, 0), (20, 0))


async def test_a_part_that_is_taken_back_before_the_cut_off_is_not_in_the_tally(seams: Seams) -> None:
    _, parts = await seams.open_group(cabbage(seams, 2), households=range(3))
    await seams.cancel(1, parts[1])
    await seams.pass_cut_off("group_orders")
    await seams.world.settle()
    assert sorted((await seams.statuses()).values()) == ["cancelled", "confirmed", "confirmed"]
    assert await seams.shelf(0) == (16, 4)


@pytest.mark.parametrize("end", ["cancelled", "refused"])
async def test_an_answer_that_comes_after_the_end_gives_its_goods_back_once(seams: Seams, end: str) -> None:
    seams.world.deaf.add(("orders", "catalog"))
    order_id = await seams.place(0, cabbage(seams, 3), rice(seams))
    await seams.world.settle()
    assert await seams.shelf(0) == (16, 3)
    if end == "cancelled":
        await seams.cancel(0, order_id)
    await seams.pass_decision()
    await seams.world.settle()
    assert await seams.statuses() == {order_id: end}
    seams.world.deaf.clear()
    await seams.world.settle()
    assert await seams.statuses() == {order_id: end}
    assert await seams.shelf(0) == (16, 0)
    assert await seams.taken() == (0, 0)


async def test_an_order_taken_back_before_catalog_heard_of_it_holds_nothing(seams: Seams) -> None:
    seams.world.deaf |= {("catalog", "orders"), ("dispatch", "orders")}
    order_id = await seams.place(0, cabbage(seams, 3))
    await seams.world.settle()
    await seams.cancel(0, order_id)
    seams.world.deaf.clear()
    await seams.world.settle()
    assert await seams.statuses() == {order_id: "cancelled"}
    assert await seams.shelf(0) == (16, 0)


async def test_a_confirmed_order_taken_back_is_not_waited_for_by_its_wave(seams: Seams) -> None:
    gone = await seams.place(0, cabbage(seams, 3), rice(seams))
    stays = await seams.place(1, cabbage(seams, 2))
    await seams.world.settle()
    await seams.cancel(0, gone)
    await seams.world.settle()
    assert await seams.statuses() == {gone: "cancelled", stays: "confirmed"}
    await seams.close_slot()
    assert (await seams.plan())["status"] == "committed"
    late = await seams.world.clients["orders"].post(
        f"/v1/orders/{stays}/cancellation", json={}, headers=seams.resident(1)
    )
    assert late.status_code == 409
    await seams.hand_over(1, 2, 3)
    await seams.world.settle()
    assert await seams.statuses() == {gone: "cancelled", stays: "fulfilled"}


async def test_an_overdue_hold_ends_by_what_orders_says_again(seams: Seams) -> None:
    confirmed = await seams.place(0, cabbage(seams, 3))
    _, parts = await seams.open_group(cabbage(seams, 2), households=range(1, 3))
    seams.world.deaf.add(("catalog", "orders"))
    await seams.world.settle()
    seams.world.deaf.clear()
    await seams.pass_cut_off("group_orders")
    await seams.world.pump()
    await seams.world.tick()
    await seams.world.do("catalog", "UPDATE reservations SET limit_at = now() - interval '1 s'")
    await seams.world.settle()
    await seams.world.do("catalog", "UPDATE reservations SET limit_at = now() - interval '1 s'")
    await seams.world.settle()
    assert await seams.statuses() == dict.fromkeys((confirmed, *parts), "confirmed")


async def test_a_hold_that_is_asked_about_again_and_again_is_committed_once(seams: Seams) -> None:
    seams.world.deaf.add(("catalog", "orders"))
    order_id = await seams.place(0, cabbage(seams, 3))
    await seams.world.pump()
    seams.world.deaf.clear()
    await seams.world.pump()
    seams.world.deaf.add(("catalog", "orders"))
    for _ in range(3):
        await seams.world.do("catalog", "UPDATE reservations SET limit_at = now() - interval '1 s'")
        await seams.world.settle()
    told = "SELECT count(*) FROM outbox_event WHERE type = 'orders.order_confirmed.v1'"
    assert await seams.world.value("orders", told) == 4
    seams.world.deaf.clear()
    await seams.world.settle()
    assert await seams.statuses() == {order_id: "confirmed"}
    assert await seams.shelf(0) == (16, 3)


async def open_zone_again(seams: Seams, **given: Any) -> str:
    """Open another zone on the same village in the same incident; return its slot."""
    world, town, client = seams.world, seams.town, seams.world.clients["orders"]
    incident_id = (await openings.show(client, seams.zone["zone_id"]))["incident_id"]
    zone = await openings.prepare(
        client, town, slots=[openings.slot_times(cut_off=timedelta(hours=6))], **given
    )
    activated = await openings.activate(client, town, zone["zone_id"], incident_id=incident_id)
    assert activated.status_code == 202, activated.text
    await world.settle()
    await _accept_all(world, seams.shops)
    await world.settle()
    assert (await openings.show(client, zone["zone_id"]))["status"] == "open"
    return str(zone["slot_ids"][0])


async def test_a_zone_that_passes_into_another_class_delivers_what_is_confirmed_and_refuses_the_rest(
    seams: Seams,
) -> None:
    world, client = seams.world, seams.world.clients["orders"]
    await add_policy(world.clients["whitelist"], zone_class="controlled")
    order_id = await seams.place(0, cabbage(seams, 3), rice(seams))
    _, parts = await seams.open_group(cabbage(seams), households=(1, 2))
    await world.settle()
    await seams.pass_cut_off("group_orders")
    await world.settle()
    promised = (order_id, *parts)
    assert await seams.statuses() == dict.fromkeys(promised, "confirmed")
    # Catalog's yes to one comes when the zone is closed already; the other two nobody was told of.
    undecided = await seams.place(3, cabbage(seams, 2))
    _, waiting = await seams.open_group(cabbage(seams), households=(4, 5))
    closed = await openings.close(client, seams.town, seams.zone["zone_id"], next_class="controlled")
    assert closed.status_code == 200
    late = await client.post(
        "/v1/orders",
        json={"slot_id": seams.slot_id, "lines": [cabbage(seams)]},
        headers=seams.resident(3),
    )
    assert (late.status_code, late.json()["code"]) == (422, "orders.zone_closed")
    await world.settle()
    ended = dict.fromkeys((undecided, *waiting), "refused")
    assert await seams.statuses() == dict.fromkeys(promised, "confirmed") | ended
    assert await seams.shelf(0) == (16, 5)

    # Its cut-off lay ahead: the wave is complete all the same.
    assert (await seams.plan())["status"] == "committed"
    slot_id = await open_zone_again(seams, zone_class="controlled")
    await seams.hand_over(1, 2, 3)
    body = {"slot_id": slot_id, "lines": [cabbage(seams)]}
    fresh = (await world.send("orders", "/v1/orders", body, seams.resident(0)))["order_id"]
    await world.settle()
    assert await seams.statuses() == dict.fromkeys(promised, "fulfilled") | ended | {fresh: "confirmed"}
    assert await world.value("dispatch", "SELECT count(*) FROM breaches") == 0


async def test_slots_of_further_days_open_and_an_empty_one_is_complete(seams: Seams) -> None:
    zone_id = seams.zone["zone_id"]
    slots = [openings.slot_times(cut_off=timedelta(hours=hours)) for hours in (3, 5)]
    path, head = f"/v1/zones/{zone_id}/slots", seams.town.commander(key="further")
    added = await seams.world.send("orders", path, {"slots": slots}, head)
    await seams.world.settle()
    seams.zone["slot_ids"] = added["slot_ids"]
    order_id = await seams.place(0, cabbage(seams))
    await seams.world.settle()
    await seams.close_slot()
    assert await seams.statuses() == {order_id: "confirmed"}
    found = await seams.world.rows("dispatch", "SELECT expected FROM waves ORDER BY expected")
    assert [row.expected for row in found] == [0, 0, 1]
    await openings.close(seams.world.clients["orders"], seams.town, zone_id)


async def test_a_driver_suspended_before_loading_is_followed_by_another_and_then_by_a_new_plan(
    seams: Seams,
) -> None:
    order_id = await seams.place(0, cabbage(seams, 3), rice(seams))
    await seams.world.settle()
    await seams.close_slot()
    (trip,) = (await seams.plan())["trips"]
    first, second = trip["driver_id"], next(each for each in seams.drivers if each != trip["driver_id"])
    await seams.suspend(first)
    trips = await seams.world.rows("dispatch", "SELECT status, driver_id::text FROM trips")
    assert [tuple(row) for row in trips] == [("planned", second)]
    await seams.suspend(second)
    trips = await seams.world.rows("dispatch", "SELECT status FROM trips ORDER BY departs_at, trip_id")
    assert "planned" not in {row.status for row in trips}
    check = make_check(first, sampled_at=_ago(seconds=1))
    await add_checks(seams.world.clients["whitelist"], check)
    await seams.world.settle()
    await seams.world.do("dispatch", "UPDATE plans SET tried_at = NULL")
    await seams.world.settle()
    trips = await seams.world.rows("dispatch", "SELECT driver_id::text FROM trips WHERE status = 'planned'")
    assert [row.driver_id for row in trips] == [first]
    await seams.hand_over(1, 2, 3)
    await seams.world.settle()
    assert await seams.statuses() == {order_id: "fulfilled"}
    assert await seams.world.value("dispatch", "SELECT count(*) FROM breaches") == 0


async def test_what_a_suspended_driver_has_on_board_is_rescued_and_comes_to_its_door(seams: Seams) -> None:
    order_id = await seams.place(0, cabbage(seams, 7), rice(seams))
    await seams.world.settle()
    await seams.close_slot()
    (trip,) = (await seams.plan())["trips"]
    await seams.hand_over(1)
    await seams.world.settle()
    await seams.suspend(trip["driver_id"])
    waiting = "SELECT count(DISTINCT rescue_id), count(DISTINCT load_id) FROM rescue_units"
    assert [tuple(row) for row in await seams.world.rows("dispatch", waiting)] == [(1, 2)]
    other = next(each for each in seams.drivers if each != trip["driver_id"])
    trips = "SELECT status, driver_id::text FROM trips WHERE driver_id IS NOT NULL ORDER BY trip_id"
    found = await seams.world.rows("dispatch", trips)
    assert [tuple(row) for row in found] == [("stranded", trip["driver_id"]), ("planned", other)]
    await seams.hand_over(1, giver=trip["driver_id"])
    found = await seams.world.rows("dispatch", trips)
    assert [row.status for row in found] == ["stranded", "departed"]
    await seams.hand_over(2, 3)
    await seams.world.settle()
    assert await seams.statuses() == {order_id: "fulfilled"}
    ended = "SELECT count(*) FROM rescues WHERE settled_at IS NOT NULL AND escalated_at IS NULL"
    assert await seams.world.value("dispatch", ended) == 1
    assert await seams.world.value("dispatch", "SELECT count(*) FROM breaches") == 0


async def test_a_stricter_rule_for_sealed_zones_takes_their_trips_from_those_it_does_not_clear(
    seams: Seams,
) -> None:
    order_id = await seams.place(0, cabbage(seams, 3))
    await seams.world.settle()
    await seams.close_slot()
    assert len((await seams.plan())["trips"]) == 1
    whitelist = seams.world.clients["whitelist"]
    await add_policy(whitelist, zone_class="precaution")
    await add_policy(whitelist, valid_from="2022-02-01T00:00:00Z", pcr_max_age_hours=1)
    await seams.world.settle()
    held = "SELECT count(*) FROM trip_loads WHERE is_held"
    assert await seams.world.value("dispatch", held) == 0
    assert await seams.statuses() == {order_id: "confirmed"}


async def test_a_stale_copy_of_the_whitelist_marks_what_it_assigns_and_catches_up(seams: Seams) -> None:
    order_id = await seams.place(0, cabbage(seams, 3))
    await seams.world.settle()
    await seams.close_slot()
    seams.world.deaf.add(("dispatch", "whitelist"))
    await seams.world.do("dispatch", "UPDATE whitelist_beats SET beat_at = beat_at - interval '2 minutes'")
    (trip,) = (await seams.plan())["trips"]
    await seams.suspend(trip["driver_id"])
    await seams.hand_over(1)
    marks = "SELECT trips.is_degraded AND hand_overs.is_degraded FROM trips, hand_overs LIMIT 1"
    assert await seams.world.value("dispatch", marks)
    assert await seams.world.value("dispatch", "SELECT count(*) FROM rescues") == 0

    seams.world.deaf.clear()
    await seams.world.do("whitelist", "UPDATE heartbeats SET beat_at = beat_at - interval '1 minute'")
    await seams.world.settle()
    assert await seams.world.value("dispatch", "SELECT count(*) FROM rescues") == 1
    await seams.hand_over(2, 3, driver=next(each for each in seams.drivers if each != trip["driver_id"]))
    await seams.world.settle()
    marks = "SELECT count(*) FROM hand_overs WHERE leg > 1 AND is_degraded"
    assert await seams.world.value("dispatch", marks) == 0
    assert await seams.statuses() == {order_id: "fulfilled"}


async def test_a_duty_that_changes_is_known_alike_to_orders_and_dispatch(seams: Seams) -> None:
    (duty,) = await seams.world.rows("whitelist", "SELECT * FROM duties")
    kept = seams.town.all_buildings[0]
    body = {
        "person_id": str(duty.person_id), "role": "steward", "community_id": str(duty.community_id),
        "building_ids": [str(kept)], "starts_at": duty.starts_at.isoformat(),
        "ends_at": duty.ends_at.isoformat(),
    }  # fmt: skip
    await seams.world.send("whitelist", "/v1/duties", {"duties": [body]}, headers("commander"))
    await seams.world.settle()
    assert await seams.world.value("orders", "SELECT building_id FROM building_stewards") == kept
    assert await seams.world.value("dispatch", "SELECT building_ids FROM duties") == [kept]


async def test_goods_at_their_door_end_their_hold_though_the_drivers_log_is_lost(seams: Seams) -> None:
    order_id = await seams.place(0, cabbage(seams, 3), rice(seams))
    await seams.world.settle()
    await seams.close_slot()
    await seams.plan()
    await seams.hand_over(3)
    await seams.world.settle()
    assert await seams.statuses() == {order_id: "fulfilled"}
    assert (await seams.shelf(0), await seams.shelf(1)) == ((13, 0), (19, 0))
