"""What goes wrong in a trial, drawn from the seed: who, how, and after how many orders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

FREEZES_A_KILL = 0.2
STOPS_A_KILL = 0.1
KILLS_A_WIPE = 150
ARMED_PERCENT = 80
# Of the armed lives: what else they die of, should they be asked to stop.
STOPPING_PERCENT = 30
LONGEST_FREEZE = 4.0

WEIGHTS = {
    "catalog (API)": 2, "catalog (worker)": 3, "orders (API)": 3, "orders (worker)": 3,
    "dispatch (API)": 1, "dispatch (worker)": 2, "whitelist (API)": 1, "whitelist (worker)": 1,
    "PostgreSQL": 2, "Envoy": 2, "Kafka": 2,
}  # fmt: skip
OF_API = ("key.kept", "request.committing", "request.committed", "process.started")
OF_WORKER = (
    "relay.selected", "relay.sent", "relay.acked", "relay.deleted", "consumer.fetched", "inbox.marked",
    "consumer.committing", "consumer.committed", "consumer.rebalanced", "timer.claimed", "process.started",
)  # fmt: skip
# Nobody asks the other two for anything while the load goes on.
ASKED = ("catalog (API)", "orders (API)")
# Whitelist consumes nothing, and has next to nothing to send while it is asked for nothing.
OF_WHITELIST = ("relay.selected", "relay.sent", "relay.acked", "relay.deleted", "timer.claimed")
ONCE_ONLY = ("process.started", "consumer.rebalanced")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong once `after` requests were sent; `points` arm the target's next life."""

    after: int
    kind: str
    target: str
    seconds: float = 0.0
    points: str = ""


def draw(chance: Random, *, requests: int, kills: int, bus: str) -> list[Fault]:
    """Return so many kills spread over so many requests, with freezes, stops and a wiped bus between them."""
    targets = [target for target in WEIGHTS if target != "Kafka" or bus == "kafka"]
    kinds = ["kill"] * kills
    kinds += ["freeze"] * round(kills * FREEZES_A_KILL) + ["stop"] * round(kills * STOPS_A_KILL)
    chance.shuffle(kinds)
    for number in range(max(1, kills // KILLS_A_WIPE)):
        # In the middle of each stretch: what was before it has to come again, what is after it once.
        stretch = len(kinds) / max(1, kills // KILLS_A_WIPE)
        kinds.insert(int((number + 0.5) * stretch), "wipe")
    times = _spread(chance, requests, len(kinds))
    return [_draw_one(chance, kind, after, targets) for kind, after in zip(kinds, times, strict=True)]


def _spread(chance: Random, requests: int, count: int) -> Iterator[int]:
    step = requests * 0.9 / count
    for number in range(count):
        yield int(step * (number + chance.random() * 0.8) + requests * 0.02)


def _draw_one(chance: Random, kind: str, after: int, targets: Sequence[str]) -> Fault:
    if kind == "wipe":
        return Fault(after=after, kind=kind, target="the bus")
    if kind == "stop":
        processes = [target for target in targets if target.endswith(("(API)", "(worker)"))]
        return Fault(after=after, kind=kind, target=_choose(chance, processes))
    target = _choose(chance, targets)
    if kind == "freeze":
        seconds = round(chance.uniform(0.3, LONGEST_FREEZE), 2)
        return Fault(after=after, kind=kind, target=target, seconds=seconds)
    return Fault(after=after, kind=kind, target=target, points=_draw_points(chance, target))


def _choose(chance: Random, targets: Sequence[str]) -> str:
    return chance.choices(targets, [WEIGHTS[target] for target in targets])[0]


def _draw_points(chance: Random, target: str) -> str:
    if not target.endswith(("(API)", "(worker)")) or chance.randrange(100) >= ARMED_PERCENT:
        return ""
    point = chance.choice(_points_of(target))
    action = chance.choices(("crash", "error", f"delay:{chance.uniform(0.5, 3):.1f}", "hang"), (6, 2, 1, 1))[
        0
    ]
    if point == "process.started":
        action = "crash"
    armed = f"{point}={action}@{1 if point in ONCE_ONLY else chance.randint(1, 2)}"
    return armed + (",process.stopping=crash" if chance.randrange(100) < STOPPING_PERCENT else "")


def _points_of(target: str) -> tuple[str, ...]:
    """Return what a process comes by under this load; the goods are catalog's alone."""
    if target == "whitelist (worker)":
        return OF_WHITELIST
    if target.endswith("(API)") and target not in ASKED:
        return ("process.started",)
    points = OF_API if target in ASKED else OF_WORKER
    return (*points, "stock.changed", "stock.changed") if target.startswith("catalog") else points
