"""Where requests meet: one transaction for all orders that queue."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import database
from services.kit.errors import Problem
from services.kit.group_commit import GroupCommit
from services.kit.http import idempotency
from services.kit.http.idempotency import Answer, Identity
from services.orders.intake import application
from services.orders.intake.application import Placed
from services.orders.intake.domain import NewOrder
from services.orders.intake.life import OrderStatus


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


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    """Let the application's requests meet, for as long as the context lasts."""
    intake: Intake = GroupCommit(app.state.sessions, write)
    app.state.intake = intake
    async with intake.running():
        yield


def _answer_of(outcome: Placed | Problem) -> Answer | Problem:
    if isinstance(outcome, Problem):
        return outcome
    view = PlacedView(order_id=outcome.order_id, status=outcome.status)
    location = f"/v1/orders/{outcome.order_id}"
    return Answer(status=202, body=view.model_dump_json().encode(), location=location)
