"""The solver's own process: it answers, it can be ended, and its end is noticed."""

import asyncio
import os
import signal
from contextlib import suppress

import psutil
import pytest

from services.dispatch import solving
from services.dispatch.plans import apart
from services.dispatch.plans.model import plan_wave
from tests.dispatch.builders import rows
from tests.dispatch.towns import make_town
from tests.dispatch.waves import make_load, make_vehicle, make_wave, uid

# Large enough to be at work for all of its seconds.
LARGE = make_wave(
    [
        make_load(n, destination_id=uid(3001 + n % 2), origin_id=uid(2001 + n % 3), grams=400_000)
        for n in range(150)
    ],
    [make_vehicle(n) for n in range(9)],
)


async def find_solver():
    """The process of the solver, once it is there."""
    while True:
        for child in psutil.Process().children():
            with suppress(psutil.Error):
                if apart.__name__ in child.cmdline():
                    return child
        await asyncio.sleep(0.02)


async def test_a_wave_solved_apart_is_solved_the_same():
    wave = make_wave([make_load(1), make_load(2, destination_id=uid(3002))])

    assert await apart.solve(wave, seconds=5, seed=1) == (plan_wave(wave, seconds=5, seed=1), [])


async def test_a_solver_that_is_no_longer_wanted_is_ended():
    task = asyncio.create_task(apart.solve(LARGE, seconds=20, seed=1))
    solver = await find_solver()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not solver.is_running()


async def test_a_solver_that_was_killed_is_told_from_an_answer():
    task = asyncio.create_task(apart.solve(LARGE, seconds=20, seed=1))
    solver = await find_solver()
    os.kill(solver.pid, signal.SIGKILL)

    with pytest.raises(apart.SolverDied):
        await task


async def test_the_workers_solver_goes_on_until_it_is_stopped(client, service_sessions):
    town = await make_town(client, service_sessions)
    plan_id = await town.ask_plan(seconds=1)
    task = asyncio.create_task(solving.keep_solving(service_sessions))

    async with asyncio.timeout(30):
        while (await town.read_plan(plan_id))["status"] != "ready":  # noqa: ASYNC110 - another process's work
            await asyncio.sleep(0.1)
    task.cancel()

    assert (await asyncio.gather(task, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    assert len(await rows(service_sessions, "SELECT trip_id FROM trips")) == 1
