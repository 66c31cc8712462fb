"""A wave solved in a process of its own: no event loop waits for it, and it can be ended at any moment.

`python -m services.dispatch.plans.apart` reads a wave from its input and writes its plan to its output.
"""

import asyncio
import pickle
import sys

from services.dispatch.plans.domain import Solution, Violation, Wave, find_violations

STARTS_WITHIN = 20.0


class SolverDied(Exception):
    """The solver ended without an answer, or gave none in time."""


async def solve(wave: Wave, *, seconds: float, seed: int) -> tuple[Solution, list[Violation]]:
    """Return a plan and what is unlawful about it; raise `SolverDied` where there is no answer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds + STARTS_WITHIN):
            answer, _ = await process.communicate(pickle.dumps((wave, seconds, seed)))
    except TimeoutError as error:
        raise SolverDied("no answer in time") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise SolverDied(f"ended with {process.returncode}")
    made: tuple[Solution, list[Violation]] = pickle.loads(answer)  # noqa: S301 - from the process above
    return made


def main() -> None:
    """Solve the one wave of the input."""
    from services.dispatch.plans import model  # noqa: PLC0415 - whoever waits for it needs no solver

    wave, seconds, seed = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - from the process that started this
    solution = model.plan_wave(wave, seconds=seconds, seed=seed)
    sys.stdout.buffer.write(pickle.dumps((solution, find_violations(wave, solution))))


if __name__ == "__main__":
    main()
