"""`baton run` and `baton demo`: everything on this machine."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Bus = Annotated[Literal["postgres", "kafka"], typer.Option(envvar="BUS", help="the embedded bus, or Kafka")]
Kafka = Annotated[str | None, typer.Option(envvar="KAFKA_BOOTSTRAP", help="a Kafka that is already there")]
Port = Annotated[int, typer.Option(envvar="PORT", min=1, max=65535, help="the gateway's")]
Data = Annotated[Path | None, typer.Option(envvar="DATA", help="the folder that keeps everything")]

DEFAULT_PORT = 8080


def run(
    *, bus: Bus = "postgres", kafka_bootstrap: Kafka = None, port: Port = DEFAULT_PORT, data: Data = None
) -> None:
    """Run everything, with a small village loaded, until Ctrl-C; the next run goes on with its data."""
    from services.console.commands import staging  # noqa: PLC0415 - a service's process needs no machine

    staging.run(bus=bus, kafka_bootstrap=kafka_bootstrap, port=port, data=data)


def demo(
    *, bus: Bus = "postgres", kafka_bootstrap: Kafka = None, port: Port = DEFAULT_PORT, data: Data = None
) -> None:
    """Play the real cases through the gateway, in a fresh folder, and write the situation report."""
    from services.console.commands import staging  # noqa: PLC0415 - a service's process needs no machine

    staging.demo(bus=bus, kafka_bootstrap=kafka_bootstrap, port=port, data=data)
