"""`python -m tests.bench [rows…]`: measure, check, print; ends with 1 where something was incorrect."""

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer
from rich.console import Console

from tests.bench import consuming, intake, journey, relaying, report, resting, stage, stock
from tests.bench.rows import Incorrect, Row
from tests.bench.stage import Stage

Measure = Callable[[Stage], Sequence[Row]]
ROWS: Mapping[str, Measure] = {
    "B1": intake.measure,
    "B2": intake.measure_through,
    "B3": stock.measure,
    "B4": journey.measure,
    "B5": relaying.measure,
    "B6": consuming.measure,
    "B13": resting.measure_memory,
    "B14": resting.measure_start,
}
console = Console(width=170)


def main(
    rows: Annotated[list[str] | None, typer.Argument(help="B1, B2, …; all if none is named")] = None,
    *,
    rounds: int = 5,
    seconds: float = 2.5,
    write_table: bool = False,
) -> None:
    """Measure rows one after the other and keep what was found in build/bench/results.json."""
    if write_table:
        report.write_table()
        return
    # Whoever ends a run ends what it has started, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wrong: list[str] = []
    with stage.running(rounds=rounds, seconds=seconds) as up:
        for name in rows or ROWS:
            started = time.monotonic()
            try:
                found = ROWS[name](up)
            except Incorrect as error:
                wrong.append(f"{name}: {error}")
                continue
            report.keep(found)
            report.show([row.as_json() for row in found], console)
            console.print(f"{name} took {time.monotonic() - started:.0f} s")
    if not rows:
        report.show(report.load(), console)
    if wrong:
        sys.exit("bench: incorrect: " + "; ".join(wrong))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(main)
    app()
