"""One row that is held by another does not close the door to all the others."""

import asyncio

from sqlalchemy import text

from services.kit.ids import new_id
from tests.orders.ground import open_ground, taken, value

HOLD_SLOT = text("SELECT FROM slots WHERE slot_id = :slot FOR UPDATE")


async def order(client, ground, number, slot_id):
    body = ground.body(slot_id=str(slot_id))
    return await client.post("/v1/orders", json=body, headers=ground.resident(number, key=str(new_id())))


async def test_while_one_slot_is_held_the_orders_of_another_are_answered_in_time(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions, households=60, slots=2)
    held, free = ground.slot_ids
    loop = asyncio.get_running_loop()
    async with service_sessions() as other:
        await other.execute(HOLD_SLOT, {"slot": held})
        began = loop.time()
        stuck = [asyncio.create_task(order(client, ground, number, held)) for number in range(30)]
        await asyncio.sleep(0.3)
        later = await asyncio.gather(*(order(client, ground, number, free) for number in range(30, 60)))
        answered = loop.time() - began
        refused = await asyncio.gather(*stuck)
        assert loop.time() - began < 3
        await other.rollback()
    assert [answer.status_code for answer in later] == [202] * 30
    assert answered < 2.5
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (503, "kit.unavailable")
        assert answer.headers["retry-after"] == "1"
    began = loop.time()
    again = await asyncio.gather(*(order(client, ground, number, held) for number in range(30)))
    assert loop.time() - began < 1
    assert [answer.status_code for answer in again] == [202] * 30
    assert await taken(service_sessions, ground) == (30, 60, 120)
    assert await value(service_sessions, "SELECT count(*) FROM orders") == 60
