"""What a trial has shown: for a person a table, for a machine the same as JSON."""

import json
import os
import platform
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tests.chaos.invariants import SHOWN, Evidence, Sampler, Violations
from tests.chaos.journal import Journal
from tests.chaos.keeper import Keeper

if TYPE_CHECKING:
    from tests.chaos.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The counts of a trial, and what was violated: nothing, or it has failed."""

    seed: int
    bus: str
    at: str
    machine: str
    seconds: float
    orders: dict[str, int]
    first_told: dict[str, int]
    ended_as: dict[str, int]
    resolved: int
    kills: dict[str, int]
    deaths: dict[str, int]
    freezes: int
    stops: int
    wipes: int
    restarts: int
    points_reached: dict[str, int]
    events: int
    records: int
    copies_on_the_bus: int
    copies_seen_by_inbox: int
    samples: int
    samples_missed: int
    rested_after: float
    violations: Violations

    @property
    def killed(self) -> int:
        """Return how many processes were ended by SIGKILL, from outside."""
        return sum(self.kills.values())


def gather(  # noqa: PLR0913 - what a trial leaves behind
    trial: "Trial", journal: Journal, keeper: Keeper, sampler: Sampler, evidence: Evidence,
    *, ended_as: dict[str, int], copies: int, violations: Violations, rested: float, seconds: float,
) -> Report:  # fmt: skip
    """Put together what there is to tell."""
    events = sum(len(events) for events in evidence.written.values())
    distinct = {record.event_id for record in evidence.records}
    return Report(
        seed=trial.seed,
        bus=trial.bus,
        at=f"{datetime.now(UTC):%F %H:%M} UTC",
        machine=f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}",
        seconds=round(seconds, 1),
        orders=dict(sorted(journal.count().items())),
        first_told=dict(sorted(journal.first.items())),
        ended_as=ended_as,
        resolved=sum(ask.was_unknown for ask in journal.asks),
        kills=dict(keeper.kills.most_common()),
        deaths=dict(keeper.deaths.most_common()),
        freezes=sum(keeper.freezes.values()),
        stops=sum(keeper.stops.values()),
        wipes=keeper.wipes,
        restarts=sum(keeper.restarts.values()),
        points_reached=dict(sorted(points_reached(keeper.up.folder.logs).items())),
        events=events,
        records=len(evidence.records),
        copies_on_the_bus=len(evidence.records) - len(distinct),
        copies_seen_by_inbox=copies,
        samples=sampler.looked,
        samples_missed=sampler.missed,
        rested_after=round(rested, 1),
        violations=violations,
    )


def points_reached(logs: Path) -> Counter[str]:
    """Return how often each crash point did what it was armed for, as the processes' logs tell."""
    found: Counter[str] = Counter()
    for path in logs.glob("*.log"):
        for line in path.read_bytes().splitlines():
            if b"crash_point.reached" in line:
                told = json.loads(line)
                found[f"{told['point']} {told['action']}"] += 1
    return found


def write(report: Report, path: Path) -> None:
    """Keep it for a machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n")


def show(report: Report, console: Console) -> None:
    """Print it as a person reads it; of what was violated, the first rows of each."""
    table = Table(title=f"seed {report.seed} on {report.bus}", show_header=False)
    for name, value in asdict(report).items():
        if name != "violations":
            table.add_row(name.replace("_", " "), _worded(value))
    console.print(table)
    for name, rows in sorted(report.violations.items()):
        console.print(f"[red]{name} is violated, {len(rows)} rows:[/]")
        for row in rows[:SHOWN]:
            console.print(f"  {row}", soft_wrap=True, markup=False)
    if not report.violations:
        console.print("every invariant holds: I1 to I10")


def _worded(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count:,}" for name, count in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
