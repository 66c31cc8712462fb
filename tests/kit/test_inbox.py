import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from services.kit import inbox
from services.kit.database import Sessions
from services.kit.ids import new_id
from services.kit.inbox import Mark

TODAY = datetime.now(UTC).date()


async def test_a_second_delivery_is_not_fresh(sessions: Sessions) -> None:
    first, second = Mark(TODAY, new_id()), Mark(TODAY, new_id())
    async with sessions.begin() as session:
        assert await inbox.mark_new(session, consumer="lamps", marks=[first]) == {first.event_id}
    async with sessions.begin() as session:
        assert await inbox.mark_new(session, consumer="lamps", marks=[first, second]) == {second.event_id}


async def test_twins_within_one_batch_count_once(sessions: Sessions) -> None:
    twin = Mark(TODAY, new_id())
    async with sessions.begin() as session:
        assert await inbox.mark_new(session, consumer="lamps", marks=[twin, twin]) == {twin.event_id}


async def test_a_mark_goes_with_the_work_that_failed(sessions: Sessions) -> None:
    mark = Mark(TODAY, new_id())
    async with sessions() as session:
        await inbox.mark_new(session, consumer="lamps", marks=[mark])
        await session.rollback()
    async with sessions.begin() as session:
        assert await inbox.mark_new(session, consumer="lamps", marks=[mark]) == {mark.event_id}


async def test_each_consumer_has_its_own_marks(sessions: Sessions) -> None:
    mark = Mark(TODAY, new_id())
    for consumer in ("lamps", "streets"):
        async with sessions.begin() as session:
            assert await inbox.mark_new(session, consumer=consumer, marks=[mark]) == {mark.event_id}


async def test_of_two_that_apply_one_event_at_once_only_one_does(sessions: Sessions) -> None:
    marks = [Mark(TODAY, new_id()) for _ in range(50)]

    async def apply(order: list[Mark]) -> set[object]:
        async with sessions.begin() as session:
            return set(await inbox.mark_new(session, consumer="lamps", marks=order))

    fresh = await asyncio.gather(*(apply(marks[::step]) for step in (1, -1, 1, -1)))
    assert sorted(len(ids) for ids in fresh) == [0, 0, 0, 50]


async def test_an_event_of_thirty_days_ago_can_still_be_marked_and_an_older_one_cannot(
    sessions: Sessions,
) -> None:
    async with sessions.begin() as session:
        old = Mark(TODAY - timedelta(days=30), new_id())
        assert await inbox.mark_new(session, consumer="lamps", marks=[old]) == {old.event_id}
    with pytest.raises(IntegrityError):
        async with sessions.begin() as session:
            await inbox.mark_new(
                session, consumer="lamps", marks=[Mark(TODAY - timedelta(days=40), new_id())]
            )
