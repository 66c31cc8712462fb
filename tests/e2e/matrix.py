"""Who may do what, as one reviewed table says it; and a service of which every call is undone."""

import csv
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.kit import database
from services.kit.http.listening import BrokenOff
from services.kit.ids import new_id
from tests import serving
from tests.e2e.seams import LIST_TABLES

TABLE = Path(__file__).with_name("access.csv")
NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table: a request for one thing, and how each who may ask is answered."""

    service: str
    request: str
    thing: str
    cells: Mapping[str, str]

    @property
    def method(self) -> str:
        return self.request.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.request.partition(" ")[2]


def read_table() -> list[Row]:
    lines = [line for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    head, *rest = [[cell.strip() for cell in cells] for cells in csv.reader(lines)]
    return [
        Row(service=cells[0], request=cells[1], thing=cells[2],
            cells=dict(zip(head[3:], cells[3:], strict=True)))
        for cells in rest
    ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A request with everything that it says."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any = None
    sheet: str | None = None


@dataclass(kw_only=True)
class Stage:
    """A service that answers and forgets: what a call writes is there until `again`, and then never was."""

    app: FastAPI
    client: httpx.AsyncClient
    connection: AsyncConnection

    @asynccontextmanager
    async def again(self, *before: str) -> AsyncIterator[None]:
        """Give the calls inside one transaction, which first does `before`; at the end it is undone."""
        transaction = await self.connection.begin()
        try:
            for statement in before:
                await self.connection.execute(text(statement))
            yield
        finally:
            await transaction.rollback()

    async def ask(self, asking: Asking, head: Mapping[str, str]) -> httpx.Response:
        if asking.path.endswith("/events"):
            return await _knock(self.app, asking.path, head)
        given: dict[str, Any] = {"headers": {**head, "idempotency-key": new_id().hex}}
        if asking.sheet is not None:
            given["headers"]["content-type"] = "text/csv"
            given["content"] = asking.sheet.encode()
        elif asking.body is not None:
            given["json"] = asking.body
        return await self.client.request(asking.method, asking.path, params=asking.query, **given)

    async def look(self) -> dict[str, Any]:
        """Return how many rows each table has and a digest of what stands in them."""
        tables = [row[0] for row in await self.connection.execute(text(LIST_TABLES))]
        each = "SELECT '{0}', count(*), sum(hashtextextended(row::text, 0)) FROM {0} AS row"
        found = await self.connection.execute(text(" UNION ALL ".join(each.format(name) for name in tables)))
        return {row[0]: (row[1], row[2]) for row in found}


@asynccontextmanager
async def staging(service: str, url: str, folder: Path) -> AsyncIterator[Stage]:
    """Yield a service whose sessions all live on one connection, inside a transaction of the test's."""
    module = import_module(f"services.{service}.settings")
    settings = serving.make_settings(getattr(module, f"{service.capitalize()}Settings"), folder, url)
    app: FastAPI = import_module(f"services.{service}.main").create_app(settings)
    engine: AsyncEngine = database.create_engine(url)
    async with serving.client_of(lambda _: app, settings) as client, engine.connect() as connection:
        app.state.sessions.configure(bind=connection, join_transaction_mode="create_savepoint")
        yield Stage(app=app, client=client, connection=connection)
    await engine.dispose()


class _Left(OSError):
    """Whoever asked has gone."""


async def _knock(app: FastAPI, path: str, head: Mapping[str, str]) -> httpx.Response:
    """Return how a stream begins, and leave before it has told anything."""
    status, body = 0, b""

    async def send(message: Any) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")
        if status == 200:
            raise _Left

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1",
        "method": "GET", "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "headers": [(name.encode(), value.encode()) for name, value in head.items()],
        "client": ("127.0.0.1", 1), "server": ("service", 80),
    }  # fmt: skip
    with suppress(BrokenOff):
        await app(scope, receive, send)
    return httpx.Response(status, content=body)


def judge(
    answer: httpx.Response, missing: httpx.Response | None, thing: str | None, rules: Sequence[str]
) -> str:
    """Return the table's word for an answer; `missing` is what was said of a thing that does not exist."""
    is_told_apart = missing is not None and _told(missing) != _told(answer)
    is_judged = answer.status_code in {409, 422} and answer.json()["code"] in rules
    word = f"{answer.status_code} {answer.text}"
    match answer.status_code:
        case 401:
            word = "401"
        case 403:
            word = "seen" if is_told_apart else "no"
        case 404:
            word = f"404 unlike {missing.text}" if missing and is_told_apart else "404"
        case _ if is_judged or (answer.is_success and not _is_nothing(answer, thing)):
            word = "yes"
        case _ if answer.is_success:
            word = "seen" if is_told_apart else "none"
    return word


def _told(answer: httpx.Response) -> tuple[int, bytes, str | None]:
    return answer.status_code, answer.content, answer.headers.get("content-type")


def _is_nothing(answer: httpx.Response, thing: str | None) -> bool:
    """Say whether an answer has not the thing, or did nothing of what was asked."""
    if thing is not None:
        return thing not in answer.text
    if "json" not in answer.headers.get("content-type", "") or not answer.content:
        return False
    told = answer.json()
    items = told.get("items") if isinstance(told, dict) else None
    return bool(items) and all(isinstance(item, dict) and item.get("outcome") == "refused" for item in items)
