"""`baton parked` and `baton outbox`: for when an event could not be applied, or the bus lost everything."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from services.console.machine import folder
from services.kit import consumer, database, parking, replay
from services.kit.database import Sessions

T = TypeVar("T")
OUTBOX_DAYS = 7
SHOWN = 200

app = typer.Typer(
    help="Events that could not be applied, kept with every later one of their key.", no_args_is_help=True
)
outbox = typer.Typer(help="What has left this service.", no_args_is_help=True)

Url = Annotated[
    str | None,
    typer.Option("--database-url", envvar="BATON_DATABASE_URL", help="else the run of this machine"),
]


@app.command("list")
def list_parked(service: str, *, database_url: Url = None) -> None:
    """Show what a service has parked: which key, why, since when; never what the events say."""

    async def read(sessions: Sessions) -> list[parking.Parked]:
        async with sessions() as session:
            return await parking.list_parked(session, consumer=service, limit=SHOWN)

    table = Table("topic", "key", "sequence", "event", "why", "parked at")
    for row in _in(service, database_url, read):
        table.add_row(row.topic, row.key, str(row.sequence), row.name, row.error, f"{row.parked_at:%F %T}")
    Console().print(table)


@app.command()
def release(service: str, topic: str, key: str, *, database_url: Url = None) -> None:
    """Apply what is parked of a key, in order; if it still fails, it stays parked."""
    handlers = import_module(f"services.{service}.consumers").HANDLERS

    async def apply(sessions: Sessions) -> int:
        return await consumer.release(sessions, consumer=service, topic=topic, key=key, handlers=handlers)

    typer.echo(f"applied {_in(service, database_url, apply)} events of {key}")


@outbox.command("replay")
def replay_outbox(
    service: str,
    *,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="a day; else all there is")
    ] = None,
    database_url: Url = None,
) -> None:
    """Send everything again after the bus lost it; who has applied an event passes it over.

    Stop the workers of all services first and start them last: they make the topics, and into a topic that is
    there what is newer would leave before what is put back.
    """
    day: date = since.date() if since else (datetime.now(UTC) - timedelta(days=OUTBOX_DAYS)).date()

    async def put_back(sessions: Sessions) -> int:
        async with sessions.begin() as session:
            return await replay.replay(await session.connection(), day)

    typer.echo(f"{_in(service, database_url, put_back)} events of {service} will leave again")


def _in(service: str, database_url: str | None, work: Callable[[Sessions], Awaitable[T]]) -> T:
    url = database_url or folder.database_url_of(service)
    if url is None:
        raise typer.BadParameter("no run goes on on this machine: give --database-url")

    async def run() -> T:
        engine = database.create_engine(url, pool_size=1)
        try:
            return await work(database.create_sessions(engine))
        finally:
            await engine.dispose()

    return asyncio.run(run())
