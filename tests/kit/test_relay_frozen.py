import asyncio

from services.kit.database import Sessions
from services.kit.ids import new_id
from services.kit.relay_loop import keep_relaying
from tests.kit.buses import until
from tests.kit.test_relay_loop import COUNT_PENDING, owners, relaying, until_row, url_of, write
from tests.kit.wires import Wire


async def test_the_shards_of_a_relay_that_is_frozen_find_another_owner(sessions: Sessions) -> None:
    lamp, frozen, other = new_id(), Wire(), Wire()
    may_thaw = asyncio.Event()

    async def freeze(records) -> None:
        await may_thaw.wait()

    frozen.before = freeze
    await write(sessions, [lamp], range(1, 6))
    relay = asyncio.create_task(keep_relaying(url_of(sessions), frozen, frozen_after=0.5))
    await owners(sessions, [12])
    async with relaying(sessions, other):
        await until(lambda: len(other.records) == 5)
        await until_row(sessions, COUNT_PENDING, (0,))
        # What it had in hand goes out once more: a copy, which the inbox knows, and nothing is deleted twice.
        await write(sessions, [lamp], range(6, 8))
        await until(lambda: len(other.records) == 7)
        frozen.before = None
        may_thaw.set()
        await until(lambda: frozen.opened == 2)
        relay.cancel()
        await asyncio.wait([relay])
    assert other.sequences_of(str(lamp)) == [1, 2, 3, 4, 5, 6, 7]
    assert frozen.sequences_of(str(lamp)) == [1, 2, 3, 4, 5]
