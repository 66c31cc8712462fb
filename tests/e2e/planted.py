"""A town with some of everything, grown through the interfaces: a zone open, one over, one prepared."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from services.catalog.outlets.items import LEDGER
from services.catalog.stock.offers.routes import GOODS
from services.contracts.access import Role
from services.kit.http.sheets import Form
from services.kit.ids import new_id
from services.whitelist.people.routes import STAFF_LIST
from tests.catalog import goods
from tests.catalog.builders import make_outlet, qualify_outlets
from tests.dispatch.builders import make_pass, make_vehicle
from tests.e2e.book import Book
from tests.e2e.seams import SERVICES, Post, World, make_world
from tests.orders import openings, towns
from tests.orders.ground import line
from tests.serving import headers
from tests.whitelist.builders import (
    OFFICER,
    add_checks,
    add_people,
    add_policy,
    make_check,
    make_person,
)  # fmt: skip

NOBODY: dict[str, str] = {}


@dataclass(kw_only=True)
class Planting:
    """Where the planting stands."""

    world: World
    town: towns.Town
    shops: list[UUID]
    products: list[str]
    steward: str
    drivers: list[str]
    zone: dict[str, Any]

    @property
    def households(self) -> list[UUID]:
        return [each for building in self.town.all_buildings for each in self.town.households[building]]

    def commander(self) -> dict[str, str]:
        return self.town.commander(key=new_id().hex)

    def resident(self, number: int) -> dict[str, str]:
        return headers("resident", key=new_id().hex, household_id=self.households[number])

    def identities(self) -> dict[str, dict[str, str]]:
        """Who may do everything here, who has a home and a shop, who drives, and nobody."""
        home, shop = self.households[0], self.shops[0]
        reach = {"household_id": home, "outlet_id": shop, "zone_ids": [self.town.town_id]}
        return {
            "hall": headers(*Role, subject=self.steward, **reach),
            "home and shop": headers("resident", "outlet", household_id=home, outlet_id=shop),
            "driver": headers("driver", subject=self.drivers[0]),
            "nobody": NOBODY,
        }


def plant(urls: Mapping[str, str], folder: Path, book: Book) -> dict[str, dict[str, str]]:
    """Fill the services' databases, every answer held against its document; return the identities."""
    return asyncio.run(grow(urls, folder, book)).identities()


async def grow(urls: Mapping[str, str], folder: Path, book: Book | None = None) -> Planting:
    """Fill the services' databases; return who and what is there."""

    async def database_of(service: str) -> str:
        return urls[service]

    async with AsyncExitStack() as stack:
        world = await make_world(stack, database_of, folder, Post())
        for service in SERVICES:
            if book:
                book.watch(service, world.clients[service])
        planting = await _open(world)
        await _order(planting)
        await _ask_at_doors(planting)
        await _deliver(planting)
        await _relieve(planting)
        await _end_another(world)
        return planting


async def _open(world: World) -> Planting:
    town = await towns.plant_town(world.clients["orders"], villages=2, buildings=2, households=3)
    shops, products = await _fill_shops(world)
    people = await _gather_people(world, town)
    await _gather_vehicles(world, town)
    await world.settle()
    quota = {"orders": 5, "units": 200}
    villages = [str(village) for village in town.villages]
    await openings.prepare(world.clients["orders"], town, community_ids=villages[1:], quota=quota)
    slots = [openings.slot_times(), openings.slot_times(cut_off=timedelta(hours=3))]
    zone = await openings.prepare(
        world.clients["orders"], town, community_ids=villages[:1], slots=slots[:1], quota=quota
    )
    planting = Planting(
        world=world, town=town, shops=shops, products=products, steward=people[0], drivers=people[1:],
        zone=zone,
    )  # fmt: skip
    await openings.activate(world.clients["orders"], town, zone["zone_id"])
    path = f"/v1/zones/{zone['zone_id']}/slots"
    added = await world.send("orders", path, {"slots": slots[1:]}, planting.commander())
    zone["slot_ids"] += [each for each in added["slot_ids"] if each not in zone["slot_ids"]]
    await world.settle()
    await _answer_assignments(world, shops)
    await world.settle()
    assert (await openings.show(world.clients["orders"], zone["zone_id"]))["status"] == "open"
    return planting


async def _fill_shops(world: World) -> tuple[list[UUID], list[str]]:
    client = world.clients["catalog"]
    regulator = headers("regulator", key=new_id().hex)
    policy = {"answer_seconds": 600, "legal_ref": "京商务 2022-4", "valid_from": _at(hours=-1)}
    await world.send("catalog", "/v1/supply-policies", policy, regulator)
    shops = await qualify_outlets(
        client, *(make_outlet(external_id=f"shop-{n}", capacity_orders=300 // n) for n in (1, 2, 3))
    )
    products = [await goods.make_product(client, name) for name in ("cabbage", "rice", "pork")]
    await goods.bind_ceiling(client, 2000, product_id=products[2])
    for shop in shops[:2]:
        await goods.stock_up(client, shop, products[0], 200, "1001")
        await goods.stock_up(client, shop, products[1], 200, "1002")
    await _send_sheet(world, "catalog", "/v1/outlets.csv", LEDGER, headers("commander"))
    path = f"/v1/outlets/{shops[0]}/offers.csv"
    await _send_sheet(world, "catalog", path, GOODS, headers("outlet", outlet_id=shops[0]))
    deal = {"plu": "1001", "sold_on": "2022-03-01", "sale_fen": 120, "purchase_fen": 100}
    inspector = headers("regulator", key=new_id().hex)
    await world.send("catalog", f"/v1/outlets/{shops[0]}/deals", {"deals": [deal]}, inspector)
    # Above the ceiling: the refusal of a price is kept.
    await goods.list_goods(client, shops[0], goods.make_listing(products[2], "1003", price_fen=9000))
    await world.send("catalog", "/v1/emergency-outlets", {}, headers("commander", key=new_id().hex))
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
    await _send_sheet(world, "whitelist", "/v1/people.csv", STAFF_LIST, headers("commander"))
    await add_checks(client, *(make_check(person) for person in people))
    signed = {"text_version": "2022-11", "signed_at": _at(hours=-1)}
    await world.send("whitelist", f"/v1/people/{people[0]}/commitment", signed, OFFICER)
    duty = {
        "person_id": people[0], "role": "steward", "community_id": str(town.villages[0]),
        "building_ids": [str(each) for each in town.all_buildings[:2]], "starts_at": _at(hours=-1),
        "ends_at": _at(days=2),
    }  # fmt: skip
    await world.send("whitelist", "/v1/duties", {"duties": [duty]}, headers("commander"))
    return people


async def _gather_vehicles(world: World, town: towns.Town) -> None:
    head = headers("commander")
    plates = ("京A00001", "京A00002")
    vehicles = [make_vehicle(plate=plate) for plate in plates]
    passes = [make_pass(plate=plate, number=f"11011500000{n}") for n, plate in enumerate(plates)]
    await world.send("dispatch", "/v1/vehicles", {"vehicles": vehicles}, _keyed(head))
    await world.send("dispatch", "/v1/passes", {"passes": passes}, _keyed(head))
    site = {"code": "1", "title": "作业点1", "position": {"lat": 39.65, "lon": 116.29},
            "community_ids": [str(town.villages[0])]}  # fmt: skip
    await world.send("dispatch", "/v1/work-sites", {"work_sites": [site]}, _keyed(head))


async def _answer_assignments(world: World, shops: list[UUID]) -> None:
    """One refuses, the others accept."""
    while asked := await world.rows("catalog", "SELECT * FROM assignments WHERE status = 'asked'"):
        for row in asked:
            path = f"/v1/outlets/{row.outlet_id}/assignments/{row.assignment_id}"
            head = headers("outlet", key=new_id().hex, outlet_id=row.outlet_id)
            if row.outlet_id == shops[2]:
                await world.send("catalog", f"{path}/refusal", {"reason": "short of hands"}, head)
            else:
                body = {"capacity_orders": row.asked_orders}
                await world.send("catalog", f"{path}/acceptance", body, head)
        await world.settle()


async def _order(planting: Planting) -> None:
    """Single orders and a group; the first slot closes, the second stays open."""
    world, slot_ids = planting.world, planting.zone["slot_ids"]
    goods_wanted = [line(UUID(product), 2, 120) for product in planting.products[:2]]
    placed = [
        await world.send(
            "orders", "/v1/orders", {"slot_id": slot_id, "lines": goods_wanted}, planting.resident(number)
        )
        for number, slot_id in ((0, slot_ids[0]), (1, slot_ids[0]), (2, slot_ids[1]), (0, slot_ids[1]))
    ]
    await world.settle()
    path = f"/v1/orders/{placed[2]['order_id']}/cancellation"
    await world.send("orders", path, {}, planting.resident(2))
    await _decide_at_once(planting, goods_wanted)
    for slot_id, cut_off_at, form in (
        (slot_ids[0], _at(minutes=30), "bagged"), (slot_ids[0], _at(minutes=30), "bulk"),
        (slot_ids[1], _at(hours=2), "bulk"),
    ):  # fmt: skip
        await _open_group(planting, slot_id, cut_off_at, goods_wanted, form=form)
    await world.do("orders", "UPDATE group_orders SET cut_off_at = now() WHERE slot_id = :id", id=slot_ids[0])
    await world.settle()
    await world.do("orders", "UPDATE slots SET cut_off_at = now() WHERE slot_id = :id", id=slot_ids[0])
    await world.settle()


async def _decide_at_once(planting: Planting, goods_wanted: list[dict[str, Any]]) -> None:
    """See one order decided while its household waits; a busy machine may let a first one wait in vain."""
    body = {"slot_id": planting.zone["slot_ids"][0], "lines": goods_wanted}
    for _ in range(2):
        head = planting.resident(2) | {"prefer": "wait=5"}
        placed = asyncio.create_task(planting.world.send("orders", "/v1/orders", body, head))
        while not placed.done():
            await planting.world.settle()
        if (await placed)["status"] == "confirmed":
            return
    raise AssertionError("no order was decided while its household waited")


async def _open_group(
    planting: Planting, slot_id: str, cut_off_at: str, goods_wanted: list[dict[str, Any]], *, form: str
) -> None:
    world = planting.world
    leader = headers("leader", subject=new_id(), zone_ids=planting.town.villages)
    body = {
        "community_id": str(planting.town.villages[0]), "slot_id": slot_id, "minimum": 2,
        "cut_off_at": cut_off_at, "below_minimum": "cancel", "form": form,
    }  # fmt: skip
    group_id = (await world.send("orders", "/v1/group-orders", body, _keyed(leader)))["group_id"]
    for number in (3, 4):
        path = f"/v1/group-orders/{group_id}/parts"
        await world.send("orders", path, {"lines": goods_wanted}, planting.resident(number))
    path = f"/v1/group-orders/{group_id}/cut-off"
    await world.send("orders", path, {"cut_off_at": _at(minutes=20)}, _keyed(leader))


async def _ask_at_doors(planting: Planting) -> None:
    head = headers("steward", subject=planting.steward)
    for number, outcome in ((4, "nothing_needed"), (5, "needs_help")):
        path = f"/v1/households/{planting.households[number]}/check-ins"
        body = {"outcome": outcome, "note": "asked through the door"}
        await planting.world.send("orders", path, body, _keyed(head))
    erased = planting.households[-1]
    await planting.world.send("orders", f"/v1/households/{erased}/erasure", None, planting.commander())


async def _deliver(planting: Planting) -> None:
    """One trip, half of which arrives; its driver falls ill with the other half on board."""
    world = planting.world
    body = {"slot_ids": [planting.zone["slot_ids"][0]], "seconds": 1}
    plan_id = (await world.send("dispatch", "/v1/plans", body, planting.commander()))["plan_id"]
    await world.settle()
    await world.send("dispatch", f"/v1/plans/{plan_id}/commitment", {}, planting.commander())
    await _print_labels(planting)
    trips = (await world.get("dispatch", f"/v1/plans/{plan_id}", planting.commander()))["trips"]
    for trip in trips:
        other = next(each for each in planting.drivers if each != trip["driver_id"])
        path = f"/v1/trips/{trip['trip_id']}"
        if len(trips) == 1:
            await world.send("dispatch", f"{path}/driver", {"person_id": other}, planting.commander())
    for trip in trips:
        await world.send("dispatch", f"/v1/trips/{trip['trip_id']}/departure", None, planting.commander())
    await _hand_over(planting, 1)
    await _hand_over(planting, 2, most=2)
    await _hand_over(planting, 3, most=1)
    await _split(planting)
    carries = await world.value("dispatch", "SELECT driver_id FROM trips ORDER BY trip_id LIMIT 1")
    ill = make_check(str(carries), kind="antigen", outcome="positive", sampled_at=_at(minutes=-1))
    await add_checks(world.clients["whitelist"], ill)
    await world.settle()
    # A stranger takes what the one who is ill had: a breach, which is closed, and one that is not.
    for place in (2, 3):
        await _hand_over(planting, 2, most=1, start=place, taker=str(new_id()))
    breaches = await world.rows("dispatch", "SELECT breach_id FROM breaches ORDER BY breach_id")
    path = f"/v1/breaches/{breaches[0].breach_id}/closure"
    await world.send("dispatch", path, {"reason": "the neighbour helped"}, planting.commander())
    await world.settle()


async def _relieve(planting: Planting) -> None:
    """The steward's turn ends with goods at the gate: a deputy is named. A vehicle breaks down."""
    world, whitelist = planting.world, planting.world.clients["whitelist"]
    (deputy,) = await add_people(whitelist, make_person("deputy"))
    await add_checks(whitelist, make_check(deputy))
    signed = {"text_version": "2022-11", "signed_at": _at(hours=-1)}
    await world.send("whitelist", f"/v1/people/{deputy}/commitment", signed, OFFICER)
    (duty,) = await world.rows("whitelist", "SELECT * FROM duties")
    turn = {
        "person_id": str(duty.person_id), "role": duty.role, "community_id": str(duty.community_id),
        "building_ids": [str(each) for each in duty.building_ids], "starts_at": duty.starts_at.isoformat(),
        "ends_at": duty.ends_at.isoformat(),
    }  # fmt: skip
    turns = [{**turn, "person_id": deputy}, {**turn, "ends_at": _at()}]
    await world.send("whitelist", "/v1/duties", {"duties": turns}, headers("commander"))
    await world.settle()
    lapsed = "SELECT rescue_id FROM rescues WHERE cause = 'duty_lapsed'"
    rescue = f"/v1/rescues/{await world.value('dispatch', lapsed)}"
    await world.send("dispatch", f"{rescue}/assignment", {"person_id": deputy}, planting.commander())
    await world.send("whitelist", "/v1/duties", {"duties": [turn]}, headers("commander"))
    vehicle_id = await world.value("dispatch", "SELECT vehicle_id FROM vehicles ORDER BY plate DESC LIMIT 1")
    path = f"/v1/vehicles/{vehicle_id}/loss"
    await world.send("dispatch", path, {"reason": "the gear box"}, planting.commander())
    await world.settle()
    await world.send("dispatch", f"/v1/vehicles/{vehicle_id}/return", None, planting.commander())
    await world.send("dispatch", f"{rescue}/closure", {"reason": "back on duty"}, planting.commander())


async def _print_labels(planting: Planting) -> None:
    (packed, *_) = await planting.world.rows("dispatch", "SELECT DISTINCT slot_id, outlet_id FROM loads")
    path = f"/v1/labels.html?slot_id={packed.slot_id}&outlet_id={packed.outlet_id}"
    head = headers("outlet", outlet_id=packed.outlet_id)
    answer = await planting.world.clients["dispatch"].get(path, headers=head)
    assert answer.status_code == 200, answer.text


async def _hand_over(
    planting: Planting, leg: int, *, start: int = 0, most: int = 1000, taker: str | None = None
) -> None:
    world, steward = planting.world, planting.steward
    found = await world.rows(
        "dispatch",
        """
        SELECT load_unit_id, outlet_id, loads.household_id, driver_id
        FROM loads JOIN load_units USING (load_id)
        JOIN trip_loads ON trip_loads.load_id = loads.load_id AND is_held
        JOIN trips USING (trip_id) WHERE form = 'bagged' ORDER BY load_unit_id OFFSET :start LIMIT :most
        """,
        start=start,
        most=most,
    )
    assert found
    notes = []
    for row in found:
        pairs = {1: (row.outlet_id, row.driver_id), 2: (row.driver_id, steward),
                 3: (steward, row.household_id)}  # fmt: skip
        giver, planned = pairs[leg]
        head = headers("outlet", outlet_id=row.outlet_id)
        label = await world.get("dispatch", f"/v1/load-units/{row.load_unit_id}/label", head)
        notes.append({
            "hand_over_id": str(new_id()), "load_unit_id": str(row.load_unit_id), "leg": leg,
            "giver_id": str(giver), "taker_id": taker or str(planned), "occurred_at": _at(),
            "proof": {"kind": "qr", "value": label["text"], "photo_sha256": "ab" * 32},
        })  # fmt: skip
    answer = await world.send("dispatch", "/v1/hand-overs", {"hand_overs": notes}, planting.commander())
    assert {item["outcome"] for item in answer["items"]} == {"recorded"}, answer
    await world.settle()


async def _split(planting: Planting) -> None:
    """The goods of a group are shared out at the gate, where some of them were found to be missing."""
    world, commander = planting.world, planting.commander()
    ((load_id, shop),) = await world.rows(
        "dispatch", "SELECT load_id, outlet_id FROM loads WHERE form = 'bulk'"
    )
    path = f"/v1/loads/{load_id}"
    item = (await world.get("dispatch", f"{path}/manifest", commander))["items"][0]
    crate, *_ = (await world.get("dispatch", path, headers("outlet", outlet_id=shop)))["units"]
    label = await world.get("dispatch", f"/v1/load-units/{crate['load_unit_id']}/label", commander)
    body = {
        "split_id": str(new_id()), "steward_id": planting.steward, "occurred_at": _at(),
        "losses": [{"offer_id": item["offer_id"], "reason": "missing", "grams": item["grams"]}],
        "proof": {"kind": "qr", "value": label["text"]},
    }  # fmt: skip
    split = await world.send("dispatch", f"{path}/split", body, commander)
    assert (split["outcome"], split["loss_g"]) == ("recorded", item["grams"])
    await world.get("dispatch", f"{path}/split", commander)
    await world.get("dispatch", path, commander)
    await world.settle()


async def _end_another(world: World) -> None:
    """A second town, whose incident is over."""
    client = world.clients["orders"]
    town = await towns.plant_town(client, prefix="U")
    zone = await openings.prepare(client, town)
    await openings.activate(client, town, zone["zone_id"])
    await openings.close(client, town, zone["zone_id"], next_class="controlled")
    await world.settle()
    incident_id = (await openings.show(client, zone["zone_id"]))["incident_id"]
    path = f"/v1/incidents/{incident_id}/closure"
    await world.send("orders", path, None, town.commander(key=new_id().hex))


async def _send_sheet(world: World, service: str, path: str, form: Form[Any], head: dict[str, str]) -> None:
    """Send what the document shows; of its ids there may be none here, but every line is answered."""
    head = _keyed(head) | {"content-type": "text/csv"}
    answer = await world.clients[service].post(path, content=form.example.encode(), headers=head)
    assert answer.status_code == 200, answer.text


def _at(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def _keyed(head: dict[str, str]) -> dict[str, str]:
    return head | {"idempotency-key": new_id().hex}
