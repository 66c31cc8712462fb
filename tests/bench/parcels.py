"""An event of the size of most, about 500 bytes, and what hears it: `python -m tests.bench.parcels …`.

As a program it is a worker of the kit with one trivial effect: it writes down what it has heard.
"""

import sys
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import ClassVar

import uvloop
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.catalog import StockReserved
from services.contracts.values import GivenLine
from services.kit.event import Arrived, Event
from services.kit.ids import new_id
from services.kit.settings import ServiceSettings
from services.kit.worker import Work, run_worker

EACH = 10
TABLE = "CREATE TABLE heard (consumer text, key text, sequence bigint, at timestamptz)"
HEAR = text("""
    INSERT INTO heard (consumer, key, sequence, at)
    SELECT :consumer, key, sequence, :at
    FROM unnest(CAST(:keys AS text[]), CAST(:sequences AS bigint[])) AS row (key, sequence)
""")


@cache
def sent_on(of: str) -> type[StockReserved]:
    """Return the event on a topic of one row alone."""

    class ParcelPacked(StockReserved):
        topic: ClassVar[str] = of
        name: ClassVar[str] = "parcels.parcel_packed.v1"

    return ParcelPacked


def make(topic: str, events: int) -> list[tuple[Event, int]]:
    """Return so many events with their sequences, ten of each key, the keys by turns."""
    kind = sent_on(topic)
    parcels = [kind(reservation_id=new_id(), lines=_lines()) for _ in range(events // EACH)]
    return [(parcel, sequence) for sequence in range(1, EACH + 1) for parcel in parcels]


def _lines() -> tuple[GivenLine, ...]:
    offer_id, outlet_id = new_id(), new_id()
    return tuple(
        GivenLine(line=line, product_id=new_id(), name="大白菜", offer_id=offer_id, outlet_id=outlet_id,
                  quantity=2, grams=500, price_fen=450)
        for line in (1, 2)
    )  # fmt: skip


def find_faults(sent: Sequence[tuple[str, int]], heard: Sequence[tuple[str, int]]) -> list[str]:
    """Say what is wrong when these (key, sequence) were sent and those were heard, in this order."""
    last: dict[str, int] = {}
    is_in_order = True
    for key, sequence in heard:
        is_in_order &= last.get(key, 0) < sequence
        last[key] = sequence
    faults = {
        "something is lost": not set(sent) <= set(heard),
        "something was never sent": not set(heard) <= set(sent),
        "something came twice": len(heard) > len(set(heard)),
        "a key's events are not in order": not is_in_order,
    }
    return [what for what, holds in faults.items() if holds]


def main(port: str, topic: str, consumer: str, database_url: str, bus_url: str) -> None:
    async def hear(session: AsyncSession, arrivals: Sequence[Arrived[StockReserved]], now: datetime) -> None:
        await session.execute(
            HEAR,
            {
                "consumer": consumer,
                "at": now,
                "keys": [arrived.event.key for arrived in arrivals],
                "sequences": [arrived.sequence for arrived in arrivals],
            },
        )

    work = Work(service=consumer, topics=(topic,), own_topic=topic, handlers={sent_on(topic): hear})
    settings = ServiceSettings(
        database_url=database_url, bus_url=bus_url, metrics_port=int(port), token_keys=Path("none")
    )
    uvloop.run(run_worker(settings, work))


if __name__ == "__main__":
    main(*sys.argv[1:])
