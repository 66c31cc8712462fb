"""The worker's solver: plans that wait are solved apart, no transaction being open meanwhile."""

import asyncio
from collections.abc import Awaitable
from typing import Final, Protocol

import structlog

from services.dispatch.plans import apart, application
from services.dispatch.plans.domain import Solution, Violation, Wave
from services.kit import database, failures
from services.kit.database import Sessions
from services.kit.loops import Pause

log = structlog.get_logger()

LOOKS_EVERY: Final = 0.25


class Solve(Protocol):
    """How a wave is solved: `apart.solve`, or what a test gives instead."""

    def __call__(
        self, wave: Wave, *, seconds: float, seed: int
    ) -> Awaitable[tuple[Solution, list[Violation]]]:
        """Return a plan and what is unlawful about it."""
        ...


async def keep_solving(sessions: Sessions) -> None:
    """Solve what waits until cancelled, which ends a running solver; its lease over, a plan is anyone's."""
    pause = Pause(least=0.5, most=30.0)
    while True:
        try:
            done = await solve_next(sessions)
        except Exception as failed:  # noqa: BLE001 - the edge: one plan's defect must not stop the others
            tell = log.warning if failures.is_passing(failed) else log.error
            tell("plan.attempt_failed", error=failures.describe(failed))
            await asyncio.sleep(pause.next())
            continue
        pause.reset()
        if not done:
            await asyncio.sleep(LOOKS_EVERY)


async def solve_next(sessions: Sessions, solve: Solve = apart.solve) -> bool:
    """Solve the oldest plan that waits; return whether there was one."""
    async with sessions.begin() as session:
        claimed = await application.claim_plan(session, await database.now(session))
    if claimed is None:
        return False
    solution, violations = await solve(claimed.wave, seconds=claimed.seconds, seed=claimed.seed)
    async with sessions.begin() as session:
        await application.store_solution(session, claimed, solution, violations, await database.now(session))
    return True
