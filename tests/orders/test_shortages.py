"""What was lost at the split is told to whom it was promised, paid back, and can be ordered again."""

from datetime import UTC, datetime

import pytest

from services.contracts.catalog import HoldOverdue
from services.contracts.dispatch import PortionDelivered
from services.kit.ids import new_id
from services.orders.intake.shortages import BrokenShortage
from tests.orders.bus import deliver
from tests.orders.ground import (
    CABBAGE,
    RICE,
    give,
    line,
    open_ground,
    place,
    reserved,
    short,
    shortened,
    taken,
    told,
    value,
    words,
)
from tests.orders.grouping import decided, grant, read_part
from tests.serving import headers


def delivered(order_id, portion_id=None):
    return PortionDelivered(
        portion_id=portion_id or new_id(), order_id=order_id, incident_id=new_id(), household_id=new_id(),
        delivered_at=datetime.now(UTC),
    )  # fmt: skip


async def confirmed(client, sessions, *, outlets=1, **given):
    """An order of two cabbages, and where it has a second outlet two of rice."""
    ground = await open_ground(sessions, **given)
    wanted = [line(), line(RICE)][:outlets]
    lines = [give(), give(RICE, number=2)][:outlets]
    order_id = await place(client, ground, lines=wanted)
    await deliver(sessions, (reserved(order_id, *lines), 1))
    return ground, order_id, lines


async def test_a_part_that_lost_something_at_the_split_is_paid_back_once_and_its_quota_with_it(
    client, service_sessions
) -> None:
    ground, _, parts = await decided(
        client, service_sessions, grant(CABBAGE, 6, 6), grant(RICE, 3, 3), form="bulk", units=3
    )
    cabbage = (await read_part(client, ground, parts[0]))["given"][0]
    of_cabbage = give(CABBAGE, 2).model_copy(update={"offer_id": cabbage["offer_id"]})
    portion = shortened(parts[0], short(of_cabbage, 1))
    again = shortened(parts[0], short(of_cabbage, 1), portion_id=portion.portion_id)
    await deliver(service_sessions, (portion, 1))
    await deliver(service_sessions, (again, 2))

    assert await told(service_sessions, parts[0]) == [("order_confirmed", 1), ("order_shortened", 2)]
    assert (await words(service_sessions, parts[0]))[1] == {
        "order_id": str(parts[0]), "incident_id": str(ground.incident_id),
        "household_id": str(ground.household_ids[0]), "refund_fen": 450,
        "lines": [{"line": 1, "product_id": str(CABBAGE), "offer_id": cabbage["offer_id"], "promised": 2,
                   "given": 1}],
    }  # fmt: skip
    seen = await read_part(client, ground, parts[0])
    assert (seen["status"], seen["refund_fen"], seen["given"][0]) == ("confirmed", 450, cabbage)
    (shortage,) = seen["shortages"]
    assert shortage == {
        "line": 1, "product_id": str(CABBAGE), "offer_id": cabbage["offer_id"], "promised": 2, "given": 1,
        "portion_id": str(portion.portion_id), "refund_fen": 450, "code": "orders.lost_at_split",
        "detail": "Some was lost on the way, and at the gate the rest was shared by the published rule: "
        "promised 2, given 1, 4.50 yuan to be paid back",
    }  # fmt: skip
    assert (await read_part(client, ground, parts[1], 1))["shortages"] == []
    assert await taken(service_sessions, ground) == (3, 3, 8)
    # Three units a household: the one that did not come can be had again, and no more.
    assert await order_again(client, ground, quantity=2) == 422
    assert await order_again(client, ground, quantity=1) == 202

    of_rice = delivered(parts[0])
    await deliver(service_sessions, (delivered(parts[0], portion.portion_id), 3), (of_rice, 1))
    assert (await told(service_sessions, parts[0]))[2:] == [("order_fulfilled", 3)]


async def order_again(client, ground, *, quantity):
    head = ground.resident(key=str(new_id()))
    body = ground.body(line(quantity=quantity))
    return (await client.post("/v1/orders", json=body, headers=head)).status_code


async def test_an_order_that_is_fulfilled_already_is_told_all_the_same(client, service_sessions) -> None:
    ground, order_id, (cabbage,) = await confirmed(client, service_sessions)
    portion_id = new_id()
    await deliver(service_sessions, (delivered(order_id, portion_id), 1))
    await deliver(service_sessions, (shortened(order_id, short(cabbage, 1), portion_id=portion_id), 2))
    seen = await read_part(client, ground, order_id)
    assert (seen["status"], seen["refund_fen"]) == ("fulfilled", 450)
    assert (await told(service_sessions, order_id))[2:] == [("order_fulfilled", 3), ("order_shortened", 4)]
    assert await taken(service_sessions, ground) == (1, 1, 1)


@pytest.mark.parametrize("empty_first", [True, False])
async def test_an_empty_portion_settles_its_order_beside_one_that_came(
    client, service_sessions, empty_first
) -> None:
    ground, order_id, (cabbage, _) = await confirmed(client, service_sessions, outlets=2)
    said = [shortened(order_id, short(cabbage, 0), is_empty=True), delivered(order_id)]
    for event in said if empty_first else reversed(said):
        assert (await read_part(client, ground, order_id))["status"] == "confirmed"
        await deliver(service_sessions, (event, 1))
    seen = await read_part(client, ground, order_id)
    assert (seen["status"], seen["refund_fen"]) == ("fulfilled", 900)
    assert (await told(service_sessions, order_id))[2:] == [("order_shortened", 3), ("order_fulfilled", 4)]
    assert await taken(service_sessions, ground) == (1, 1, 2)


@pytest.mark.parametrize("doors", [0, 1, 2])
async def test_an_order_of_which_nothing_is_left_is_lost_and_its_household_may_order_anew(
    client, service_sessions, doors
) -> None:
    """Whether its split was told alone, or after the doors of some of its portions, or of all."""
    ground, order_id, (cabbage, rice) = await confirmed(client, service_sessions, outlets=2, orders=1)
    assert await order_again(client, ground, quantity=1) == 422
    empty = [shortened(order_id, short(each, 0), is_empty=True) for each in (cabbage, rice)]
    at_doors = [delivered(order_id, portion.portion_id) for portion in empty[:doors]]
    before = [("order_fulfilled", 3)] if doors == len(empty) else []
    for _ in range(2):
        await deliver(service_sessions, *((portion, 1) for portion in at_doors))
        await deliver(service_sessions, *((portion, 2) for portion in empty))

    seen = await read_part(client, ground, order_id)
    assert (seen["status"], seen["refund_fen"], len(seen["shortages"])) == ("lost", 1800, 2)
    short_after = 2 + len(before)
    said = await told(service_sessions, order_id)
    assert said[2:] == [*before, ("order_shortened", short_after + 1), ("order_shortened", short_after + 2)]
    refunds = [each["refund_fen"] for each in (await words(service_sessions, order_id))[short_after:]]
    assert refunds == [900, 900]
    counts = "SELECT concat_ws(' ', expected, delivered, lost) FROM fulfilments"
    assert await value(service_sessions, counts) == "2 0 2"
    assert await value(service_sessions, "SELECT count(*) FROM portions") == 0
    # Its place in the slot was used.
    assert await taken(service_sessions, ground) == (1, 0, 0)
    commander = headers("commander", zone_ids=[ground.zone_id])
    report = await client.get(f"/v1/incidents/{ground.incident_id}/report", headers=commander)
    counts = report.json()["orders"]
    assert (counts["confirmed"], counts["fulfilled"], counts["lost"]) == (1, 0, 1)
    assert report.json()["unreached_household_ids"] == [str(ground.household_ids[0])]
    assert (report.json()["served"], report.json()["undelivered"]) == (0, [])
    assert await order_again(client, ground, quantity=4) == 202


async def test_a_portion_found_empty_after_its_door_leaves_fulfilled_what_another_came_of(
    client, service_sessions
) -> None:
    ground, order_id, (cabbage, _) = await confirmed(client, service_sessions, outlets=2)
    doors = [delivered(order_id), delivered(order_id)]
    empty = shortened(order_id, short(cabbage, 0), is_empty=True, portion_id=doors[0].portion_id)
    for _ in range(2):
        await deliver(service_sessions, *((door, 1) for door in doors), (empty, 2))
    seen = await read_part(client, ground, order_id)
    assert (seen["status"], seen["refund_fen"]) == ("fulfilled", 900)
    assert (await told(service_sessions, order_id))[2:] == [("order_fulfilled", 3), ("order_shortened", 4)]
    counts = "SELECT concat_ws(' ', expected, delivered, lost) FROM fulfilments"
    assert await value(service_sessions, counts) == "2 1 1"
    assert await taken(service_sessions, ground) == (1, 1, 2)


async def test_what_is_lost_stays_lost(client, service_sessions) -> None:
    ground, lost, (cabbage,) = await confirmed(client, service_sessions)
    nothing = shortened(lost, short(cabbage, 0), is_empty=True)
    await deliver(service_sessions, (nothing, 1))
    await deliver(service_sessions, (delivered(lost), 1), (HoldOverdue(reservation_id=lost), 1))
    seen = await read_part(client, ground, lost)
    late = await client.post(f"/v1/orders/{lost}/cancellation", headers=ground.resident(key="c"))
    assert (seen["status"], late.json()["code"]) == ("lost", "orders.not_cancellable")
    assert (await told(service_sessions, lost))[2:] == [("order_shortened", 3), ("order_confirmed", 4)]
    assert await taken(service_sessions, ground) == (1, 0, 0)


async def test_a_portion_of_nobodys_order_or_of_one_without_goods_is_recorded_and_changes_nothing(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    said = [shortened(each, short(give(), 0), is_empty=True) for each in (order_id, new_id())]
    await deliver(service_sessions, *((event, 1) for event in said))
    assert await value(service_sessions, "SELECT count(*) FROM short_portions") == 2
    seen = await read_part(client, ground, order_id)
    assert (seen["status"], seen["shortages"]) == ("placed", [])
    assert len(await told(service_sessions, order_id)) == 1
    assert await taken(service_sessions, ground) == (1, 1, 2)


async def test_a_shortage_of_what_was_never_given_is_not_swallowed(client, service_sessions) -> None:
    ground, order_id, _ = await confirmed(client, service_sessions)
    with pytest.raises(BrokenShortage):
        await deliver(service_sessions, (shortened(order_id, short(give(), 0)), 1))
    assert await value(service_sessions, "SELECT count(*) FROM short_portions") == 0
    assert await taken(service_sessions, ground) == (1, 1, 2)


async def test_a_resident_reads_in_chinese_what_was_lost(client, service_sessions) -> None:
    ground, order_id, (cabbage,) = await confirmed(client, service_sessions)
    await deliver(service_sessions, (shortened(order_id, short(cabbage, 1)), 1))
    head = {**ground.resident(), "accept-language": "zh-CN"}
    (shortage,) = (await client.get(f"/v1/orders/{order_id}", headers=head)).json()["shortages"]
    assert shortage["detail"] == (
        "该商品途中有损耗，卡口分拣时已按公示规则分配：应得 2，实得 1，应退 4.50 元"
    )
