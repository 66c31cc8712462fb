import ast
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kit import crash_points
from services.kit.crash_points import CrashPointsUnusable, Injected, arm, reach

SERVICES = Path(__file__).parents[2] / "services"


@pytest.fixture(autouse=True)
def unarmed() -> Iterator[None]:
    yield
    arm("")


async def test_an_armed_point_fails_the_how_manieth_time_it_was_asked_to_and_only_then() -> None:
    arm("relay.sent=error@3")
    await reach("relay.sent")
    await reach("relay.acked")
    await reach("relay.sent")
    with pytest.raises(Injected, match=r"relay\.sent"):
        await reach("relay.sent")
    await reach("relay.sent")


async def test_one_point_can_do_two_things_one_after_the_other() -> None:
    arm("inbox.marked=delay:0.0, inbox.marked=error@2")
    await reach("inbox.marked")
    with pytest.raises(Injected):
        await reach("inbox.marked")


async def test_a_delay_waits_and_a_hang_waits_for_ever() -> None:
    arm("timer.claimed=delay:0.05,timer.claimed=hang@2")
    started = time.monotonic()
    await reach("timer.claimed")
    assert time.monotonic() - started >= 0.05
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reach("timer.claimed")


def test_a_crash_is_a_kill_after_which_nothing_is_said() -> None:
    program = (
        "import asyncio, atexit; from services.kit import crash_points as points\n"
        "atexit.register(print, 'said goodbye')\n"
        "points.arm('consumer.committed=crash'); asyncio.run(points.reach('consumer.committed'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert "said goodbye" not in done.stdout
    assert "crash_point.reached" in done.stdout


async def test_arming_again_forgets_what_was_armed() -> None:
    arm("relay.sent=error")
    arm("")
    await reach("relay.sent")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("relay.send=crash", "there is no crash point 'relay.send'"),
        ("relay.sent=explode", "relay.sent cannot 'explode'"),
        ("relay.sent", "'relay.sent' is not point=action"),
        ("relay.sent=delay", "delay has seconds"),
        ("relay.sent=crash:2", "delay has seconds"),
        ("relay.sent=delay:soon", "seconds and times are numbers"),
        ("relay.sent=crash@0", "times at least 1"),
        ("relay.sent=crash@often", "seconds and times are numbers"),
    ],
)
def test_what_cannot_be_armed_is_named(given: str, named: str) -> None:
    with pytest.raises(CrashPointsUnusable, match=named.replace(".", r"\.")):
        arm(given)


def test_a_process_refuses_to_start_with_a_point_that_is_none(tmp_path: Path) -> None:
    settings = {
        "BATON_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "BATON_BUS_URL": "kafka://127.0.0.1:1",
        "BATON_TOKEN_KEYS": str(tmp_path), crash_points.VARIABLE: "relay.snet=crash",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "services.console", "work", "whitelist"],
        env=os.environ | settings, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "baton: BATON_CRASH_POINTS: there is no crash point 'relay.snet'" in done.stderr


def test_every_point_has_its_place_in_the_code_and_every_place_its_point() -> None:
    placed = {
        call.args[0].value
        for path in SERVICES.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "reach"
        and isinstance(call.args[0], ast.Constant)
    }
    assert placed == set(crash_points.POINTS)
