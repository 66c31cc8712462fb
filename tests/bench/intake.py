"""B1: an order accepted durably, straight at the service, beside the framework's ceiling and an ORM."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.kit.ids import new_id
from tests.bench import stage, town
from tests.bench.rows import Incorrect, Row, compare
from tests.bench.stage import Stage
from tests.bench.town import Town

FEW, MANY = 32, 256
WARM_UP = 0.7
Found = Mapping[str, Any]


class Contest:
    """Who answers on which port, and which orders ours has accepted so far."""

    def __init__(self, up: Stage) -> None:
        self.up = up
        self.town = Town.plant(up.database("orders"))
        self.requests = self.town.requests()
        self.accepted: list[str] = []
        self.ports = {
            "ours": up.serve("orders", self.town.url),
            "no-op": up.start("noop", "tests.bench.references.noop"),
            "ORM": up.start("orm", "tests.bench.references.orm", up.database()),
        }

    def drive(self, who: str, *, connections: int, **given: Any) -> Found:
        """Send orders for one turn; everything is answered when this returns."""
        plan = {
            "host": "127.0.0.1",
            "port": self.ports[who],
            "path": "/v1/orders",
            "prefix": f"{new_id()}-",
            "connections": connections,
            "seconds": self.up.seconds,
            "warm_up": WARM_UP,
            "journal": who == "ours",
            **self.requests,
            **given,
        }
        found = stage.call("tests.bench.load", plan, self.up.folder)
        if set(found["statuses"]) != {"202"}:
            raise Incorrect(f"{who} answered {found['statuses']}")
        self.accepted += found.pop("accepted")
        return found

    def check(self) -> None:
        """Raise `Incorrect` where an accepted order is lost or doubled in any of its places."""
        if faults := town.find_faults(self.town, self.accepted):
            raise Incorrect("; ".join(faults))


def measure(up: Stage) -> Sequence[Row]:
    contest = Contest(up)
    rounds = []
    for _ in range(up.rounds):
        rounds.append(
            {
                f"{who} {connections}": contest.drive(who, connections=connections)
                for connections in (FEW, MANY)
                for who in ("ours", "no-op", "ORM")
            }
        )
        contest.check()
    return [
        _row(rounds, "B1a", "no-op", FEW, 0.6),
        _row(rounds, "B1b", "no-op", MANY, 0.6),
        _row(rounds, "B1c", "ORM", FEW, 8),
        _row(rounds, "B1d", "ORM", MANY, 8),
    ]


def _row(rounds: Sequence[Found], name: str, reference: str, connections: int, target: float) -> Row:
    ours = f"ours {connections}"
    middle = sorted(rounds, key=lambda one: one[ours]["per_second"])[len(rounds) // 2]
    return compare(
        name,
        f"POST /v1/orders beside {reference}, {connections} connections",
        rounds,
        ours=ours,
        reference=f"{reference} {connections}",
        of=lambda found: float(found["per_second"]),
        unit="orders/s",
        target=target,
        notes={
            "p99 in ms of ours": middle[ours]["p99_ms"],
            "of the reference": middle[f"{reference} {connections}"]["p99_ms"],
            "generator's share of a core": middle[ours]["cpu_share"],
        },
    )
