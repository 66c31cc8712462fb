"""A bus that keeps what it acknowledged, and fails when told to: for tests of what stands before the bus."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from services.kit.bus.records import Received, Record, read_record

Before = Callable[[Sequence[Record]], Awaitable[None]]


class WireSender:
    def __init__(self, wire: "Wire") -> None:
        self._wire = wire

    async def send(self, records: Sequence[Record]) -> None:
        if self._wire.before:
            await self._wire.before(records)
        self._wire.records += [read_record(record) for record in records]


class Wire:
    def __init__(self) -> None:
        self.records: list[Received] = []
        self.before: Before | None = None
        self.opened = 0

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[WireSender]:
        self.opened += 1
        yield WireSender(self)

    def sequences_of(self, key: str) -> list[int]:
        return [received.sequence for received in self.records if received.key == key]
