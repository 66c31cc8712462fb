"""Where requests meet: one transaction for all orders that queue, one question for all who wait."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import database
from services.kit.database import Sessions
from services.kit.errors import Problem
from services.kit.group_commit import GroupCommit
from services.kit.http import idempotency
from services.kit.http.idempotency import Answer, Identity
from services.kit.loops import Pause
from services.orders.intake import application
from services.orders.intake.application import Placed
from services.orders.intake.domain import NewOrder
from services.orders.intake.life import OrderStatus

log = structlog.get_logger()

LEAST_PAUSE: Final = 0.02
MOST_PAUSE: Final = 0.1

FIND_DECIDED = text("""
    SELECT order_id FROM orders WHERE order_id = ANY(CAST(:order_ids AS uuid[])) AND status <> 'placed'
""")


class PlacedView(BaseModel):
    """An order in the books; what became of it is read by its id."""

    order_id: UUID
    status: OrderStatus


@dataclass(frozen=True, slots=True)
class Asked:
    """An order as a request asks for it, with what tells the request apart from others."""

    identity: Identity
    order: NewOrder


Intake = GroupCommit[Asked, Answer]


async def write(session: AsyncSession, asked: Sequence[Asked]) -> list[Answer | Problem]:
    """Place each order once, whatever was sent twice, and keep the answers."""
    now = await database.now(session)

    async def decide(places: Sequence[int]) -> list[Answer | Problem]:
        outcomes = await application.place_orders(session, [asked[place].order for place in places], now)
        return [_answer_of(outcome) for outcome in outcomes]

    return await idempotency.decide_once(session, [each.identity for each in asked], decide)


class WaitingRoom:
    """Those who wait for a decision; one loop of the process asks for all of them."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._waiting: defaultdict[UUID, set[asyncio.Future[None]]] = defaultdict(set)
        self._someone = asyncio.Event()

    async def wait(self, order_id: UUID, *, seconds: float) -> bool:
        """Return whether the order is decided, at the latest after so many seconds."""
        decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[order_id].add(decided)
        self._someone.set()
        try:
            async with asyncio.timeout(seconds):
                await decided
        except TimeoutError:
            return False
        finally:
            self._leave(order_id, decided)
        return True

    async def keep_asking(self) -> None:
        """Ask for as long as anybody waits; runs until cancelled."""
        pause = Pause(least=LEAST_PAUSE, most=MOST_PAUSE)
        while True:
            await self._someone.wait()
            if await self._ask():
                pause.reset()
            await asyncio.sleep(pause.next())

    async def _ask(self) -> int:
        try:
            async with self._sessions() as session:
                found = await session.execute(FIND_DECIDED, {"order_ids": list(self._waiting)})
                decided = list(found.scalars())
        except (SQLAlchemyError, OSError) as error:
            # Whoever waits has an answer at the end of the time asked for.
            log.warning("waiting.unanswered", error=type(error).__name__)
            return 0
        for order_id in decided:
            for waiting in self._waiting.get(order_id, ()):
                if not waiting.done():
                    waiting.set_result(None)
        return len(decided)

    def _leave(self, order_id: UUID, decided: asyncio.Future[None]) -> None:
        self._waiting[order_id].discard(decided)
        if not self._waiting[order_id]:
            del self._waiting[order_id]
        if not self._waiting:
            self._someone.clear()


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    """Let the application's requests meet, for as long as the context lasts."""
    room = WaitingRoom(app.state.sessions)
    intake: Intake = GroupCommit(app.state.sessions, write)
    app.state.intake, app.state.waiting_room = intake, room
    asking = asyncio.create_task(room.keep_asking())
    try:
        async with intake.running():
            yield
    finally:
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking


def _answer_of(outcome: Placed | Problem) -> Answer | Problem:
    if isinstance(outcome, Problem):
        return outcome
    view = PlacedView(order_id=outcome.order_id, status=outcome.status)
    location = f"/v1/orders/{outcome.order_id}"
    return Answer(status=202, body=view.model_dump_json().encode(), location=location)
