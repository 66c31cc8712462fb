"""A service of no business: lamps that can be lit, once, in a batch, by pages, or in vain."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import httpx
from fastapi import FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.kit import tables, vault
from services.kit.errors import (
    Conflict,
    Fault,
    Forbidden,
    NotFound,
    Problem,
    Rejected,
    Stale,
    Unavailable,
    Unreadable,
)
from services.kit.http import application
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Session
from services.kit.ids import new_id
from services.kit.settings import ServiceSettings
from tests.serving import make_settings

STATEMENTS = (
    *tables.STATEMENTS,
    *vault.STATEMENTS,
    # The partner is looked for at the commit: what fails there has passed every statement before.
    """
    CREATE TABLE lamps (
        id uuid PRIMARY KEY, words text NOT NULL,
        partner_id uuid REFERENCES lamps DEFERRABLE INITIALLY DEFERRED
    )
    """,
    """
    CREATE FUNCTION come_again() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'come again' USING ERRCODE = 'serialization_failure'; END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER lamps_come_again AFTER INSERT ON lamps DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.words = 'come again') EXECUTE FUNCTION come_again()
    """,
)
REFUSALS: dict[str, type[Problem]] = {
    "rejected": Rejected,
    "unreadable": Unreadable,
    "forbidden": Forbidden,
    "not_found": NotFound,
    "conflict": Conflict,
    "stale": Stale,
    "unavailable": Unavailable,
}

router = application.make_router("/lamps")


class Lamp(BaseModel):
    model_config = ConfigDict(extra="forbid")

    words: Annotated[str, Field(max_length=200)]
    watts: Annotated[int, Field(ge=1, le=100)] = 10
    warmth: float = 0
    partner_id: UUID | None = None
    spares: list[Any] = []


class LampView(BaseModel):
    lamp_id: UUID
    words: str


@router.post("", response_model=LampView, status_code=201)
async def light(body: Lamp, session: Session, once: OnceOnly) -> Response:
    """Light a lamp, once."""
    if body.words == "wait":
        await session.execute(text("SELECT pg_advisory_xact_lock(1)"))
    lamp_id = await insert(session, body)
    if body.words == "refuse":
        raise Rejected("lamps.too_dark", "It is too dark for this lamp")
    view = LampView(lamp_id=lamp_id, words=body.words)
    return await once.accept(view, status=201, location=f"/v1/lamps/{lamp_id}")


@router.post("/many", status_code=201)
async def light_again(body: Lamp, session: Session, caller: Caller) -> LampView:
    """Light a lamp at each request."""
    return LampView(lamp_id=await insert(session, body), words=body.words)


@router.get("")
async def list_lamps(session: Session, caller: Caller, paging: PagingAsked) -> Page[LampView]:
    """List lamps."""
    rows = await session.execute(
        text("""
            SELECT id, words FROM lamps WHERE CAST(:after AS uuid) IS NULL OR id > :after
            ORDER BY id LIMIT :limit
        """),
        {"after": paging.after, "limit": paging.limit + 1},
    )
    return paging.page(
        rows.all(), lambda row: LampView(lamp_id=row.id, words=row.words), row_id=lambda row: row.id
    )


@router.get("/refusals/{kind}")
async def refuse(kind: str, caller: Caller) -> None:
    """Refuse in each way there is."""
    fault = Fault(
        "/words", "lamps.dark", {"asked": 3, "available": 1, "until": datetime(2022, 1, 1, tzinfo=UTC)}
    )
    raise REFUSALS[kind]("lamps.dark", "It is dark", faults=[fault], retry_after=7)


@router.get("/failures/{secret}")
async def fail(secret: str, caller: Caller) -> None:
    """Fail with the input in the message."""
    raise LookupError(secret)


@router.get("/pauses/{seconds}")
async def pause(seconds: float, session: Session, caller: Caller) -> LampView:
    """Hold a connection for a while."""
    await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})
    return LampView(lamp_id=new_id(), words="")


@router.get("/{lamp_id}")
async def show(lamp_id: UUID, session: Session, caller: Caller) -> LampView:
    """Show a lamp."""
    row = (
        await session.execute(text("SELECT words FROM lamps WHERE id = :id"), {"id": lamp_id})
    ).one_or_none()
    if row is None:
        raise NotFound("lamps.lamp_unknown", "There is no such lamp")
    return LampView(lamp_id=lamp_id, words=row.words)


async def insert(session: Session, body: Lamp) -> UUID:
    lamp_id = new_id()
    await session.execute(
        text("INSERT INTO lamps (id, words, partner_id) VALUES (:id, :words, :partner_id)"),
        {"id": lamp_id, "words": body.words, "partner_id": body.partner_id},
    )
    return lamp_id


def create_app(settings: ServiceSettings) -> FastAPI:
    return application.create(settings, title="lamps", routers=[router], words=["tests.kit"])


@dataclass(frozen=True, slots=True)
class Running:
    app: FastAPI
    client: httpx.AsyncClient


@asynccontextmanager
async def running(folder: Any, url: str, **given: Any) -> AsyncIterator[Running]:
    """Run the application in this process; an exception that no part of it answers is the test's own."""
    app = create_app(make_settings(ServiceSettings, folder, url, **given))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://lamps") as client:
            yield Running(app, client)


async def prepare(url: str) -> None:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))
    async with engine.begin() as connection:
        for statement in STATEMENTS:
            await connection.execute(text(statement))
        await tables.make_partitions(connection, datetime.now(UTC).date())
    await engine.dispose()
