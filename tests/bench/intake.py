"""B1, B2: an order accepted durably, beside the framework's ceiling and an ORM; and through the gateway."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from services.kit.ids import new_id
from tests.bench import stage, town
from tests.bench.rows import Incorrect, Row, compare
from tests.bench.stage import Stage
from tests.bench.town import Town

FEW, MANY = 32, 256
THROUGH = " through the gateway"
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
            "journal": who.startswith("ours"),
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

    def open_gateways(self) -> None:
        """Put a gateway of its own before ours and before the no-op, the configuration being the same."""
        for who in ("ours", "no-op"):
            self.ports[who + THROUGH] = self.up.open_gateway("orders", self.ports[who])


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


def measure_through(up: Stage) -> Sequence[Row]:
    contest = Contest(up)
    contest.open_gateways()
    rounds = []
    for _ in range(up.rounds):
        found = {who: contest.drive(who, connections=MANY) for who in ("ours", "ours" + THROUGH)}
        rate = found["ours" + THROUGH]["per_second"] / 2
        for who in ("ours", "no-op"):
            found[f"{who} at half"] = contest.drive(who + THROUGH, connections=MANY, rate=rate)
        rounds.append(found)
        contest.check()
    return [
        compare(
            "B2a",
            f"POST /v1/orders through Envoy beside straight at the service, {MANY} connections",
            rounds,
            ours="ours" + THROUGH,
            reference="ours",
            of=lambda found: float(found["per_second"]),
            unit="orders/s",
            target=0.85,
        ),
        compare(
            "B2b",
            "its p99 at half of that load, beside the no-op's through the same Envoy",
            rounds,
            ours="ours at half",
            reference="no-op at half",
            of=lambda found: float(found["p99_ms"]),
            unit="ms",
            target=3,
            bound="at_most",
            notes={"orders/s asked for": median(found["ours at half"]["per_second"] for found in rounds)},
        ),
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
