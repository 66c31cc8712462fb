import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from services.contracts.catalog import HoldOverdue
from services.contracts.dispatch import PortionDelivered
from services.kit import database
from services.kit.ids import new_id
from services.orders.intake import deciding
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


async def run(sessions, timer, **given):
    async with sessions.begin() as session:
        return await timer(session, await database.now(session), **given)


async def read(client, ground, order_id, number=0):
    return (await client.get(f"/v1/orders/{order_id}", headers=ground.resident(number))).json()


async def cancel(client, ground, order_id, *, key="c", number=0):
    head = ground.resident(number, key=key)
    return await client.post(f"/v1/orders/{order_id}/cancellation", headers=head)


async def let_time_pass(sessions, column, *, seconds=60, table="orders"):
    async with sessions.begin() as session:
        moment = datetime.now(UTC) - timedelta(seconds=seconds)
        await session.execute(text(f"UPDATE {table} SET {column} = :moment"), {"moment": moment})


async def pass_the_cut_off(sessions):
    """As if the slots had been for an hour ago."""
    async with sessions.begin() as session:
        hours = timedelta(hours=2)
        await session.execute(
            text("UPDATE slots SET cut_off_at = cut_off_at - CAST(:by AS interval)"), {"by": hours}
        )


async def empty_outbox(sessions):
    async with sessions.begin() as session:
        await session.execute(text("DELETE FROM outbox_pending"))


async def until_placed(sessions, orders):
    while await value(sessions, "SELECT count(*) FROM orders") < orders:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def delivered(order_id, portion_id=None):
    return PortionDelivered(
        portion_id=portion_id or new_id(), order_id=order_id, incident_id=new_id(), household_id=new_id(),
        delivered_at=datetime.now(UTC),
    )  # fmt: skip


async def test_held_stock_confirms_an_order_with_what_is_given(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    given = give()
    await deliver(service_sessions, (reserved(order_id, given), 1))
    seen = await read(client, ground, order_id)
    assert seen["status"] == "confirmed"
    assert seen["given"] == [given.model_dump(mode="json")]
    assert await told(service_sessions, order_id) == [("order_placed", 1), ("order_confirmed", 2)]
    said = (await words(service_sessions, order_id))[1]
    assert said["lines"] == [given.model_dump(mode="json")]
    assert (said["group_id"], said["form"], said["slot_id"]) == (None, "bagged", str(ground.slot_id))
    assert await taken(service_sessions, ground) == (1, 1, 2)
    assert await value(service_sessions, "SELECT expected FROM fulfilments") == 1


async def test_refused_stock_names_the_line_and_gives_quota_and_slot_back(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    await deliver(service_sessions, (refused(order_id), 1))
    seen = await read(client, ground, order_id)
    assert seen["status"] == "refused"
    assert seen["refusals"] == [
        {
            "pointer": "/lines/0",
            "code": "catalog.stock_short",
            "params": {"line": 1, "product_id": str(CABBAGE), "asked": 2, "available": 1},
            "detail": "The request is refused",
        }
    ]
    assert await taken(service_sessions, ground) == (0, 0, 0)
    assert await told(service_sessions, order_id) == [("order_placed", 1), ("order_refused", 2)]
    assert (await words(service_sessions, order_id))[1]["reservation_id"] == str(order_id)


async def test_a_batch_of_answers_is_one_transaction_and_a_second_delivery_changes_nothing(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions, households=6)
    ids = [await place(client, ground, number) for number in range(6)]
    answers = [(reserved(order_id), 1) for order_id in ids[:4]] + [
        (refused(order_id), 1) for order_id in ids[4:]
    ]
    await deliver(service_sessions, *answers)
    assert await taken(service_sessions, ground) == (4, 4, 8)
    await deliver(service_sessions, *answers[4:])
    assert await taken(service_sessions, ground) == (4, 4, 8)
    assert [len(await told(service_sessions, order_id)) for order_id in ids] == [2] * 6


async def test_an_answer_about_an_order_that_nobody_placed_is_not_swallowed(service_sessions) -> None:
    with pytest.raises(deciding.UnknownOrder):
        await deliver(service_sessions, (reserved(new_id()), 1))


async def test_an_order_without_an_answer_is_refused_in_time_and_all_is_given_back(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    assert await run(service_sessions, deciding.refuse_overdue) == 0
    await let_time_pass(service_sessions, "decide_by")
    assert await run(service_sessions, deciding.refuse_overdue) == 1
    seen = await read(client, ground, order_id)
    assert (seen["status"], seen["delayed"]) == ("refused", False)
    assert [refusal["code"] for refusal in seen["refusals"]] == ["orders.decision_overdue"]
    assert await taken(service_sessions, ground) == (0, 0, 0)
    assert await told(service_sessions, order_id) == [("order_placed", 1), ("order_refused", 2)]
    assert await run(service_sessions, deciding.refuse_overdue) == 0


async def test_while_our_own_words_cannot_leave_the_decision_is_put_off_and_the_order_shows_it(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    await let_time_pass(service_sessions, "decide_by")
    await let_time_pass(service_sessions, "recorded_at", seconds=11, table="outbox_event")
    assert await run(service_sessions, deciding.refuse_overdue) == 1
    seen = await read(client, ground, order_id)
    assert (seen["status"], seen["delayed"]) == ("placed", True)
    assert await run(service_sessions, deciding.refuse_overdue) == 0
    await empty_outbox(service_sessions)
    await let_time_pass(service_sessions, "decide_by")
    assert await run(service_sessions, deciding.refuse_overdue) == 1
    seen = await read(client, ground, order_id)
    assert (seen["status"], seen["delayed"]) == ("refused", False)


async def test_who_is_not_due_yet_while_the_bus_is_away_has_half_a_minute_left_when_it_is_back(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    left = "SELECT extract(epoch FROM decide_by - now()) > 30 FROM orders"
    assert await value(service_sessions, left) is False
    await let_time_pass(service_sessions, "recorded_at", seconds=11, table="outbox_event")
    assert await run(service_sessions, deciding.refuse_overdue) == 1
    assert (await read(client, ground, order_id))["delayed"] is True
    assert await value(service_sessions, left) is True
    assert await run(service_sessions, deciding.refuse_overdue) == 0


@pytest.mark.parametrize("answer", [reserved, refused])
async def test_an_answer_after_the_clock_changes_nothing(client, service_sessions, answer) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    await let_time_pass(service_sessions, "decide_by")
    await run(service_sessions, deciding.refuse_overdue)
    before = await read(client, ground, order_id)
    await deliver(service_sessions, (answer(order_id), 1))
    assert await read(client, ground, order_id) == before
    assert await taken(service_sessions, ground) == (0, 0, 0)
    assert await told(service_sessions, order_id) == [("order_placed", 1), ("order_refused", 2)]


async def test_the_clock_after_an_answer_changes_nothing(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    await deliver(service_sessions, (reserved(order_id), 1))
    assert await value(service_sessions, "SELECT count(*) FROM orders WHERE decide_by IS NOT NULL") == 0
    assert await run(service_sessions, deciding.refuse_overdue) == 0
    assert (await read(client, ground, order_id))["status"] == "confirmed"


async def test_answer_and_clock_at_once_decide_once(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=8)
    ids = [await place(client, ground, number) for number in range(8)]
    await let_time_pass(service_sessions, "decide_by")
    await asyncio.gather(
        deliver(service_sessions, *((reserved(order_id), 1) for order_id in ids)),
        run(service_sessions, deciding.refuse_overdue),
    )
    confirmed = await value(service_sessions, "SELECT count(*) FROM orders WHERE status = 'confirmed'")
    assert await taken(service_sessions, ground) == (confirmed, confirmed, 2 * confirmed)
    assert [len(await told(service_sessions, order_id)) for order_id in ids] == [2] * 8


async def test_an_order_taken_back_frees_quota_and_slot_and_tells_catalog(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    await deliver(service_sessions, (reserved(order_id), 1))
    answer = await cancel(client, ground, order_id)
    assert answer.status_code == 200
    assert answer.json() == {"order_id": str(order_id), "status": "cancelled"}
    assert await taken(service_sessions, ground) == (0, 0, 0)
    assert (await told(service_sessions, order_id))[-1] == ("order_cancelled", 3)
    said = (await words(service_sessions, order_id))[-1]
    assert (said["reservation_id"], said["lines"]) == (str(order_id), [])
    again = await cancel(client, ground, order_id)
    assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")
    other = await cancel(client, ground, order_id, key="d")
    assert (other.status_code, other.json()["code"]) == (409, "orders.not_cancellable")
    assert len(await told(service_sessions, order_id)) == 3


@pytest.mark.parametrize("answer", [reserved, refused])
async def test_an_answer_after_the_cancellation_changes_nothing(client, service_sessions, answer) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    await cancel(client, ground, order_id)
    await deliver(service_sessions, (answer(order_id), 1))
    assert (await read(client, ground, order_id))["status"] == "cancelled"
    assert await taken(service_sessions, ground) == (0, 0, 0)
    assert await told(service_sessions, order_id) == [("order_placed", 1), ("order_cancelled", 2)]


async def test_cancellation_and_answer_at_once_leave_nothing_taken(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=6)
    ids = [await place(client, ground, number) for number in range(6)]
    answers = await asyncio.gather(
        deliver(service_sessions, *((reserved(order_id), 1) for order_id in ids)),
        *(cancel(client, ground, order_id, number=number) for number, order_id in enumerate(ids)),
    )
    assert [answer.status_code for answer in answers[1:]] == [200] * 6
    assert await taken(service_sessions, ground) == (0, 0, 0)
    for order_id in ids:
        said = await told(service_sessions, order_id)
        assert said[-1][0] == "order_cancelled"
        assert [sequence for _, sequence in said] == list(range(1, len(said) + 1))


async def test_from_the_cut_off_on_nothing_is_taken_back(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    await pass_the_cut_off(service_sessions)
    answer = await cancel(client, ground, order_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "orders.too_late_to_cancel")
    assert await taken(service_sessions, ground) == (1, 1, 2)
    assert len(await told(service_sessions, order_id)) == 1


async def test_an_order_of_a_slot_that_was_counted_is_not_taken_back_by_a_transaction_begun_before(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    await deliver(service_sessions, (reserved(order_id), 1))
    async with service_sessions.begin() as session:
        # The clock of the slot, as one transaction sees it whose beginning lies before the cut-off.
        await session.execute(text("UPDATE slots SET told_at = now(), status = 'closed'"))
    answer = await cancel(client, ground, order_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "orders.too_late_to_cancel")
    assert (await read(client, ground, order_id))["status"] == "confirmed"
    assert await taken(service_sessions, ground) == (1, 1, 2)


async def test_a_stranger_can_take_nothing_back(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=2)
    order_id = await place(client, ground)
    hidden = await cancel(client, ground, order_id, number=1)
    missing = await cancel(client, ground, new_id(), number=1)
    assert (hidden.status_code, hidden.content) == (404, missing.content)
    assert await taken(service_sessions, ground) == (1, 1, 2)


async def test_an_order_is_fulfilled_by_its_last_portion_whatever_comes_twice(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground, lines=[line(), line(RICE)])
    await deliver(service_sessions, (reserved(order_id, give(), give(RICE, number=2)), 1))
    first, second = delivered(order_id), delivered(order_id)
    await deliver(service_sessions, (first, 1))
    await deliver(service_sessions, (first, 2))
    assert (await read(client, ground, order_id))["status"] == "confirmed"
    await deliver(service_sessions, (second, 1), (delivered(order_id), 1))
    assert (await read(client, ground, order_id))["status"] == "fulfilled"
    await deliver(service_sessions, (second, 2), (delivered(order_id), 1))
    assert (await told(service_sessions, order_id))[2:] == [("order_fulfilled", 3)]
    assert await value(service_sessions, "SELECT count(*) FROM portions") == 4
    assert await value(service_sessions, "SELECT delivered FROM fulfilments") == 4
    assert await taken(service_sessions, ground) == (1, 1, 2 * 2)


async def test_two_lines_of_one_outlet_are_one_portion(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground, lines=[line(), line(RICE)])
    outlet_id = new_id()
    lines = give(outlet_id=outlet_id), give(RICE, outlet_id=outlet_id, number=2)
    await deliver(service_sessions, (reserved(order_id, *lines), 1))
    await deliver(service_sessions, (delivered(order_id), 1))
    assert (await read(client, ground, order_id))["status"] == "fulfilled"


async def test_a_portion_of_an_order_that_was_taken_back_or_of_none_is_recorded_and_changes_nothing(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    await deliver(service_sessions, (reserved(order_id), 1))
    await cancel(client, ground, order_id)
    await deliver(service_sessions, (delivered(order_id), 1), (delivered(new_id()), 1))
    assert (await read(client, ground, order_id))["status"] == "cancelled"
    assert await value(service_sessions, "SELECT count(*) FROM portions") == 2
    assert len(await told(service_sessions, order_id)) == 3


async def test_an_overdue_hold_is_told_again_what_was_decided(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=5)
    ids = [await place(client, ground, number) for number in range(5)]
    _placed, confirmed, rejected, cancelled, fulfilled = ids
    await deliver(
        service_sessions, (reserved(confirmed), 1), (refused(rejected), 1), (reserved(fulfilled), 1)
    )
    await cancel(client, ground, cancelled, number=3)
    await deliver(service_sessions, (delivered(fulfilled), 1))
    await deliver(service_sessions, *((HoldOverdue(reservation_id=order_id), 2) for order_id in ids))
    last = [(await told(service_sessions, order_id))[-1] for order_id in ids]
    assert last == [
        ("order_placed", 1),
        ("order_confirmed", 3),
        ("order_refused", 3),
        ("order_cancelled", 3),
        ("order_confirmed", 4),
    ]
    said = await words(service_sessions, confirmed)
    assert said[1] == said[2]
    assert (await read(client, ground, fulfilled, 4))["status"] == "fulfilled"


async def test_a_slot_is_closed_once_every_order_is_decided_and_tells_how_many_are_confirmed(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions, households=5)
    ids = [await place(client, ground, number) for number in range(5)]
    await deliver(
        service_sessions,
        (reserved(ids[0]), 1),
        (reserved(ids[1]), 1),
        (reserved(ids[2]), 1),
        (refused(ids[3]), 1),
    )
    await cancel(client, ground, ids[0])
    await deliver(service_sessions, (delivered(ids[1]), 1))
    assert await run(service_sessions, deciding.close_slots) == 0
    await pass_the_cut_off(service_sessions)
    assert await run(service_sessions, deciding.close_slots) == 0
    assert await told(service_sessions, ground.slot_id) == []
    await deliver(service_sessions, (reserved(ids[4]), 1))
    assert await run(service_sessions, deciding.close_slots) == 1
    assert await told(service_sessions, ground.slot_id) == [("slot_closed", 1)]
    assert await words(service_sessions, ground.slot_id) == [
        {
            "slot_id": str(ground.slot_id), "zone_id": str(ground.zone_id),
            "incident_id": str(ground.incident_id), "confirmed": 3,
        }
    ]  # fmt: skip
    assert await value(service_sessions, "SELECT status FROM slots") == "closed"
    assert await run(service_sessions, deciding.close_slots) == 0


async def test_a_slot_without_orders_closes_with_none(service_sessions) -> None:
    ground = await open_ground(service_sessions, cut_off=timedelta(seconds=-1))
    assert await run(service_sessions, deciding.close_slots) == 1
    assert (await words(service_sessions, ground.slot_id))[0]["confirmed"] == 0


async def test_who_prefers_to_wait_gets_the_decided_order(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    head = {**ground.resident(key="w"), "prefer": "wait=2"}

    async def decide():
        await until_placed(service_sessions, 1)
        order_id = await value(service_sessions, "SELECT order_id FROM orders")
        await deliver(service_sessions, (reserved(order_id), 1))

    answer, _ = await asyncio.gather(client.post("/v1/orders", json=ground.body(), headers=head), decide())
    assert answer.status_code == 200
    assert answer.json()["status"] == "confirmed"
    assert answer.headers["preference-applied"] == "wait=2"
    again = await client.post("/v1/orders", json=ground.body(), headers=head)
    assert (again.status_code, again.json()) == (200, answer.json())
    assert again.headers["idempotency-replayed"] == "true"


async def test_who_waited_in_vain_gets_the_acceptance(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    head = {**ground.resident(key="w"), "prefer": "wait=0"}
    answer = await client.post("/v1/orders", json=ground.body(), headers=head)
    assert answer.status_code == 202
    assert answer.json()["status"] == "placed"


async def test_one_question_serves_all_who_wait(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=20)

    async def decide():
        await until_placed(service_sessions, 20)
        async with service_sessions() as session:
            ids = list((await session.execute(text("SELECT order_id FROM orders"))).scalars())
        await deliver(service_sessions, *((reserved(order_id), 1) for order_id in ids))

    heads = [{**ground.resident(number, key="w"), "prefer": "wait=2"} for number in range(20)]
    answers = await asyncio.gather(
        *(client.post("/v1/orders", json=ground.body(), headers=head) for head in heads), decide()
    )
    assert {answer.json()["status"] for answer in answers[:-1]} == {"confirmed"}


async def test_a_cancellation_says_nothing_and_takes_nothing_but_the_whole_order(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    path = f"/v1/orders/{order_id}/cancellation"
    partly = await client.post(path, json={"lines": [1]}, headers=ground.resident(key="a"))
    assert (partly.status_code, partly.json()["code"]) == (422, "kit.invalid")
    assert await taken(service_sessions, ground) == (1, 1, 2)
    whole = await client.post(path, json={}, headers=ground.resident(key="b"))
    assert (whole.status_code, whole.json()["status"]) == (200, "cancelled")
