"""Following orders: what each stands at, for those who wait for its decision and those who watch it live."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from fastapi import FastAPI
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.http.streams import Streams
from services.kit.http.watching import Watch
from services.orders.intake import queries
from services.orders.intake.life import ENDED, OrderStatus
from services.orders.intake.wire import OrderEventView

# Nothing has become of an order yet: most of those who wait begin here.
JUST_PLACED: Final = "1.0.0"
DECIDED_SEEN_WITHIN: Final = 0.1


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """An order as it stands, with its portions."""

    row: Row[Any]

    @property
    def position(self) -> str:
        """Name the state: the order's sequence, its portions that were delivered, whether it is delayed."""
        return str(self.row.position)

    @property
    def is_final(self) -> bool:
        """Say whether nothing is to come any more; what is told afterwards is read by whoever comes back."""
        return self.row.status in ENDED

    def body(self) -> str:
        """Return the state as JSON."""
        return OrderEventView.of_row(self.row).model_dump_json()


async def look(session: AsyncSession, known: Mapping[UUID, str | None]) -> Mapping[UUID, OrderSeen]:
    """Return those orders that are not where they are known to be."""
    return {row.order_id: OrderSeen(row) for row in await queries.list_moved(session, known)}


async def wait_decided(watch: Watch[OrderSeen], order_id: UUID, *, seconds: float) -> OrderSeen | None:
    """Return an order once it is decided; None where it is not after so many seconds."""
    clock = asyncio.get_running_loop().time
    ends_at = clock() + seconds
    with watch.on(order_id, known=JUST_PLACED, within=DECIDED_SEEN_WITHIN) as sight:
        while (left := ends_at - clock()) > 0:
            seen = await sight.next(seconds=left)
            if seen is not None and seen.row.status != OrderStatus.PLACED:
                return seen
    return None


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    """Let orders be waited for and followed, for as long as the context lasts."""
    watch: Watch[OrderSeen] = Watch(app.state.sessions, look)
    streams = Streams(app, watch, event="order", most=app.state.settings.event_streams)
    app.state.order_watch, app.state.order_streams = watch, streams
    async with watch.running(), streams.running():
        yield
