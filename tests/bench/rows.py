"""A row of the table: what was measured, beside what, how often, and whether it was correct."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any, Literal

from tests.bench.stage import describe_machine


class Incorrect(Exception):
    """What was fast was wrong: something is lost, doubled or oversold."""


@dataclass(frozen=True)
class Spread:
    """The median of the rounds, the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, kw_only=True)
class Row:
    """A measured row; `target` is a bound of the ratio, from below or (`at_most`) from above."""

    id: str
    what: str
    ours: Spread
    reference: Spread | None
    unit: str
    ratio: Spread
    target: float | None
    bound: Literal["at_least", "at_most"] = "at_least"
    correct: bool = True
    rounds: Sequence[Mapping[str, Any]] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool | None:
        if self.target is None:
            return None
        found = self.ratio.median
        return found >= self.target if self.bound == "at_least" else found <= self.target

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "holds": self.holds,
            "machine": describe_machine(),
            "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        }


def compare(  # noqa: PLR0913 - the columns of a row
    name: str,
    what: str,
    rounds: Sequence[Mapping[str, Any]],
    *,
    ours: str,
    reference: str,
    of: Callable[[Any], float],
    unit: str,
    target: float | None,
    bound: Literal["at_least", "at_most"] = "at_least",
    notes: Mapping[str, Any] | None = None,
) -> Row:
    """Return the row of two of the contestants of interleaved rounds; the ratio is each round's own."""
    own, other = [[of(one[who]) for one in rounds] for who in (ours, reference)]
    return Row(
        id=name,
        what=what,
        ours=Spread.of(own),
        reference=Spread.of(other),
        unit=unit,
        ratio=Spread.of([a / b for a, b in zip(own, other, strict=True)]),
        target=target,
        bound=bound,
        rounds=[{ours: a, reference: b} for a, b in zip(own, other, strict=True)],
        notes=notes or {},
    )


def against(  # noqa: PLR0913 - the columns of a row
    name: str,
    what: str,
    values: Sequence[float],
    *,
    unit: str,
    target: float,
    notes: Mapping[str, Any] | None = None,
) -> Row:
    """Return the row of a figure that must not pass a limit of its own: the limit is its reference."""
    return Row(
        id=name,
        what=what,
        ours=Spread.of(values),
        reference=Spread.of([target]),
        unit=unit,
        ratio=Spread.of([value / target for value in values]),
        target=1.0,
        bound="at_most",
        rounds=[{"ours": value} for value in values],
        notes=notes or {},
    )
