"""Events whose handler cannot do them: kept, with every later one of their key, until a person acts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.bus.records import Received

PARK = text("""
    INSERT INTO parked (consumer, topic, key, event_id, version, type, value, recorded_at, trace, error)
    VALUES (:consumer, :topic, :key, :event_id, :version, :type, :value, :recorded_at, :trace, :error)
""")
IS_ANY = text("SELECT EXISTS (SELECT FROM parked WHERE consumer = :consumer)")
FIND = text("""
    SELECT DISTINCT topic, key FROM parked
    WHERE consumer = :consumer AND key = ANY(CAST(:keys AS text[]))
""")
TAKE = text("""
    DELETE FROM parked WHERE consumer = :consumer AND topic = :topic AND key = :key
    RETURNING topic, key, event_id, version, type, value, recorded_at, trace
""")
LIST = text("""
    SELECT topic, key, event_id, version, type, error, parked_at FROM parked
    WHERE consumer = :consumer ORDER BY parked_at, topic, key, version LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked event as a person sees it who must decide about its key; what it says is left out."""

    topic: str
    key: str
    event_id: UUID
    sequence: int
    name: str
    error: str
    parked_at: datetime


async def park(session: AsyncSession, received: Received, *, consumer: str, error: str) -> None:
    """Keep an event that was marked in the inbox but not applied."""
    await session.execute(
        PARK,
        {
            "consumer": consumer,
            "topic": received.topic,
            "key": received.key,
            "event_id": received.event_id,
            "version": received.sequence,
            "type": received.name,
            "value": received.value,
            "recorded_at": received.recorded_at,
            "trace": received.correlation_id,
            "error": error,
        },
    )


async def find_parked_keys(
    session: AsyncSession, batch: Sequence[Received], *, consumer: str
) -> set[tuple[str, str]]:
    """Return those (topic, key) of `batch` of which something is parked and must not be overtaken."""
    # Nearly always nothing is: then a thousand keys need not be told.
    if not (await session.execute(IS_ANY, {"consumer": consumer})).scalar_one():
        return set()
    rows = await session.execute(FIND, {"consumer": consumer, "keys": [received.key for received in batch]})
    return {(row.topic, row.key) for row in rows}


async def take(session: AsyncSession, *, consumer: str, topic: str, key: str) -> list[Received]:
    """Take what is parked of a key, in order, to be applied in this transaction."""
    rows = await session.execute(TAKE, {"consumer": consumer, "topic": topic, "key": key})
    taken = [
        Received(
            topic=row.topic,
            key=row.key,
            value=row.value,
            event_id=row.event_id,
            name=row.type,
            sequence=row.version,
            recorded_at=row.recorded_at,
            correlation_id=row.trace,
        )
        for row in rows
    ]
    return sorted(taken, key=lambda received: received.sequence)


async def list_parked(session: AsyncSession, consumer: str, *, limit: int = 1000) -> list[Parked]:
    """Return what is parked for `consumer`, longest first; the first of each key is the one that failed."""
    rows = await session.execute(LIST, {"consumer": consumer, "limit": limit})
    return [
        Parked(row.topic, row.key, row.event_id, row.version, row.type, row.error, row.parked_at)
        for row in rows
    ]
