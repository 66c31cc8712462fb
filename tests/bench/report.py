"""What was measured: as JSON, as a table on the terminal, as the table of docs/performance.md."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.rows import Row

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "build/bench/results.json"
DOCUMENT = ROOT / "docs/performance.md"
BEGINS, ENDS = "<!-- measured: begins -->", "<!-- measured: ends -->"
SIGNS = {True: "yes", False: "**no**", None: "reported"}
COLUMNS = ("row", "what", "ours", "reference", "unit", "ratio (least to most)", "target", "holds")


def keep(rows: Iterable[Row]) -> None:
    """Write rows among those that were measured before; a row is its last run."""
    known = {row["id"]: row for row in load()}
    known |= {row.id: row.as_json() for row in rows}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(known.values(), key=lambda row: _order(row["id"]))
    RESULTS.write_text(json.dumps(ordered, indent=1))


def load() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return found


def show(rows: Iterable[Mapping[str, Any]], console: Console) -> None:
    table = Table(*COLUMNS, title="make bench")
    for row in rows:
        table.add_row(*(each.replace("**", "") for each in _cells(row)))
    console.print(table)


def write_table(document: Path = DOCUMENT) -> None:
    """Put the results between the two marks of the document: no figure there is typed by hand."""
    rows = load()
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    lines += ["", "What stands beside the ratios:", ""]
    lines += [f"- {row['id']}: {_note(row['notes'])}" for row in rows if row["notes"]]
    when = sorted({f"{row['machine']}, {row['date'][:10]}" for row in rows})
    lines += ["", f"Measured on: {'; '.join(when)}."]
    before, _, rest = document.read_text().partition(BEGINS)
    _, _, after = rest.partition(ENDS)
    document.write_text(f"{before}{BEGINS}\n\n" + "\n".join(lines) + f"\n\n{ENDS}{after}")


def _cells(row: Mapping[str, Any]) -> list[str]:
    ratio, target = row["ratio"], row["target"]
    sign = "≥" if row["bound"] == "at_least" else "≤"
    return [
        row["id"],
        row["what"],
        _figure(row["ours"]["median"]),
        _figure(row["reference"]["median"]) if row["reference"] else "",
        row["unit"],
        f"{_figure(ratio['median'])} ({_figure(ratio['least'])} to {_figure(ratio['most'])})",
        f"{sign} {_figure(target)}" if target is not None else "",
        SIGNS[row["holds"]] if row["correct"] else "**INCORRECT**",
    ]


def _figure(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _note(notes: Mapping[str, Any]) -> str:
    said = {name: _figure(value) if isinstance(value, float) else value for name, value in notes.items()}
    return "; ".join(f"{name} {value}" for name, value in said.items())


def _order(name: str) -> tuple[int, str]:
    digits = "".join(filter(str.isdigit, name))
    return int(digits), name
