"""Orders are followed live: what changes is told, to those who may read the order and nobody else."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from services.contracts.dispatch import PortionDelivered
from services.kit.ids import new_id
from services.orders.main import create_app
from services.orders.settings import OrdersSettings
from tests.orders.bus import deliver
from tests.orders.ground import RICE, give, line, open_ground, place, refused, reserved, short, shortened
from tests.serving import headers, make_settings
from tests.streams import following, served


@pytest.fixture
async def client(orders_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application on a socket: streams are read as they come."""
    async with served(create_app(make_settings(OrdersSettings, tmp_path, orders_url))) as here:
        yield here.client


def delivered(order_id):
    return PortionDelivered(
        portion_id=new_id(), order_id=order_id, incident_id=new_id(), household_id=new_id(),
        delivered_at=datetime.now(UTC),
    )  # fmt: skip


async def test_an_order_is_followed_from_its_acceptance_to_its_door(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground, lines=[line(), line(RICE)])
    async with following(client, f"/v1/orders/{order_id}/events", ground.resident()) as stream:
        told = [await stream.next()]
        await deliver(service_sessions, (reserved(order_id, give(), give(RICE, number=2)), 1))
        told.append(await stream.next())
        for _ in range(2):
            await deliver(service_sessions, (delivered(order_id), 1))
            told.append(await stream.next())
        assert await stream.next() is None
    assert [each["event"] for each in told] == ["order"] * 4
    assert [each["id"] for each in told] == ["1.0.0", "2.0.0", "2.1.0", "3.2.0"]
    states = [(each["data"]["status"], each["data"]["portions"]) for each in told]
    assert states == [
        ("placed", {"expected": None, "delivered": 0, "lost": 0}),
        ("confirmed", {"expected": 2, "delivered": 0, "lost": 0}),
        ("confirmed", {"expected": 2, "delivered": 1, "lost": 0}),
        ("fulfilled", {"expected": 2, "delivered": 2, "lost": 0}),
    ]
    read = (await client.get(f"/v1/orders/{order_id}", headers=ground.resident())).json()
    assert told[-1]["data"] == {**read, "portions": {"expected": 2, "delivered": 2, "lost": 0}}


async def test_who_comes_back_is_told_what_came_meanwhile_and_no_more(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground)
    await deliver(service_sessions, (refused(order_id), 1))
    path = f"/v1/orders/{order_id}/events"
    async with following(client, path, ground.resident(), last="1.0.0") as stream:
        told = await stream.next()
        assert await stream.next() is None
    assert (told["id"], told["data"]["status"]) == ("2.0.0", "refused")
    (refusal,) = told["data"]["refusals"]
    assert (refusal["pointer"], refusal["code"]) == ("/lines/0", "catalog.stock_short")
    async with following(client, path, ground.resident(), last="2.0.0") as stream:
        assert stream.answer.status_code == 204


async def test_what_was_lost_at_the_split_is_told_to_who_follows_and_to_who_comes_back(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    order_id = await place(client, ground, lines=[line(), line(RICE)])
    cabbage, rice = give(), give(RICE, number=2)
    await deliver(service_sessions, (reserved(order_id, cabbage, rice), 1))
    path = f"/v1/orders/{order_id}/events"
    async with following(client, path, ground.resident()) as stream:
        assert (await stream.next())["id"] == "2.0.0"
        await deliver(service_sessions, (shortened(order_id, short(cabbage, 0), is_empty=True), 1))
        told = [await stream.next()]
        await deliver(service_sessions, (delivered(order_id), 1))
        told.append(await stream.next())
        assert await stream.next() is None
    assert [each["id"] for each in told] == ["3.0.0", "4.1.0"]
    assert [each["data"]["status"] for each in told] == ["confirmed", "fulfilled"]
    assert told[1]["data"]["portions"] == {"expected": 2, "delivered": 1, "lost": 1}
    for each in told:
        assert (each["data"]["refund_fen"], len(each["data"]["shortages"])) == (900, 1)

    await deliver(service_sessions, (shortened(order_id, short(rice, 1)), 1))
    async with following(client, path, ground.resident(), last="4.1.0") as stream:
        late = await stream.next()
        assert await stream.next() is None
    assert (late["id"], late["data"]["status"], late["data"]["refund_fen"]) == ("5.1.0", "fulfilled", 1350)


async def test_another_households_order_is_followed_like_one_that_is_not_there(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions, households=2)
    order_id = await place(client, ground)
    callers = {
        "other": (ground.resident(1), 404),
        "outlet": (headers("outlet", outlet_id=new_id()), 404),
        "far": (headers("commander", zone_ids=[new_id()]), 404),
        "commander": (headers("commander", zone_ids=[ground.zone_id]), 200),
    }
    path = f"/v1/orders/{order_id}/events"
    async with following(client, f"/v1/orders/{new_id()}/events", ground.resident(1)) as missing:
        assert missing.answer.status_code == 404
    for name, (head, status) in callers.items():
        async with following(client, path, head) as stream:
            assert stream.answer.status_code == status, name
            if status == 404:
                assert stream.answer.content == missing.answer.content


async def test_twenty_changes_of_one_batch_reach_all_who_follow(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=20)
    ids = [await place(client, ground, number) for number in range(20)]
    streams = []

    async def follow(number: int) -> None:
        if number < len(ids):
            path = f"/v1/orders/{ids[number]}/events"
            async with following(client, path, ground.resident(number)) as stream:
                assert (await stream.next())["data"]["status"] == "placed"
                streams.append(stream)
                await follow(number + 1)
            return
        await deliver(service_sessions, *((reserved(order_id), 1) for order_id in ids))
        told = [await stream.next() for stream in streams]
        assert [each["data"]["order_id"] for each in told] == [str(order_id) for order_id in ids]
        assert {each["data"]["status"] for each in told} == {"confirmed"}

    await follow(0)
