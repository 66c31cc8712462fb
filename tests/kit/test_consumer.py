import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text

from services.kit.bus.records import Received
from services.kit.consumer import deliver
from services.kit.database import Sessions
from services.kit.ids import new_id
from services.kit.waves import waves
from tests.builders import LampLit, make_lamp_lit


def receive(lamp_id: UUID | None = None, *, sequence: int = 1, name: str = LampLit.name) -> Received:
    event = make_lamp_lit(lamp_id=lamp_id)
    return Received(
        topic="lamps", key=event.key, value=event.model_dump_json().encode(), event_id=new_id(), name=name,
        sequence=sequence, recorded_at=datetime.now(UTC), correlation_id="c",
    )  # fmt: skip


async def make_log(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await session.execute(text("CREATE TABLE log (place serial, lamp_id uuid, sequence bigint)"))


async def on_lamp_lit(session, arrivals, now) -> None:
    for arrived in arrivals:
        await session.execute(
            text("INSERT INTO log (lamp_id, sequence) VALUES (:lamp_id, :sequence)"),
            {"lamp_id": arrived.event.lamp_id, "sequence": arrived.sequence},
        )


async def read_log(sessions: Sessions) -> list[tuple[UUID, int]]:
    async with sessions() as session:
        rows = await session.execute(text("SELECT lamp_id, sequence FROM log ORDER BY place"))
        return [(row.lamp_id, row.sequence) for row in rows]


async def test_a_second_delivery_changes_nothing(sessions: Sessions) -> None:
    await make_log(sessions)
    batch = [receive() for _ in range(20)]
    handlers = {LampLit: on_lamp_lit}

    assert await deliver(sessions, [*batch, batch[3]], consumer="streets", handlers=handlers) == 20
    assert await deliver(sessions, batch, consumer="streets", handlers=handlers) == 0
    assert len(await read_log(sessions)) == 20


async def test_two_consumers_of_one_group_at_once_apply_each_event_once(sessions: Sessions) -> None:
    await make_log(sessions)
    batch = [receive() for _ in range(50)]
    handlers = {LampLit: on_lamp_lit}

    applied = await asyncio.gather(
        *(deliver(sessions, batch, consumer="streets", handlers=handlers) for _ in range(4))
    )

    assert sorted(applied) == [0, 0, 0, 50]
    assert len(await read_log(sessions)) == 50


async def test_a_handler_that_fails_leaves_neither_marks_nor_effects(sessions: Sessions) -> None:
    await make_log(sessions)
    batch = [receive(), receive()]

    async def fail(session, arrivals, now) -> None:
        await on_lamp_lit(session, arrivals, now)
        raise RuntimeError("the lamp fell")

    with pytest.raises(RuntimeError):
        await deliver(sessions, batch, consumer="streets", handlers={LampLit: fail})
    assert await read_log(sessions) == []
    assert await deliver(sessions, batch, consumer="streets", handlers={LampLit: on_lamp_lit}) == 2


async def test_events_of_one_key_are_handled_one_wave_after_the_other(sessions: Sessions) -> None:
    lamp, other, calls = new_id(), new_id(), []

    async def note(session, arrivals, now) -> None:
        calls.append([(arrived.event.lamp_id, arrived.sequence) for arrived in arrivals])

    batch = [receive(lamp, sequence=1), receive(lamp, sequence=2), receive(other, sequence=1)]
    await deliver(sessions, batch, consumer="streets", handlers={LampLit: note})
    assert calls == [[(lamp, 1), (other, 1)], [(lamp, 2)]]


async def test_an_event_nobody_handles_is_passed_over(sessions: Sessions) -> None:
    unknown = receive(name="lamps.lamp_broken.v1")
    assert await deliver(sessions, [unknown], consumer="streets", handlers={LampLit: on_lamp_lit}) == 1


def test_waves_keep_every_event_and_the_order_of_each_key() -> None:
    keys = [new_id() for _ in range(3)]
    batch = [receive(keys[place % 3], sequence=place // 3 + 1) for place in range(30)]
    cut = waves(batch)
    assert [len(wave) for wave in cut] == [3] * 10
    assert [{received.sequence for received in wave} for wave in cut] == [{n} for n in range(1, 11)]
