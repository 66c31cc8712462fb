from uuid import UUID

import pytest
from sqlalchemy import text

from services.kit import parking
from services.kit.consumer import deliver_or_park, release
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.builders import LampLit
from tests.kit.test_consumer import make_log, on_lamp_lit, read_log, receive


def make_handlers(*, broken: UUID) -> dict:
    async def handle(session, arrivals, now) -> None:
        if any(arrived.event.lamp_id == broken and arrived.sequence == 2 for arrived in arrivals):
            raise ValueError("the lamp of door 4-1-302 fell")
        await on_lamp_lit(session, arrivals, now)

    return {LampLit: handle}


async def list_parked(sessions: Sessions) -> list[tuple[str, int, str]]:
    async with sessions() as session:
        rows = await session.execute(text("SELECT key, version, error FROM parked ORDER BY key, version"))
        return [(row.key, row.version, row.error) for row in rows]


async def test_a_bad_event_is_parked_with_its_followers_and_holds_up_nobody_else(sessions: Sessions) -> None:
    await make_log(sessions)
    bad, good = new_id(), new_id()
    handlers = make_handlers(broken=bad)
    first = [receive(lamp, sequence=sequence) for sequence in (1, 2, 3) for lamp in (bad, good)]
    later = [receive(bad, sequence=4), receive(good, sequence=4)]

    for batch in (first, later, first, later):
        await deliver_or_park(sessions, batch, consumer="streets", handlers=handlers)

    log = await read_log(sessions)
    assert [sequence for lamp, sequence in log if lamp == good] == [1, 2, 3, 4]
    assert [sequence for lamp, sequence in log if lamp == bad] == [1]
    parked = await list_parked(sessions)
    assert [(key, version) for key, version, _ in parked] == [(str(bad), 2), (str(bad), 3), (str(bad), 4)]


async def test_what_is_kept_of_an_error_names_its_place_and_not_its_words(sessions: Sessions) -> None:
    await make_log(sessions)
    bad = new_id()
    batch = [receive(bad, sequence=2)]
    await deliver_or_park(sessions, batch, consumer="streets", handlers=make_handlers(broken=bad))
    ((_, _, error),) = await list_parked(sessions)
    assert error.startswith("ValueError in handle (test_parking.py:")
    assert "4-1-302" not in error


async def test_a_released_key_is_applied_in_order_and_goes_on(sessions: Sessions) -> None:
    await make_log(sessions)
    bad = new_id()
    batch = [receive(bad, sequence=sequence) for sequence in (1, 2, 3)]
    await deliver_or_park(sessions, batch, consumer="streets", handlers=make_handlers(broken=bad))
    mended = {LampLit: on_lamp_lit}

    assert await release(sessions, consumer="streets", topic="lamps", key=str(bad), handlers=mended) == 2
    await deliver_or_park(sessions, [receive(bad, sequence=4)], consumer="streets", handlers=mended)

    assert await read_log(sessions) == [(bad, 1), (bad, 2), (bad, 3), (bad, 4)]
    assert await list_parked(sessions) == []


async def test_a_release_that_fails_again_leaves_everything_parked(sessions: Sessions) -> None:
    await make_log(sessions)
    bad = new_id()
    handlers = make_handlers(broken=bad)
    batch = [receive(bad, sequence=sequence) for sequence in (1, 2, 3)]
    await deliver_or_park(sessions, batch, consumer="streets", handlers=handlers)
    with pytest.raises(ValueError, match="fell"):
        await release(sessions, consumer="streets", topic="lamps", key=str(bad), handlers=handlers)
    assert [version for _, version, _ in await list_parked(sessions)] == [2, 3]
    assert await read_log(sessions) == [(bad, 1)]


async def test_what_passes_by_itself_is_raised_and_never_parked(sessions: Sessions) -> None:
    async def lose_connection(session, arrivals, now) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await deliver_or_park(sessions, [receive()], consumer="streets", handlers={LampLit: lose_connection})
    assert await list_parked(sessions) == []


async def test_a_value_that_cannot_be_read_is_parked(sessions: Sessions) -> None:
    await make_log(sessions)
    unreadable = receive()
    object.__setattr__(unreadable, "value", b"{")
    await deliver_or_park(sessions, [unreadable], consumer="streets", handlers={LampLit: on_lamp_lit})
    assert [key for key, _, _ in await list_parked(sessions)] == [unreadable.key]


async def test_a_person_sees_what_is_parked_and_why_longest_first_and_for_one_consumer(
    sessions: Sessions,
) -> None:
    await make_log(sessions)
    bad = new_id()
    handlers = make_handlers(broken=bad)
    for sequence in (2, 3):
        await deliver_or_park(
            sessions, [receive(bad, sequence=sequence)], consumer="streets", handlers=handlers
        )
    async with sessions() as session:
        found = await parking.list_parked(session, "streets")
        assert await parking.list_parked(session, "others") == []
        assert await parking.list_parked(session, "streets", limit=1) == found[:1]
    assert [(one.topic, one.key, one.sequence, one.name) for one in found] == [
        ("lamps", str(bad), sequence, LampLit.name) for sequence in (2, 3)
    ]
    assert found[0].error.startswith("ValueError in handle")
    assert found[1].error == "behind a parked event of its key"
