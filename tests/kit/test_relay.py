from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from services.kit import correlation, outbox, relay
from services.kit.bus.records import Record, read_record
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.builders import LampLit, make_lamp_lit


@pytest.fixture
async def connect(sessions: Sessions) -> AsyncIterator[object]:
    address = sessions.kw["bind"].url.set(drivername="postgresql").render_as_string(hide_password=False)
    opened: list[asyncpg.Connection] = []

    async def connect_once() -> asyncpg.Connection:
        opened.append(await asyncpg.connect(address))
        return opened[-1]

    yield connect_once
    for connection in opened:
        await connection.close()


class Wire:
    """A bus that keeps what it acknowledged, and fails when told to."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.fails_after: int | None = None

    async def send(self, records: Sequence[Record]) -> None:
        self.records.extend(records[: self.fails_after])
        if self.fails_after is not None:
            raise ConnectionError("the broker is away")


async def write(sessions: Sessions, events: Sequence[tuple[LampLit, int]]) -> None:
    async with sessions.begin() as session:
        with correlation.bind_request("c-1"):
            await outbox.add_all(session, events)


async def test_what_was_acknowledged_is_pending_no_more(sessions, connect) -> None:
    lamp = make_lamp_lit(words="灯")
    await write(sessions, [(lamp, 1)])
    wire, connection, shard = Wire(), await connect(), outbox.partition_of(lamp.key)

    assert await relay.send_pending(connection, [shard], wire.send) == 1
    assert await relay.send_pending(connection, [shard], wire.send) == 0

    received = read_record(wire.records[0])
    assert received.as_arrived(LampLit).event == lamp
    assert (received.topic, received.key, received.name) == ("lamps", lamp.key, "lamps.lamp_lit.v1")
    assert (received.sequence, received.correlation_id) == (1, "c-1")


async def test_a_batch_that_was_half_sent_is_sent_again_whole(sessions, connect) -> None:
    lamp_id = new_id()
    await write(sessions, [(make_lamp_lit(lamp_id=lamp_id), sequence) for sequence in range(1, 11)])
    wire, connection, shard = Wire(), await connect(), outbox.partition_of(str(lamp_id))

    wire.fails_after = 4
    with pytest.raises(ConnectionError):
        await relay.send_pending(connection, [shard], wire.send)
    assert await connection.fetchval("SELECT count(*) FROM outbox_pending") == 10

    wire.fails_after = None
    assert await relay.send_pending(connection, [shard], wire.send) == 10
    sequences = [read_record(record).sequence for record in wire.records]
    assert sequences == [1, 2, 3, 4, *range(1, 11)]


async def test_a_shard_has_one_owner_until_its_connection_ends(connect) -> None:
    first, second = await connect(), await connect()
    assert await relay.own_shard(first, 3)
    assert not await relay.own_shard(second, 3)
    assert await relay.own_shard(second, 4)

    await first.close()
    assert await relay.own_shard(second, 3)


async def test_a_shard_is_sent_in_order_in_bounded_batches(sessions, connect) -> None:
    lamp_id = new_id()
    await write(sessions, [(make_lamp_lit(lamp_id=lamp_id), sequence) for sequence in range(1, 26)])
    wire, connection, shard = Wire(), await connect(), outbox.partition_of(str(lamp_id))

    sent = [await relay.send_pending(connection, [shard], wire.send, limit=10) for _ in range(4)]

    assert sent == [10, 10, 5, 0]
    assert [read_record(record).sequence for record in wire.records] == list(range(1, 26))
