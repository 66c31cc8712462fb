"""What must be true of a town that has come to rest, by name; and what must be true at any moment."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from services.kit.bus.records import Received
from tests.chaos import books as ledgers
from tests.chaos import of_events, of_orders, of_people, of_stock
from tests.chaos.books import Books
from tests.chaos.journal import Journal
from tests.chaos.of_events import Written

SAMPLES_EVERY = 1.0
SHOWN = 20

# A question that the database does not understand is no such thing: it ends the trial.
AWAY = (
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

Violations = dict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a town is judged by, beside its books: what clients were told, what the bus has."""

    journal: Journal
    written: Written
    records: Sequence[Received]
    canaries: Sequence[str] = ()
    logs: Path | None = None


async def judge(books: Books, evidence: Evidence) -> Violations:
    """Return every invariant that does not hold, with the rows that say so; nothing where all hold."""
    journal, records = evidence.journal, evidence.records
    found = {
        "I1": await of_orders.find_lost_or_invented(books, journal),
        "I2": await of_orders.find_doubles(books, journal),
        "I3": await of_stock.find_oversold(books),
        "I4": await of_stock.find_above_cap(books),
        "I5": await of_events.find_unsent_or_unread(books, evidence.written, records),
        "I6": of_events.find_out_of_order(evidence.written, records),
        "I7": await of_stock.find_endless(books),
        "I8": await of_people.find_uncleared(books),
        "I9": await of_orders.find_other_words(books, journal),
        "I10": of_events.find_canaries(evidence.canaries, records, evidence.logs),
    }
    return {name: rows for name, rows in found.items() if rows}


@dataclass
class Sampler:
    """Looks every second while the faults go on; where the database is away, it misses a look."""

    urls: Mapping[str, str]
    looked: int = 0
    missed: int = 0
    violations: Counter[str] = field(default_factory=Counter)

    async def keep_looking(self) -> None:
        """Sample I3, I4 and I7 until cancelled."""
        while True:
            try:
                async with asyncio.timeout(5), ledgers.opened(self.urls, within=2) as books:
                    await self._look(books)
            except (OSError, *AWAY):
                self.missed += 1
            await asyncio.sleep(SAMPLES_EVERY)

    async def _look(self, books: Books) -> None:
        found = {
            "I3*": await of_stock.find_oversold(books),
            "I4*": await of_stock.find_above_cap(books),
            "I7*": await of_stock.find_late(books),
        }
        self.looked += 1
        self.violations.update(f"{name} {row}" for name, rows in found.items() for row in rows)
