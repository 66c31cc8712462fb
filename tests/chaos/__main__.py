"""`python -m tests.chaos`: a trial of any size by its seed; with `demo`, the demo under kills."""

import sys
import time
from collections.abc import Callable
from typing import Annotated, Literal

import typer
from rich.console import Console

from tests.chaos import demo as demos
from tests.chaos import report, trial
from tests.chaos.trial import KEPT, Trial

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
console = Console(highlight=False)

Seed = Annotated[int, typer.Option(envvar="SEED")]
Bus = Annotated[Literal["postgres", "kafka"], typer.Option(envvar="BUS")]


@app.callback(invoke_without_command=True)
def run(  # noqa: PLR0913 - each is a fact of the trial
    context: typer.Context,
    *,
    seed: Seed = 1,
    orders: Annotated[int, typer.Option(envvar="ORDERS", min=1)] = 20_000,
    kills: Annotated[int, typer.Option(envvar="KILLS", min=1)] = 300,
    bus: Bus = "kafka",
    rate: Annotated[float, typer.Option(envvar="RATE", help="orders a second")] = trial.RATE,
) -> None:
    """Run a trial; the exit code says whether every invariant held."""
    if context.invoked_subcommand:
        return
    one = Trial(seed=seed, orders=orders, kills=kills, bus=bus, rate=rate)
    console.print(f"seed {seed}: {orders} orders, {kills} kills, bus {bus}")
    made = trial.run(one, _teller())
    report.show(made, console)
    path = KEPT / f"{one.name}.json"
    report.write(made, path)
    console.print(f"written to {path.relative_to(trial.CHECKOUT)}")
    if made.violations:
        sys.exit(f"chaos: seed {seed} violates {', '.join(sorted(made.violations))}")


@app.command()
def demo(
    *,
    seed: Seed = 1,
    bus: Bus = "postgres",
    every: Annotated[float, typer.Option(help="seconds between two kills, about")] = 6.0,
) -> None:
    """Play the demo while its processes die one after the other; it has to end as if nothing had happened."""
    played = demos.play(seed, bus=bus, every=every, tell=_teller())
    console.print(played.said, markup=False, soft_wrap=True)
    console.print(f"{sum(played.kills.values())} kills: {dict(played.kills.most_common())}")
    sys.exit(played.exit_code)


def _teller() -> Callable[[str], None]:
    started = time.monotonic()

    def tell(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:6.1f} s[/]  {line}", soft_wrap=True, markup=True)

    return tell


if __name__ == "__main__":
    app()
