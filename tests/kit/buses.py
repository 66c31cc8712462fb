"""What the tests of the bus share: records, and reading until all have come."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from prometheus_client import REGISTRY

from services.kit.bus.records import Received, Record, make_headers
from services.kit.bus.transport import Receiver
from services.kit.ids import new_id

STARTS_WITHIN = 60.0


def make_record(
    topic: str, key: str, sequence: int, *, value: bytes = b"{}", correlation_id: str = "c"
) -> Record:
    headers = make_headers(
        event_id=new_id(),
        name="lamps.lamp_lit.v1",
        sequence=sequence,
        recorded_at=datetime.now(UTC),
        correlation_id=correlation_id,
    )
    return Record(topic, key, value, headers)


async def fetch_all(receiver: Receiver, count: int, *, within: float = STARTS_WITHIN) -> list[Received]:
    got: list[Received] = []
    async with asyncio.timeout(within):
        while len(got) < count:
            got += await receiver.fetch(within=0.2)
    return got


async def fetch_nothing_more(receiver: Receiver) -> None:
    assert await receiver.fetch(within=1.0) == []


def sequences_of(got: Sequence[Received], key: str) -> list[int]:
    return [received.sequence for received in got if received.key == key]


def count_of(metric: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(metric, labels) or 0.0


async def until(holds: Callable[[], bool], *, within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while True:
            if holds():
                return
            await asyncio.sleep(0.02)
