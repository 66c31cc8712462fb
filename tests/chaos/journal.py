"""What the clients asked and what they were told: `ok`, `refused`, or `unknown` until it is asked again."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

IN_FLIGHT = "kit.idempotency_in_flight"


class Outcome(StrEnum):
    """What a client knows of what it asked for."""

    OK = "ok"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Told:
    """One answer; no status where none came."""

    status: int | None
    body: bytes = b""

    @property
    def outcome(self) -> Outcome:
        """Return what the answer says: whatever may pass by itself says nothing."""
        if self.status is None or self.status >= 500 or self.status in (408, 429):
            return Outcome.UNKNOWN
        if self.status < 300:
            return Outcome.OK
        return Outcome.UNKNOWN if self.code == IN_FLIGHT else Outcome.REFUSED

    @property
    def code(self) -> str | None:
        """Return the problem's code, where it is one."""
        try:
            read = json.loads(self.body)
        except ValueError:
            return None
        return read.get("code") if isinstance(read, dict) else None


@dataclass(slots=True)
class Ask:
    """One thing that one caller wants once, and every answer it got; `reference` is found again in a row."""

    kind: str
    principal: str
    path: str
    key: str
    body: bytes
    reference: str
    token: str = field(repr=False)
    told: list[Told] = field(default_factory=list)
    # The same key with another body; never to be granted.
    abused: list[Told] = field(default_factory=list)

    @property
    def route(self) -> str:
        """Return what the service tells requests apart by, beside caller and key."""
        return f"POST {self.path}"

    @property
    def outcome(self) -> Outcome:
        """Return what is known: one yes is a yes; a no holds if nothing unknown came after it, nor before."""
        outcomes = [told.outcome for told in self.told]
        if Outcome.OK in outcomes:
            return Outcome.OK
        return outcomes[-1] if outcomes else Outcome.UNKNOWN

    @property
    def was_unknown(self) -> bool:
        """Say whether any answer left it open, so that it must be asked again."""
        return any(told.outcome is Outcome.UNKNOWN for told in self.told)

    @property
    def accepted(self) -> dict[str, Any]:
        """Return what the first yes said."""
        read: dict[str, Any] = json.loads(self.yeses[0])
        return read

    @property
    def yeses(self) -> list[bytes]:
        """Return the bodies of every yes: all must be the same, byte for byte."""
        return [told.body for told in self.told if told.outcome is Outcome.OK]


@dataclass
class Journal:
    """Everything that was asked in a trial."""

    asks: list[Ask] = field(default_factory=list)
    # Before anything was asked again at the end.
    first: Counter[str] = field(default_factory=Counter)

    def of(self, kind: str, outcome: Outcome | None = None) -> Iterator[Ask]:
        """Yield what was asked of a kind, with an outcome."""
        return (ask for ask in self.asks if ask.kind == kind and outcome in (None, ask.outcome))

    def count(self) -> Counter[str]:
        """Return how many of each kind have which outcome."""
        return Counter(f"{ask.kind} {ask.outcome}" for ask in self.asks)

    def write(self, path: Path) -> None:
        """Keep it, one ask a line; tokens are left out."""
        with path.open("w") as lines:
            for ask in self.asks:
                answers = [[told.status, told.body.decode(errors="replace")] for told in ask.told]
                line = {"kind": ask.kind, "outcome": ask.outcome, "principal": ask.principal,
                        "route": ask.route, "key": ask.key, "reference": ask.reference,
                        "body": ask.body.decode(), "told": answers}  # fmt: skip
                lines.write(json.dumps(line, ensure_ascii=False) + "\n")
