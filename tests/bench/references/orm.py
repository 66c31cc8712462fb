"""The design most teams write first: a session per request, order, lines and outbox row as ORM objects."""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response
from sqlalchemy import JSON, DateTime
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, Relationship, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from services.kit.ids import new_id
from services.orders.intake.wire import PlaceOrder


class PlainOrder(SQLModel, table=True):
    order_id: UUID = Field(primary_key=True)
    slot_id: UUID
    status: str
    placed_at: datetime = Field(sa_type=DateTime(timezone=True))
    lines: list["PlainLine"] = Relationship()


class PlainLine(SQLModel, table=True):
    order_id: UUID = Field(primary_key=True, foreign_key="plainorder.order_id")
    line: int = Field(primary_key=True)
    product_id: UUID
    quantity: int
    seen_price_fen: int


class PlainOutbox(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    key: str
    payload: dict[str, Any] = Field(sa_type=JSON)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine = create_async_engine(app.state.url, pool_size=20, max_overflow=0)
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    app.state.engine = engine
    yield
    await engine.dispose()


app = FastAPI(openapi_url=None, lifespan=lifespan)


@app.post("/v1/orders")
async def place(body: PlaceOrder, request: Request) -> Response:
    order = PlainOrder(order_id=new_id(), slot_id=body.slot_id, status="placed", placed_at=datetime.now(UTC))
    async with AsyncSession(request.app.state.engine, expire_on_commit=False) as session:
        for number, line in enumerate(body.lines, 1):
            wanted = line.model_dump(exclude={"substitutes"})
            order.lines.append(PlainLine(line=number, **wanted))
        session.add(order)
        session.add(PlainOutbox(key=str(order.order_id), payload=body.model_dump(mode="json")))
        await session.commit()
    answer = b'{"order_id":"%b","status":"placed"}' % str(order.order_id).encode()
    return Response(answer, status_code=202, media_type="application/json")


async def main(port: int, url: str) -> None:
    app.state.url = url.replace("postgresql://", "postgresql+asyncpg://")
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    config = uvicorn.Config(app, port=port, http="httptools", access_log=False, log_level="warning")
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
