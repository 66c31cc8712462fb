import asyncio

import pytest

from services.kit.loops import Pause, to_its_end


def test_a_pause_doubles_to_its_most_and_begins_again_after_a_success() -> None:
    pause = Pause(least=0.1, most=0.5)
    for step in (0.1, 0.2, 0.4, 0.5, 0.5):
        assert step * 0.75 <= pause.next() <= step
    pause.reset()
    assert pause.next() <= 0.1


async def test_work_ends_before_the_cancellation_of_its_caller_takes_effect() -> None:
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    caller = asyncio.create_task(to_its_end(work()))
    await begun.wait()
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_work_that_hangs_is_cut_after_its_limit() -> None:
    begun, cut = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cut.set()

    caller = asyncio.create_task(to_its_end(hang(), ends_within=0.01))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert cut.is_set()


async def test_what_work_returns_and_raises_is_the_callers() -> None:
    async def fail() -> None:
        raise ValueError("no")

    async def answer() -> int:
        return 7

    assert await to_its_end(answer()) == 7
    with pytest.raises(ValueError, match="no"):
        await to_its_end(fail())
