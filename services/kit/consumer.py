"""Records to handlers: marks and effects of a batch in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import database, inbox
from services.kit.bus.records import Received
from services.kit.database import Sessions
from services.kit.event import Arrived, Event
from services.kit.inbox import Mark
from services.kit.waves import by_name, waves

# Gets the events of one type, at most one of each key, and the transaction's timestamp.
Handler = Callable[[AsyncSession, Sequence[Arrived[Any]], datetime], Awaitable[None]]
Handlers = Mapping[type[Event], Handler]


async def deliver(sessions: Sessions, batch: Sequence[Received], *, consumer: str, handlers: Handlers) -> int:
    """Apply each record of `batch` that `consumer` had not applied, all in one transaction; return how many.

    Names nobody handles are marked and passed over. If a handler raises, nothing of the batch has happened.
    """
    kinds = {kind.name: kind for kind in handlers}
    async with sessions.begin() as session:
        marks = [Mark(received.event_day, received.event_id) for received in batch]
        fresh = await inbox.mark_new(session, consumer=consumer, marks=marks)
        now = await database.now(session)
        # A twin within the batch is dropped with the first one kept: by id, in the order they came.
        todo = {received.event_id: received for received in batch if received.event_id in fresh}
        for wave in waves(todo.values()):
            for name, same in by_name(wave).items():
                if kind := kinds.get(name):
                    await handlers[kind](session, [received.as_arrived(kind) for received in same], now)
    return len(todo)
