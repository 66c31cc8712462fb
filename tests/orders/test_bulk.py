"""A group in bulk: its parts say so, its decision is told with the rule, and nobody leaves it any more."""

import pytest
from sqlalchemy import text

from services.contracts import sharing
from services.contracts.catalog import HoldOverdue, StockRefused
from services.contracts.values import LineFailure
from services.orders.groups import application, closing
from services.orders.intake import deciding, life, winding_up
from tests.orders.bus import deliver
from tests.orders.ground import CABBAGE, RICE, line, open_ground, told, value, words
from tests.orders.grouping import (
    decided,
    filled,
    grant,
    granted,
    group_body,
    leader,
    lock,
    read,
    read_part,
    run,
)


async def test_a_bulk_group_granted_short_tells_its_decision_and_each_part_its_form(
    client, service_sessions
) -> None:
    lines = (line(CABBAGE, 1),)
    ground, group_id, parts = await decided(
        client, service_sessions, grant(CABBAGE, 3, 2), lines=lines, form="bulk"
    )
    seen = await read(client, ground, group_id)
    assert (seen["status"], seen["form"]) == ("decided", "bulk")
    assert await told(service_sessions, group_id) == [("group_locked", 1), ("group_decided", 2)]
    decision = {
        "group_id": str(group_id), "zone_id": str(ground.zone_id), "slot_id": str(ground.slot_id),
        "community_id": str(ground.village_id), "incident_id": str(ground.incident_id),
        "form": "bulk", "confirmed": 2, "rule": sharing.RULE, "seed": seen["seed"],
    }  # fmt: skip
    assert (await words(service_sessions, group_id))[1] == decision
    said = [(await words(service_sessions, order_id))[0] for order_id in parts]
    assert sorted(each.get("form", "refused") for each in said) == ["bulk", "bulk", "refused"]

    await deliver(service_sessions, (HoldOverdue(reservation_id=group_id), 2))
    assert (await told(service_sessions, group_id))[2:] == [("group_decided", 3)]
    assert (await words(service_sessions, group_id))[2] == decision
    said = [await words(service_sessions, order_id) for order_id in parts]
    assert sorted(len(each) for each in said) == [1, 2, 2]
    assert all(first == again for first, again in (each for each in said if len(each) == 2))


async def test_a_group_says_nothing_of_its_form_and_comes_in_bags(client, service_sessions) -> None:
    ground, group_id, parts = await decided(client, service_sessions)
    assert (await read(client, ground, group_id))["form"] == "bagged"
    decision = (await words(service_sessions, group_id))[1]
    assert (decision["form"], decision["confirmed"]) == ("bagged", 3)
    assert {(await words(service_sessions, order_id))[0]["form"] for order_id in parts} == {"bagged"}


async def test_a_form_that_is_none_opens_no_group(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    body = group_body(ground, form="loose")
    answer = await client.post("/v1/group-orders", json=body, headers=leader(ground, key="k"))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/form")
    assert await value(service_sessions, "SELECT count(*) FROM group_orders") == 0


async def test_a_group_that_was_refused_decides_nothing_however_late_its_grant(
    client, service_sessions
) -> None:
    _, group_id, _ = await filled(client, service_sessions, form="bulk")
    await lock(service_sessions)
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE group_orders SET decide_by = now() - interval '1 s'"))
    assert await run(service_sessions, application.refuse_overdue) == 1
    await deliver(service_sessions, (granted(group_id, grant(CABBAGE, 6, 6), grant(RICE, 3, 3)), 1))
    await deliver(service_sessions, (HoldOverdue(reservation_id=group_id), 2))
    assert await told(service_sessions, group_id) == [("group_locked", 1)]


async def test_no_way_leads_out_of_a_decided_group(client, service_sessions) -> None:
    ground, group_id, parts = await decided(client, service_sessions, form="bulk")
    before = [await read_part(client, ground, order_id, number) for number, order_id in enumerate(parts)]
    async with service_sessions.begin() as session:
        # As a transaction sees the clocks that began long before, and one that runs long after.
        await session.execute(text("UPDATE group_orders SET cut_off_at = now() + interval '1 hour'"))
        await session.execute(text("UPDATE zones SET status = 'closed', closed_at = now()"))
        await session.execute(text("UPDATE slots SET status = 'closed'"))

    late = await client.post(f"/v1/orders/{parts[0]}/cancellation", headers=ground.resident(key="c"))
    assert (late.status_code, late.json()["code"]) == (409, "orders.too_late_to_cancel")
    for timer in (
        application.end_due, application.refuse_overdue, deciding.refuse_overdue, closing.refuse_undecided,
        winding_up.refuse_undecided,
    ):  # fmt: skip
        assert await run(service_sessions, timer) == 0
    await deliver(service_sessions, (granted(group_id, grant(CABBAGE, 6, 1)), 2))
    short = LineFailure(line=1, product_id=CABBAGE, code="catalog.stock_short", asked=2, available=0)
    with pytest.raises(life.OutOfTurn):
        await deliver(service_sessions, (StockRefused(reservation_id=parts[0], failures=(short,)), 1))

    after = [await read_part(client, ground, order_id, number) for number, order_id in enumerate(parts)]
    assert after == before
    assert [await told(service_sessions, order_id) for order_id in parts] == [[("order_confirmed", 1)]] * 3
    assert len(await told(service_sessions, group_id)) == 2
