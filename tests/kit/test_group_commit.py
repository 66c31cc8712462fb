"""Many requests, one transaction; each has its own answer, and a bad one fails alone."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import database, group_commit
from services.kit.database import Sessions
from services.kit.errors import Rejected, Unavailable
from services.kit.group_commit import GroupCommit
from services.kit.ids import new_id


class Writer:
    """Lights lamps; the batches it was given are remembered."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    async def __call__(self, session: AsyncSession, words: Sequence[str]) -> list[str | Exception]:
        self.batches.append(list(words))
        for word in words:
            partner = new_id() if word == "bad at the commit" else None
            await session.execute(
                text("INSERT INTO lamps VALUES (:id, :words, :partner)"),
                {"id": new_id(), "words": None if word == "bad" else word, "partner": partner},
            )
        return [Rejected("lamps.dark", "Dark") if word == "refuse" else f"{word} is lit" for word in words]


async def list_words(sessions: Sessions) -> list[str]:
    async with sessions() as session:
        return list((await session.execute(text("SELECT words FROM lamps ORDER BY words"))).scalars())


async def test_what_queues_while_a_batch_commits_is_the_next_batch(lamp_sessions: Sessions) -> None:
    write = Writer()
    group = GroupCommit(lamp_sessions, write)
    wanted = [f"{number:03}" for number in range(300)]
    async with group.running():
        outcomes = await asyncio.gather(*(group.submit(words) for words in wanted))
    assert outcomes == [f"{words} is lit" for words in wanted]
    assert await list_words(lamp_sessions) == wanted
    assert max(map(len, write.batches)) == group_commit.LARGEST_BATCH
    assert len(write.batches) < 10


@pytest.mark.parametrize("bad", ["bad", "bad at the commit"])
async def test_a_bad_request_fails_alone(lamp_sessions: Sessions, bad: str) -> None:
    group = GroupCommit(lamp_sessions, Writer())
    async with group.running():
        wanted = ["a", "b", bad, "c"]
        outcomes = await asyncio.gather(*(group.submit(words) for words in wanted), return_exceptions=True)
    assert outcomes[:2] + outcomes[3:] == ["a is lit", "b is lit", "c is lit"]
    assert isinstance(outcomes[2], DBAPIError)
    assert await list_words(lamp_sessions) == ["a", "b", "c"]


async def test_a_refusal_is_raised_to_its_own_request(lamp_sessions: Sessions) -> None:
    write = Writer()
    group = GroupCommit(lamp_sessions, write)
    async with group.running():
        outcomes = await asyncio.gather(group.submit("a"), group.submit("refuse"), return_exceptions=True)
    assert outcomes[0] == "a is lit"
    assert isinstance(outcomes[1], Rejected)
    assert len(write.batches) <= 2


async def test_when_too_much_waits_the_next_is_refused_at_once(lamp_sessions: Sessions) -> None:
    group = GroupCommit(lamp_sessions, Writer())
    waiting = [asyncio.create_task(group.submit(str(n))) for n in range(group_commit.LONGEST_QUEUE)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await group.submit("one too many")
    assert (refused.value.code, refused.value.retry_after) == ("kit.overloaded", 1)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_client_that_has_gone_takes_nobody_with_it(lamp_sessions: Sessions) -> None:
    group = GroupCommit(lamp_sessions, Writer())
    gone = asyncio.create_task(group.submit("gone"))
    stays = asyncio.create_task(group.submit("stays"))
    await asyncio.sleep(0)
    gone.cancel()
    async with group.running():
        assert await stays == "stays is lit"
        assert await group.submit("later") == "later is lit"
    assert await list_words(lamp_sessions) == ["gone", "later", "stays"]


async def test_what_has_queued_when_the_process_stops_is_still_written(lamp_sessions: Sessions) -> None:
    group = GroupCommit(lamp_sessions, Writer())
    async with group.running():
        last = [asyncio.create_task(group.submit(f"{number:03}")) for number in range(200)]
        await asyncio.sleep(0)
    assert [outcome async for outcome in _each(last)] == [f"{number:03} is lit" for number in range(200)]
    assert len(await list_words(lamp_sessions)) == 200


async def _each(tasks):
    for task in tasks:
        yield await task


async def test_an_answer_too_few_is_a_failure_of_that_batch_and_leaves_nobody_waiting(
    lamp_sessions: Sessions,
) -> None:
    async def forget(session: AsyncSession, words: Sequence[str]) -> list[str]:
        await session.execute(text("INSERT INTO lamps VALUES (gen_random_uuid(), 'forgotten')"))
        return [] if "forget" in words else list(words)

    group = GroupCommit(lamp_sessions, forget)
    async with group.running():
        for _ in range(group_commit.WRITERS + 1):
            with pytest.raises(ValueError, match="zip"):
                await group.submit("forget")
        assert await group.submit("a") == "a"
    assert await list_words(lamp_sessions) == ["forgotten"]


async def test_without_a_connection_the_whole_batch_is_told_within_the_wait_for_one(
    lamps_url: str,
) -> None:
    engine = database.create_engine(lamps_url, pool_size=1)
    sessions = database.create_sessions(engine)
    group = GroupCommit(sessions, Writer())
    async with sessions() as session:
        await session.execute(text("SELECT 1"))
        async with group.running(), asyncio.timeout(2.5):
            outcomes = await asyncio.gather(
                *(group.submit(str(number)) for number in range(64)), return_exceptions=True
            )
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert {type(outcome.__cause__) for outcome in outcomes} == {PoolTimeout}
    await engine.dispose()


async def test_a_batch_that_waits_for_a_lock_is_put_off_whole_and_holds_up_nobody_behind_it(
    lamp_sessions: Sessions,
) -> None:
    write = Writer()

    async def lock_first(session: AsyncSession, words: Sequence[str]) -> list[str | Exception]:
        for word in words:
            await session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:word))"), {"word": word[:4]})
        return await write(session, words)

    loop = asyncio.get_running_loop()
    group = GroupCommit(lamp_sessions, lock_first)
    async with lamp_sessions() as other, group.running():
        await other.execute(text("SELECT pg_advisory_xact_lock(hashtext('slow'))"))
        began = loop.time()
        held = [asyncio.create_task(group.submit(f"slow {number:02}")) for number in range(32)]
        await asyncio.sleep(0.1)
        # One writer waits for the lock; what comes now is the other's, and then both's.
        quick = await asyncio.gather(*(group.submit(f"fast {number:02}") for number in range(32)))
        assert loop.time() - began < 0.9
        put_off = await asyncio.gather(*held, return_exceptions=True)
        assert loop.time() - began < 1.9
        await other.rollback()
        began = loop.time()
        assert await group.submit("slow again") == "slow again is lit"
        assert loop.time() - began < 0.5
    assert [(type(each), each.code, each.retry_after) for each in put_off] == [
        (Unavailable, "kit.unavailable", 1)
    ] * 32
    assert quick == [f"fast {number:02} is lit" for number in range(32)]
    assert await list_words(lamp_sessions) == [*(f"fast {number:02}" for number in range(32)), "slow again"]


async def test_a_batch_that_lost_a_race_is_written_anew_as_a_whole(lamp_sessions: Sessions) -> None:
    write, races = Writer(), [1, 2]

    async def lose_twice(session: AsyncSession, words: Sequence[str]) -> list[str | Exception]:
        outcomes = await write(session, words)
        if races and races.pop():
            await session.execute(text("INSERT INTO lamps VALUES (gen_random_uuid(), 'come again')"))
        return outcomes

    group = GroupCommit(lamp_sessions, lose_twice)
    async with group.running():
        assert await asyncio.gather(group.submit("a"), group.submit("b")) == ["a is lit", "b is lit"]
    assert write.batches == [["a", "b"]] * group_commit.TRIES
    assert await list_words(lamp_sessions) == ["a", "b"]


async def test_a_batch_that_loses_every_race_is_put_off_whole(lamp_sessions: Sessions) -> None:
    write = Writer()
    group = GroupCommit(lamp_sessions, write)
    async with group.running():
        outcomes = await asyncio.gather(
            *(group.submit(words) for words in ("a", "come again", "b")), return_exceptions=True
        )
    assert [outcome.code for outcome in outcomes] == ["kit.unavailable"] * 3
    assert write.batches == [["a", "come again", "b"]] * group_commit.TRIES
    assert await list_words(lamp_sessions) == []


async def test_what_has_waited_too_long_is_refused_before_it_is_begun(
    lamp_sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "LONGEST_WAIT", 0.2)
    write = Writer()
    group = GroupCommit(lamp_sessions, write)
    old = asyncio.create_task(group.submit("old"))
    await asyncio.sleep(0.3)
    async with group.running():
        assert await group.submit("new") == "new is lit"
        with pytest.raises(Unavailable) as refused:
            await old
    assert (refused.value.code, refused.value.retry_after) == ("kit.overloaded", 1)
    assert [words for batch in write.batches for words in batch] == ["new"]
