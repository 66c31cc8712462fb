"""A worker of no business in a process of its own, to be killed and frozen: it writes down what it hears."""

import asyncio
import sys
from functools import cache
from pathlib import Path
from typing import ClassVar

from sqlalchemy import text

from services.kit.event import Event
from services.kit.settings import ServiceSettings
from services.kit.worker import Work, run_worker

TABLES = (
    "CREATE TABLE bells (bell int PRIMARY KEY, version bigint NOT NULL DEFAULT 0)",
    "CREATE TABLE heard (place bigserial PRIMARY KEY, bell int NOT NULL, sequence bigint NOT NULL)",
)


@cache
def rung_on(of: str) -> type[Event]:
    """The event of a bell, on a topic of one test alone: a broker of many tests has each on its own."""

    class BellRung(Event):
        topic: ClassVar[str] = of
        name: ClassVar[str] = "bells.bell_rung.v1"
        bell: int

        @property
        def key(self) -> str:
            return str(self.bell)

    return BellRung


async def on_bell_rung(session, arrivals, now) -> None:
    await session.execute(
        text("""
            INSERT INTO heard (bell, sequence)
            SELECT * FROM unnest(CAST(:bells AS int[]), CAST(:sequences AS bigint[]))
        """),
        {
            "bells": [arrived.event.bell for arrived in arrivals],
            "sequences": [arrived.sequence for arrived in arrivals],
        },
    )


if __name__ == "__main__":
    topic, database_url, bus_url = sys.argv[1:]
    work = Work(service=topic, topics=(topic,), own_topic=topic, handlers={rung_on(topic): on_bell_rung})
    settings = ServiceSettings(
        database_url=database_url, bus_url=bus_url, pool_size=4, token_keys=Path("none")
    )
    asyncio.run(run_worker(settings, work))
