"""What `baton run` and `baton demo` do: a whole Baton on this machine, and what happens in it."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from services.console.machine import folder, running
from services.console.machine.folder import FolderUnusable
from services.console.machine.processes import ProcessFailed
from services.console.machine.running import Plan, Running
from services.console.parts.envoy import EnvoyFailed
from services.console.parts.kafka import JarsUnavailable, KafkaFailed
from services.console.parts.postgres import PostgresFailed
from services.console.scenarios import case as cases
from services.console.scenarios import play, report, village
from services.console.scenarios.town import SetUpFailed
from services.console.scenarios.voices import Refused, Voices, open_client
from services.console.scenarios.zone import NotInTime

DEMO = ("beizang", "chendai")
REPORT = folder.CHECKOUT / "build/demo/report.json"
LOOKS_EVERY = 0.5
# What goes wrong on a machine, each with a message for whoever sits before it.
FAILURES = (FolderUnusable, ProcessFailed, PostgresFailed, EnvoyFailed, KafkaFailed, JarsUnavailable)

console = Console(highlight=False)


def run(*, bus: str, kafka_bootstrap: str | None, port: int, data: Path | None) -> None:
    """Run everything until Ctrl-C."""
    plan = Plan(path=data or folder.default_path(), port=port, bus=bus, kafka_bootstrap=kafka_bootstrap)
    if data is None:
        folder.link_default(plan.path)
    with _told(), running.running(plan, _teller()) as up:
        asyncio.run(_load_village(up))
        console.print(village.welcome(up.gateway, up.folder), soft_wrap=True)
        try:
            while True:
                _revive(up)
                time.sleep(LOOKS_EVERY)
        except KeyboardInterrupt:
            console.print("stopping")


def demo(*, bus: str, kafka_bootstrap: str | None, port: int, data: Path | None) -> None:
    """Play the real cases and write the report; end with 1 where one of them failed."""
    with _told(), TemporaryDirectory(prefix="baton-demo-", ignore_cleanup_errors=True) as path:
        plan = Plan(path=data or Path(path), port=port, bus=bus, kafka_bootstrap=kafka_bootstrap)
        cases_played = [cases.load(name) for name in DEMO]
        with running.running(plan, _teller()) as up:
            made = [asyncio.run(_play(up, case, bus)) for case in cases_played]
    for case, told in zip(cases_played, made, strict=True):
        report.show(told, case.title, console)
    report.write(made, REPORT)
    console.print(f"written to {REPORT.relative_to(folder.CHECKOUT)}")
    if failures := [f"{told['scenario']}: {each}" for told in made for each in report.find_failures(told)]:
        raise SystemExit("baton: the demo failed: " + "; ".join(failures))


async def _load_village(up: Running) -> None:
    async with open_client(up.gateway) as client:
        await village.load(Voices(client, up.folder.keys), up.folder, _teller())


async def _play(up: Running, case: cases.Case, bus: str) -> report.Report:
    """Play with the runner's watch beside it: what dies meanwhile is started again."""
    async with open_client(up.gateway) as client:
        watch = asyncio.create_task(_keep_reviving(up))
        try:
            return await play.play(case, Voices(client, up.folder.keys), _teller(), bus=bus)
        finally:
            watch.cancel()


async def _keep_reviving(up: Running) -> None:
    while True:
        _revive(up)
        await asyncio.sleep(LOOKS_EVERY)


def _revive(up: Running) -> None:
    for name in up.revive():
        console.print(f"[yellow]{name} had died and was started again[/]")


def _teller() -> Callable[[str], None]:
    started = time.monotonic()

    def tell(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:6.1f} s[/]  {line}", soft_wrap=True)

    return tell


@contextmanager
def _told() -> Iterator[None]:
    """Say what went wrong in one line, not in a stack; a signal unwinds everything once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        yield
    except (*FAILURES, SetUpFailed, Refused, NotInTime) as error:
        raise SystemExit(f"baton: {error}") from error
    except KeyboardInterrupt:
        raise SystemExit("baton: stopped before everything was up") from None


def _interrupt(_number: int, _frame: object) -> None:
    # Whoever is impatient and presses again shall not leave half of it running.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
