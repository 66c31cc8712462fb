"""The `baton` command: every verb a person or a process manager types."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from services.console.commands import gateway, parked, tokens, town
from services.console.machine.databases import SERVICES

app = typer.Typer(
    name="baton", help="保供接力: the backend that feeds a sealed-off district.", no_args_is_help=True,
    pretty_exceptions_enable=False, add_completion=False,
)  # fmt: skip
app.command("run")(town.run)
app.command("demo")(town.demo)
app.command("token")(tokens.token)
app.add_typer(parked.app, name="parked")
app.add_typer(gateway.app, name="gateway")
app.add_typer(parked.outbox, name="outbox")

Service = Annotated[str, typer.Argument(help=f"one of {', '.join(SERVICES)}")]


@app.command()
def serve(service: Service) -> None:
    """Run the API process of a service; its settings are variables with the prefix BATON_."""
    import uvloop  # noqa: PLC0415 - the other verbs need no service

    from services.console import entry  # noqa: PLC0415 - the other verbs need no service

    uvloop.run(entry.serve(_known(service)))


@app.command()
def work(service: Service) -> None:
    """Run the worker process of a service: what it consumes, what it sends, its timers."""
    import uvloop  # noqa: PLC0415 - the other verbs need no service

    from services.console import entry  # noqa: PLC0415 - the other verbs need no service

    uvloop.run(entry.work(_known(service)))


@app.command()
def migrate(
    service: Service, database_url: Annotated[str, typer.Option(envvar="BATON_DATABASE_URL")]
) -> None:
    """Bring a service's tables to their newest version."""
    from services.console import entry  # noqa: PLC0415 - the other verbs need no service
    from services.kit import migrations  # noqa: PLC0415 - the other verbs need no Alembic

    entry.arm_crash_points()
    asyncio.run(migrations.upgrade(_known(service), database_url))


@app.command()
def documents(
    folder: Annotated[Path, typer.Argument(help="where the documents lie")] = Path("docs"),
    *,
    check: bool = False,
) -> None:
    """Write the OpenAPI and AsyncAPI documents; with --check, only say which have drifted."""
    from services.console import documents as made  # noqa: PLC0415 - the other verbs need no service

    drifted = made.find_drift(folder)
    if check and drifted:
        sys.exit(
            "these documents are not what the code says (`baton documents` writes them): "
            + ", ".join(map(str, drifted))
        )
    if not check:
        made.write(folder)


def _known(service: str) -> str:
    if service not in SERVICES:
        raise typer.BadParameter(f"there is no service {service}; there are {', '.join(SERVICES)}")
    return service
