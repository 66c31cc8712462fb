import asyncio
import random

import pytest
from aiokafka.partitioner import DefaultPartitioner
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.kit import outbox
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.builders import make_lamp_lit


async def count(sessions: Sessions, table: str) -> int:
    async with sessions() as session:
        return int((await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def test_an_event_leaves_only_with_the_commit_of_its_change(sessions: Sessions) -> None:
    async with sessions() as session:
        await outbox.add(session, make_lamp_lit(), sequence=1)
        await session.rollback()
    assert await count(sessions, "outbox_event") == 0
    assert await count(sessions, "outbox_pending") == 0

    async with sessions.begin() as session:
        await outbox.add(session, make_lamp_lit(), sequence=1)
    assert await count(sessions, "outbox_event") == 1
    assert await count(sessions, "outbox_pending") == 1


async def test_a_batch_leaves_in_the_order_it_was_given(sessions: Sessions) -> None:
    events = [make_lamp_lit(words=str(place)) for place in range(500)]
    async with sessions.begin() as session:
        await outbox.add_all(session, [(event, 1) for event in events])
    async with sessions() as session:
        rows = await session.execute(text("SELECT payload ->> 'words' FROM outbox_event ORDER BY id"))
    assert rows.scalars().all() == [str(place) for place in range(500)]


async def test_each_event_waits_in_the_partition_kafkas_client_would_choose(sessions: Sessions) -> None:
    events = [make_lamp_lit() for _ in range(200)]
    async with sessions.begin() as session:
        await outbox.add_all(session, [(event, 1) for event in events])
    async with sessions() as session:
        rows = await session.execute(
            text("SELECT e.key, p.shard FROM outbox_pending p JOIN outbox_event e USING (day, id)")
        )
    chosen = {row.key: row.shard for row in rows}
    every = list(range(outbox.PARTITIONS))
    assert chosen == {event.key: DefaultPartitioner()(event.key.encode(), every, every) for event in events}
    assert len(set(chosen.values())) == outbox.PARTITIONS


async def test_a_sequence_cannot_be_used_twice_for_one_key(sessions: Sessions) -> None:
    event = make_lamp_lit()
    async with sessions.begin() as session:
        await outbox.add(session, event, sequence=1)
    with pytest.raises(IntegrityError):
        async with sessions.begin() as session:
            await outbox.add(session, event, sequence=1)
    assert await count(sessions, "outbox_event") == 1


async def test_an_event_too_large_for_the_bus_is_refused_by_the_database(sessions: Sessions) -> None:
    with pytest.raises(DBAPIError):
        async with sessions.begin() as session:
            await outbox.add(session, make_lamp_lit(words="x" * 65_536), sequence=1)
    assert await count(sessions, "outbox_pending") == 0


async def test_ids_of_a_key_rise_with_its_sequence_under_concurrent_writers(sessions: Sessions) -> None:
    lamps = [new_id() for _ in range(5)]
    async with sessions.begin() as session:
        await session.execute(text("CREATE TABLE lamps (id uuid PRIMARY KEY, sequence bigint NOT NULL)"))
        await session.execute(
            text("INSERT INTO lamps SELECT id, 0 FROM unnest(CAST(:ids AS uuid[])) AS row (id)"),
            {"ids": lamps},
        )

    async def write(chance: random.Random) -> None:
        for _ in range(20):
            async with sessions.begin() as session:
                lamp = chance.choice(lamps)
                sequence = (await session.execute(
                    text("UPDATE lamps SET sequence = sequence + 1 WHERE id = :id RETURNING sequence"),
                    {"id": lamp},
                )).scalar_one()  # fmt: skip
                await asyncio.sleep(chance.random() / 500)
                await outbox.add(session, make_lamp_lit(lamp_id=lamp), sequence=sequence)

    await asyncio.gather(*(write(random.Random(seed)) for seed in range(8)))

    async with sessions() as session:
        rows = (await session.execute(text("SELECT key, version FROM outbox_event ORDER BY id"))).all()
    assert len(rows) == 160
    for lamp in lamps:
        versions = [version for key, version in rows if key == str(lamp)]
        assert versions == list(range(1, len(versions) + 1))
