"""A zone ends, or passes into another class, with work open: what is confirmed comes, the rest is refused."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from services.contracts.catalog import GroupGranted
from services.contracts.dispatch import PortionDelivered
from services.contracts.values import Grant, ZoneClass
from services.kit import database
from services.kit.ids import new_id
from services.orders.groups import application as groups
from services.orders.groups import closing
from services.orders.intake import deciding, winding_up
from services.orders.zones import activation
from services.orders.zones import queries as zones
from tests.orders import openings
from tests.orders.bus import deliver
from tests.orders.ground import (
    CABBAGE,
    RICE,
    give,
    line,
    open_ground,
    place,
    refused,
    reserved,
    taken,
    told,
    value,
    words,
)
from tests.orders.openings import activate, capacity, duty, prepare, show, slot_times, supplied
from tests.orders.towns import plant_town
from tests.serving import headers

CHINESE = {"accept-language": "zh-CN"}


async def close(client, ground, **given):
    head = headers("commander", zone_ids=[ground.zone_id], key=str(new_id()))
    body = {"reason": "no case for a week", **given}
    return await client.post(f"/v1/zones/{ground.zone_id}/closure", json=body, headers=head)


async def run(sessions, timer):
    async with sessions.begin() as session:
        return await timer(session, await database.now(session))


async def read(client, ground, order_id, number=0):
    return (await client.get(f"/v1/orders/{order_id}", headers=ground.resident(number))).json()


async def try_to_place(client, ground, number=0, **head):
    head |= ground.resident(number, key=str(new_id()))
    return await client.post("/v1/orders", json=ground.body(), headers=head)


async def open_group(client, ground, **ahead):
    body = {
        "community_id": str(ground.village_id), "slot_id": str(ground.slot_id), "minimum": 1,
        "cut_off_at": (datetime.now(UTC) + timedelta(**(ahead or {"minutes": 30}))).isoformat(),
        "below_minimum": "send",
    }  # fmt: skip
    head = headers("leader", zone_ids=[ground.village_id], key=str(new_id()))
    return await client.post("/v1/group-orders", json=body, headers=head)


async def join(client, ground, group_id, number):
    head = ground.resident(number, key=str(new_id()))
    return await client.post(f"/v1/group-orders/{group_id}/parts", json={"lines": [line()]}, headers=head)


async def fill_group(client, ground, *numbers):
    group_id = UUID((await open_group(client, ground)).json()["group_id"])
    answers = [await join(client, ground, group_id, number) for number in numbers]
    return group_id, [UUID(answer.json()["order_id"]) for answer in answers]


def codes(order):
    return order["status"], [refusal["code"] for refusal in order["refusals"]]


def delivered(order_id):
    return PortionDelivered(
        portion_id=new_id(), order_id=order_id, incident_id=new_id(), household_id=new_id(),
        delivered_at=datetime.now(UTC),
    )  # fmt: skip


async def test_what_is_undecided_when_its_zone_closes_is_refused_and_what_is_confirmed_is_delivered(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions, households=2)
    kept = await place(client, ground, 0)
    undecided = await place(client, ground, 1, lines=[line(CABBAGE, 2), line(RICE, 1)])
    await deliver(service_sessions, (reserved(kept), 1))
    answer = await close(client, ground)
    assert (answer.status_code, answer.json()["status"]) == (200, "closed")
    assert (await show(client, ground.zone_id))["open_work"] == {"undecided": 1, "undelivered": 1}

    assert await run(service_sessions, deciding.close_slots) == 0
    assert await run(service_sessions, winding_up.refuse_undecided) == 1
    assert codes(await read(client, ground, undecided, 1)) == ("refused", ["orders.zone_closed"] * 2)
    assert await told(service_sessions, undecided) == [("order_placed", 1), ("order_refused", 2)]
    assert (await words(service_sessions, undecided))[1]["reservation_id"] == str(undecided)
    assert await taken(service_sessions, ground) == (1, 1, 2)
    assert await run(service_sessions, winding_up.refuse_undecided) == 0

    # Its old cut-off lies an hour ahead; the wave can be planned now.
    assert await run(service_sessions, deciding.close_slots) == 1
    assert await told(service_sessions, ground.slot_id) == [("slot_closed", 1)]
    assert (await words(service_sessions, ground.slot_id))[0]["confirmed"] == 1
    late = await client.post(f"/v1/orders/{kept}/cancellation", headers=ground.resident(0, key="c"))
    assert (late.status_code, late.json()["code"]) == (409, "orders.too_late_to_cancel")
    await deliver(service_sessions, (delivered(kept), 1))
    assert (await read(client, ground, kept))["status"] == "fulfilled"

    seen = await show(client, ground.zone_id)
    assert (seen["status"], seen["close_reason"], seen["next_class"]) == (
        "closed",
        "no case for a week",
        None,
    )
    assert seen["open_work"] == {"undecided": 0, "undelivered": 0}


@pytest.mark.parametrize("answer", [reserved, refused])
async def test_an_answer_after_the_zone_has_closed_changes_nothing(client, service_sessions, answer) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    await close(client, ground)
    assert await run(service_sessions, winding_up.refuse_undecided) == 1
    await deliver(service_sessions, (answer(order_id), 1))
    assert codes(await read(client, ground, order_id)) == ("refused", ["orders.zone_closed"])
    assert await told(service_sessions, order_id) == [("order_placed", 1), ("order_refused", 2)]
    assert await taken(service_sessions, ground) == (0, 0, 0)


async def test_answers_and_the_closing_at_once_decide_each_order_once(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=8)
    ids = [await place(client, ground, number) for number in range(8)]
    await close(client, ground)
    await asyncio.gather(
        deliver(service_sessions, *((reserved(order_id), 1) for order_id in ids)),
        run(service_sessions, winding_up.refuse_undecided),
    )
    assert await run(service_sessions, winding_up.refuse_undecided) == 0
    confirmed = await value(service_sessions, "SELECT count(*) FROM orders WHERE status = 'confirmed'")
    ended = await value(service_sessions, "SELECT count(*) FROM orders WHERE status = 'refused'")
    assert confirmed + ended == 8
    assert await taken(service_sessions, ground) == (confirmed, confirmed, 2 * confirmed)
    assert [len(await told(service_sessions, order_id)) for order_id in ids] == [2] * 8
    assert await run(service_sessions, deciding.close_slots) == 1
    assert (await words(service_sessions, ground.slot_id))[0]["confirmed"] == confirmed


async def test_an_order_whose_answer_is_being_written_is_left_to_it(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=2)
    ids = [await place(client, ground, number) for number in range(2)]
    await close(client, ground)
    async with service_sessions.begin() as session:
        await deciding.confirm(session, [reserved(ids[0])], await database.now(session))
        assert await run(service_sessions, winding_up.refuse_undecided) == 1
        assert await run(service_sessions, deciding.close_slots) == 0
    assert await run(service_sessions, winding_up.refuse_undecided) == 0
    assert [(await read(client, ground, each, n))["status"] for n, each in enumerate(ids)] == [
        "confirmed",
        "refused",
    ]
    assert await taken(service_sessions, ground) == (1, 1, 2)


async def test_many_orders_are_refused_in_batches_and_another_zones_are_left(
    client, service_sessions, monkeypatch
) -> None:
    monkeypatch.setattr(winding_up, "BATCH", 2)
    ground, other = await open_ground(service_sessions, households=3), await open_ground(service_sessions)
    for number in range(3):
        await place(client, ground, number)
    elsewhere = await place(client, other)
    await close(client, ground)
    assert [await run(service_sessions, winding_up.refuse_undecided) for _ in range(3)] == [2, 1, 0]
    assert (await read(client, other, elsewhere))["status"] == "placed"
    assert await taken(service_sessions, other) == (1, 1, 2)


async def test_open_and_locked_groups_of_a_closed_zone_end_with_its_reason_and_a_late_grant_is_let_go(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions, households=3)
    locked, early = await fill_group(client, ground, 0, 1)
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE group_orders SET cut_off_at = now() - interval '1 s'"))
    assert await run(service_sessions, groups.end_due) == 1
    still_open, (late,) = await fill_group(client, ground, 2)
    await close(client, ground)

    assert await run(service_sessions, winding_up.refuse_undecided) == 0
    assert [await run(service_sessions, closing.refuse_undecided) for _ in range(3)] == [1, 1, 0]
    for number, part in enumerate((*early, late)):
        assert codes(await read(client, ground, part, number)) == ("refused", ["orders.zone_closed"])
        assert await told(service_sessions, part) == [("order_refused", 1)]
    for group_id, households in ((locked, 2), (still_open, 1)):
        seen = (await client.get(f"/v1/group-orders/{group_id}", headers=ground.resident())).json()
        assert (seen["status"], seen["households"]) == ("refused", households)
    assert await told(service_sessions, still_open) == []
    assert await taken(service_sessions, ground) == (0, 0, 0)
    assert await run(service_sessions, deciding.close_slots) == 1

    whole = Grant(product_id=CABBAGE, asked=4, granted=4, code=None, parts=(give(CABBAGE, 4, number=0),))
    await deliver(service_sessions, (GroupGranted(reservation_id=locked, grants=(whole,)), 1))
    for part in early:
        assert await told(service_sessions, part) == [("order_refused", 1), ("order_refused", 2)]
        said = (await words(service_sessions, part))[1]
        assert (said["reservation_id"], [each["quantity"] for each in said["lines"]]) == (str(locked), [2])
    assert await taken(service_sessions, ground) == (0, 0, 0)


async def test_a_grant_and_the_closing_at_once_decide_a_group_once(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=2)
    group_id, parts = await fill_group(client, ground, 0, 1)
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE group_orders SET cut_off_at = now() - interval '1 s'"))
    assert await run(service_sessions, groups.end_due) == 1
    await close(client, ground)
    whole = Grant(product_id=CABBAGE, asked=4, granted=4, code=None, parts=(give(CABBAGE, 4, number=0),))
    await asyncio.gather(
        deliver(service_sessions, (GroupGranted(reservation_id=group_id, grants=(whole,)), 1)),
        run(service_sessions, closing.refuse_undecided),
    )
    # Catalog's goods are all confirmed, or all let go.
    said = [await told(service_sessions, part) for part in parts]
    is_confirmed = said[0] == [("order_confirmed", 1)]
    assert (
        said
        == [[("order_confirmed", 1)] if is_confirmed else [("order_refused", 1), ("order_refused", 2)]] * 2
    )
    assert await taken(service_sessions, ground) == ((2, 2, 4) if is_confirmed else (0, 0, 0))
    assert await run(service_sessions, closing.refuse_undecided) == 0
    assert await run(service_sessions, deciding.close_slots) == 1


async def test_a_group_that_nobody_has_joined_ends_though_its_slot_is_told(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    group_id, _ = await fill_group(client, ground)
    await close(client, ground)
    assert await run(service_sessions, deciding.close_slots) == 1
    assert await run(service_sessions, closing.refuse_undecided) == 1
    seen = (await client.get(f"/v1/group-orders/{group_id}", headers=ground.resident())).json()
    assert (seen["status"], seen["households"]) == ("refused", 0)


async def test_whoever_orders_in_a_closed_zone_is_told_that_it_is_closed(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    group_id, _ = await fill_group(client, ground)
    await close(client, ground)
    order = await try_to_place(client, ground, **CHINESE)
    assert order.json()["title"] == "该片区已关闭，不再接单"
    for answer in (order, await join(client, ground, group_id, 0), await open_group(client, ground)):
        faults = [(each["pointer"], each["code"]) for each in answer.json()["errors"]]
        assert (answer.status_code, answer.json()["code"], faults) == (
            422, "orders.zone_closed", [("/slot_id", "orders.zone_closed")],
        )  # fmt: skip
    for run_once in (deciding.close_slots, closing.refuse_undecided):
        assert await run(service_sessions, run_once) == 1
    assert (await try_to_place(client, ground)).json()["code"] == "orders.zone_closed"
    assert await taken(service_sessions, ground) == (0, 0, 0)
    assert await value(service_sessions, "SELECT count(*) FROM orders") == 0


async def test_an_order_that_waits_while_its_zone_is_closed_is_told_so(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    async with service_sessions.begin() as session:
        zone = await zones.get_zone(session, ground.zone_id, lock=True)
        now = await database.now(session)
        await activation.close_zone(session, zone, reason="lifted", next_class=None, now=now)
        waiting = asyncio.create_task(try_to_place(client, ground))
        await asyncio.wait([waiting], timeout=0.3)
        assert not waiting.done()
    answer = await waiting
    assert (answer.status_code, answer.json()["code"]) == (422, "orders.zone_closed")
    assert await taken(service_sessions, ground) == (0, 0, 0)


async def test_orders_placed_while_their_zone_closes_are_refused_at_once_or_afterwards(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions, households=12)
    answer, *placed = await asyncio.gather(
        close(client, ground), *(try_to_place(client, ground, number) for number in range(12))
    )
    assert answer.status_code == 200
    accepted = [each for each in placed if each.status_code == 202]
    others = {each.json()["code"] for each in placed if each.status_code != 202}
    assert others <= {"orders.zone_closed"}
    assert await run(service_sessions, winding_up.refuse_undecided) == len(accepted)
    assert await taken(service_sessions, ground) == (0, 0, 0)
    assert await run(service_sessions, deciding.close_slots) == 1
    assert (await words(service_sessions, ground.slot_id))[0]["confirmed"] == 0


async def test_a_zone_does_not_pass_into_its_own_class_and_nothing_is_closed(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    own = await close(client, ground, next_class="sealed")
    assert (own.status_code, own.json()["code"]) == (422, "orders.zone_class_unchanged")
    assert [each["pointer"] for each in own.json()["errors"]] == ["/next_class"]
    none = await close(client, ground, next_class="quiet")
    assert (none.status_code, none.json()["code"]) == (422, "kit.invalid")
    assert (await show(client, ground.zone_id))["status"] == "open"
    assert await told(service_sessions, ground.zone_id) == []
    assert await told(service_sessions, ground.village_id) == []
    await place(client, ground)


async def open_channels(client, sessions, town, zone, incident_id):
    for word in (
        supplied(zone["zone_id"], incident_id),
        capacity(zone, incident_id),
        duty(town, *town.all_buildings),
    ):
        await deliver(sessions, (word, 1))
    assert (await show(client, zone["zone_id"]))["status"] == "open"


async def order_in(client, town, zone):
    home = town.households[town.all_buildings[0]][0]
    head = headers("resident", household_id=home, key=str(new_id()))
    body = {"slot_id": zone["slot_ids"][0], "lines": [line()]}
    answer = await client.post("/v1/orders", json=body, headers=head)
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["order_id"])


async def test_sealed_villages_pass_into_a_controlled_zone_of_the_same_incident_while_an_order_is_carried(
    client, service_sessions
) -> None:
    town = await plant_town(client)
    areas = (*town.villages, *town.all_buildings)
    sealed = await prepare(client, town)
    incident_id = (await activate(client, town, sealed["zone_id"])).json()["incident_id"]
    await open_channels(client, service_sessions, town, sealed, incident_id)
    carried = await order_in(client, town, sealed)
    await deliver(service_sessions, (reserved(carried), 1))

    answer = await openings.close(client, town, sealed["zone_id"], next_class="controlled")
    assert answer.status_code == 200
    assert (await words(service_sessions, UUID(sealed["zone_id"])))[-1] == {
        "zone_id": sealed["zone_id"], "incident_id": incident_id, "zone_class": "controlled",
    }  # fmt: skip
    for area_id in areas:
        classes = [word["zone_class"] for word in await words(service_sessions, area_id)]
        assert classes == [None, "sealed", "controlled"]
    seen = await show(client, sealed["zone_id"])
    assert (seen["zone_class"], seen["next_class"], seen["status"]) == ("sealed", "controlled", "closed")
    again = await openings.close(client, town, sealed["zone_id"], next_class="precaution")
    assert (again.status_code, again.json()["code"]) == (409, "orders.zone_closed")

    slots = [slot_times(cut_off=timedelta(hours=6))]
    controlled = await prepare(client, town, zone_class="controlled", slots=slots)
    joined = await activate(client, town, controlled["zone_id"], incident_id=incident_id)
    assert (joined.status_code, joined.json()["incident_id"]) == (202, incident_id)
    await open_channels(client, service_sessions, town, controlled, incident_id)
    fresh = await order_in(client, town, controlled)

    assert await run(service_sessions, winding_up.refuse_undecided) == 0
    assert await run(service_sessions, deciding.close_slots) == 1
    await deliver(service_sessions, (delivered(carried), 1))
    found = "SELECT string_agg(status, ' ' ORDER BY order_id = :fresh) FROM orders"
    assert await value(service_sessions, found, fresh=fresh) == "fulfilled placed"
    assert [word["zone_class"] for word in await words(service_sessions, areas[0])][-1] == "controlled"
    assert (await show(client, controlled["zone_id"]))["open_work"] == {"undecided": 1, "undelivered": 0}
    regime = "SELECT zone_class FROM areas WHERE area_id = :village"
    assert await value(service_sessions, regime, village=town.villages[0]) == ZoneClass.CONTROLLED
