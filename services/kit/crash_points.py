"""Places where a test lets a process die, fail, wait or hang; unarmed, each is a look at an empty dict.

A process is armed by its entry from the variable `BATON_CRASH_POINTS`, for its whole life:
`relay.sent=crash@3,inbox.marked=delay:2.0` is a crash the third time, and two seconds the first time.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

log = structlog.get_logger()

VARIABLE: Final = "BATON_CRASH_POINTS"

POINTS: Final = {
    "key.kept": "an idempotency key's row is written, its effect not committed",
    "stock.changed": "stock is promised, given back or counted, and not committed",
    "request.committing": "a request, or a batch of them, is done but for its COMMIT",
    "request.committed": "it is committed, and nobody has been answered",
    "relay.selected": "pending events are read, none is sent",
    "relay.sent": "they are handed to the bus, which has not acknowledged them",
    "relay.acked": "the bus has them all, they are still pending",
    "relay.deleted": "they are pending no more",
    "consumer.fetched": "records have come, none is marked",
    "inbox.marked": "they are marked, nothing is applied",
    "consumer.committing": "they are applied and not committed",
    "consumer.committed": "they are committed, their offsets are not",
    "consumer.rebalanced": "partitions have just passed to this member",
    "timer.claimed": "a timer has claimed and done its rows, nothing is committed",
    "migration.applied": "new tables are made and not committed",
    "process.started": "a process is built and has not begun",
    "process.stopping": "a process was told to stop and is finishing what it has",
}


class CrashPointsUnusable(ValueError):
    """What is to be armed has no such form, point or action; the message names it."""


class Injected(OSError):
    """A failure that was asked for: like a lost connection, one that passes by itself."""


@dataclass(frozen=True, slots=True)
class Armed:
    """What happens at a point, and the how manieth time it is come by."""

    action: str
    seconds: float
    at: int


_armed: dict[str, list[Armed]] = {}
_reached: dict[str, int] = {}


async def reach(point: str) -> None:
    """Come by a point; where nothing is armed, nothing happens."""
    if _armed and point in _armed:
        await _come_by(point)


def arm(given: str) -> None:
    """Arm this process, in place of what was armed; raise `CrashPointsUnusable` naming what is wrong."""
    read = [_read(each.strip()) for each in given.split(",") if each.strip()]
    _armed.clear()
    _reached.clear()
    for point, armed in read:
        _armed.setdefault(point, []).append(armed)
    if read:
        # Whoever finds this in the log of a system that people depend on shall see it.
        log.error("crash_points.armed", points=given)


def _read(given: str) -> tuple[str, Armed]:
    point, equals, rest = given.partition("=")
    if not equals:
        raise CrashPointsUnusable(f"{given!r} is not point=action[:seconds][@times]")
    if point not in POINTS:
        raise CrashPointsUnusable(f"there is no crash point {point!r}; there are {', '.join(POINTS)}")
    words, at, times = rest.partition("@")
    action, colon, seconds = words.partition(":")
    if action not in ACTIONS:
        raise CrashPointsUnusable(f"{point} cannot {action!r}; it can {', '.join(ACTIONS)}")
    if bool(colon) != (action == "delay"):
        raise CrashPointsUnusable(f"{given!r}: delay has seconds (delay:2.0), the others have none")
    try:
        read = Armed(action, float(seconds or 0), int(times) if at else 1)
    except ValueError:
        read = Armed(action, 0, 0)
    if read.at < 1 or not 0 <= read.seconds < float("inf"):
        raise CrashPointsUnusable(f"{given!r}: seconds and times are numbers, times at least 1")
    return point, read


async def _come_by(point: str) -> None:
    _reached[point] = _reached.get(point, 0) + 1
    for armed in _armed[point]:
        if armed.at == _reached[point]:
            log.warning("crash_point.reached", point=point, action=armed.action, times=armed.at)
            await ACTIONS[armed.action](point, armed.seconds)


async def _crash(_point: str, _seconds: float) -> None:
    # Not an exit: nothing is flushed, closed, rolled back or said, as when the machine ends it.
    os.kill(os.getpid(), signal.SIGKILL)


async def _fail(point: str, _seconds: float) -> None:
    raise Injected(f"asked for at {point}")


async def _delay(_point: str, seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _hang(_point: str, _seconds: float) -> None:
    await asyncio.Event().wait()


ACTIONS: Final[dict[str, Callable[[str, float], Awaitable[None]]]] = {
    "crash": _crash,
    "error": _fail,
    "delay": _delay,
    "hang": _hang,
}
