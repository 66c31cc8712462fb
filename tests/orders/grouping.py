"""Groups as tests need them: opened, filled, locked, granted."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from services.contracts.catalog import GroupGranted
from services.contracts.values import Grant
from services.kit import database
from services.kit.ids import new_id
from services.orders.groups import application
from tests.orders.bus import deliver
from tests.orders.ground import CABBAGE, RICE, give, line, open_ground
from tests.serving import headers

LEADER = new_id()


def leader(ground, **given):
    return headers("leader", subject=given.pop("subject", LEADER), zone_ids=[ground.village_id], **given)


def group_body(ground, **given):
    body = {
        "community_id": str(ground.village_id),
        "slot_id": str(ground.slot_id),
        "minimum": 2,
        "cut_off_at": moment(minutes=30),
        "below_minimum": "cancel",
    }
    return {**body, **given}


def moment(**ahead):
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


async def open_group(client, ground, **given):
    answer = await client.post(
        "/v1/group-orders", json=group_body(ground, **given), headers=leader(ground, key=str(new_id()))
    )
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["group_id"])


async def join(client, ground, group_id, number, *lines, key=None):
    return await client.post(
        f"/v1/group-orders/{group_id}/parts",
        json={"lines": list(lines or (line(),))},
        headers=ground.resident(number, key=key or str(new_id())),
    )


async def read(client, ground, group_id):
    return (await client.get(f"/v1/group-orders/{group_id}", headers=ground.resident())).json()


async def read_part(client, ground, order_id, number=0):
    return (await client.get(f"/v1/orders/{order_id}", headers=ground.resident(number))).json()


async def run(sessions, timer):
    async with sessions.begin() as session:
        return await timer(session, await database.now(session))


async def pass_the_cut_off(sessions, column="cut_off_at"):
    async with sessions.begin() as session:
        await session.execute(
            text(f"UPDATE group_orders SET {column} = now() - interval '1 s' WHERE {column} IS NOT NULL")
        )


async def lock(sessions):
    await pass_the_cut_off(sessions)
    assert await run(sessions, application.end_due) == 1


def granted(group_id, *grants):
    return GroupGranted(reservation_id=group_id, grants=grants)


def grant(product_id, asked, *parts):
    lines = tuple(give(product_id, quantity, number=0) for quantity in parts)
    code = None if sum(parts) == asked else "catalog.stock_short"
    return Grant(product_id=product_id, asked=asked, granted=sum(parts), code=code, parts=lines)


THREE_UNITS = (line(CABBAGE, 2), line(RICE, 1))


async def filled(client, sessions, households=3, *, lines=THREE_UNITS, units=50, **given):
    ground = await open_ground(sessions, households=households, units=units)
    group_id = await open_group(client, ground, **given)
    parts = [
        UUID((await join(client, ground, group_id, number, *lines)).json()["order_id"])
        for number in range(households)
    ]
    return ground, group_id, parts


async def decided(client, sessions, *grants, **given):
    """Three households' group of two cabbages and a rice each, with what is granted, or with all."""
    ground, group_id, parts = await filled(client, sessions, **given)
    await lock(sessions)
    await deliver(sessions, (granted(group_id, *(grants or (grant(CABBAGE, 6, 6), grant(RICE, 3, 3)))), 1))
    return ground, group_id, parts
