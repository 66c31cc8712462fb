"""A connection that ends before it is quite made is nobody's fault: whatever met it goes on."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from services.kit import failures, pending, upkeep
from services.kit.consumer import deliver_or_park
from services.kit.database import Sessions
from tests.builders import LampLit
from tests.kit.test_consumer import make_log, on_lamp_lit, read_log, receive

GOES_ON_WITHIN = 30.0


@dataclass
class Cutter:
    """Ends the first connection as soon as it is made, as a server does that is just going down."""

    cut: int = 0
    whole: int = 0


@pytest.fixture
async def cutter(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> Cutter:
    made, original = Cutter(), asyncpg.Connection.set_type_codec
    await make_log(sessions)

    async def set_type_codec(self: asyncpg.Connection, name: str, **given: Any) -> None:
        if not made.cut:
            made.cut += 1
            self.terminate()
        await original(self, name, **given)
        made.whole += 1

    # Whatever is in the pool was made before.
    await sessions.kw["bind"].dispose()
    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", set_type_codec)
    return made


async def test_what_it_fails_by_passes(sessions: Sessions, cutter: Cutter) -> None:
    async with sessions() as session:
        with pytest.raises(asyncpg.InterfaceError, match="connection is closed") as met:
            await session.execute(text("SELECT 1"))
    assert failures.is_passing(met.value)
    async with sessions() as session:
        assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
    assert cutter.cut == 1


async def test_no_event_is_parked_for_it(sessions: Sessions, cutter: Cutter) -> None:
    event, handlers = receive(), {LampLit: on_lamp_lit}
    with pytest.raises(asyncpg.InterfaceError):
        await deliver_or_park(sessions, [event], consumer="streets", handlers=handlers)
    await deliver_or_park(sessions, [event], consumer="streets", handlers=handlers)
    assert len(await read_log(sessions)) == 1
    async with sessions() as session:
        assert (await session.execute(text("SELECT count(*) FROM parked"))).scalar_one() == 0
    assert cutter.cut == 1


@pytest.mark.parametrize(
    "work",
    [pending.keep_measuring, lambda sessions: upkeep.keep_looking_after(sessions.kw["bind"])],
    ids=["pending", "upkeep"],
)
async def test_what_is_to_go_on_for_ever_does(
    sessions: Sessions, cutter: Cutter, work: Callable[[Sessions], Coroutine[Any, Any, None]]
) -> None:
    task = asyncio.create_task(work(sessions))
    async with asyncio.timeout(GOES_ON_WITHIN):
        while not cutter.whole:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
    assert cutter.cut == 1
    task.cancel()
