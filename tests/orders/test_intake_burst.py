"""A burst of orders, some of them sent twice: what was accepted stands once in each of its places."""

import asyncio
from collections import Counter

from sqlalchemy import text

from services.kit.ids import new_id
from tests.orders.ground import open_ground, taken

PLACES = text("""
    SELECT 'stored' AS place, order_id FROM orders
    UNION ALL SELECT 'told', CAST(key AS uuid) FROM outbox_event WHERE type = 'orders.order_placed.v1'
    UNION ALL SELECT 'kept', CAST(convert_from(body, 'UTF8')::json ->> 'order_id' AS uuid) FROM idempotency
""")


async def test_nothing_of_a_burst_is_lost_or_doubled(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=50)
    heads = [ground.resident(number, key=str(new_id())) for number in range(50)]
    sent = [*heads, *heads[::5]]
    answers = await asyncio.gather(
        *(client.post("/v1/orders", json=ground.body(), headers=head) for head in sent)
    )
    # A twin that met its own request at work is told so, and asks again.
    accepted = [answer.json()["order_id"] for answer in answers if answer.status_code == 202]
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len(set(accepted)) == 50
    async with service_sessions() as session:
        found = Counter((place, str(order_id)) for place, order_id in await session.execute(PLACES))
    assert found == {(place, order_id): 1 for place in ("stored", "told", "kept") for order_id in accepted}
    assert await taken(service_sessions, ground) == (50, 50, 100)
