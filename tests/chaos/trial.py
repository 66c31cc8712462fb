"""One trial: a town of its own, its load and its faults from one seed, rest, and judgement."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from services.console.machine import running
from services.console.machine.databases import SERVICES
from services.console.machine.folder import CHECKOUT, database_url_of
from services.console.machine.running import Plan, Running
from services.console.parts.ports import free_port
from services.console.scenarios.voices import Voices, open_client
from tests.chaos import books as ledgers
from tests.chaos import faults, invariants, load, of_events, place, quiescence, report, scan, wipe
from tests.chaos.faults import Fault
from tests.chaos.invariants import Evidence, Sampler
from tests.chaos.journal import Journal
from tests.chaos.keeper import Keeper
from tests.chaos.load import Load
from tests.chaos.quiescence import Restless
from tests.chaos.report import Report

RATE = 60.0
KEPT = CHECKOUT / "build/chaos"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a trial is: the same words make the same load and the same faults."""

    seed: int
    orders: int
    kills: int
    bus: str
    kafka_bootstrap: str | None = None
    rate: float = RATE

    @property
    def name(self) -> str:
        """Return what its report and, where it fails, its logs are kept under."""
        return f"{self.bus}-{self.seed}-{self.orders}-{self.kills}"


def run(trial: Trial, tell: Tell) -> Report:
    """Run a trial and return its report; where something was violated, logs and journal are kept."""
    with _folder() as folder:
        plan = Plan(path=folder / "town", port=free_port(), bus=trial.bus)
        journal = Journal()
        try:
            with running.running(plan, tell) as up:
                made = asyncio.run(_run(trial, up, journal, tell))
        except BaseException:
            _keep(trial, folder / "town", journal, tell)
            raise
        if made.violations:
            _keep(trial, folder / "town", journal, tell)
    return made


async def _run(trial: Trial, up: Running, journal: Journal, tell: Tell) -> Report:
    keeper = Keeper(up)
    chance = Random(trial.seed)
    async with open_client(up.gateway) as client:
        seconds = trial.orders / trial.rate
        ground = await place.found(Voices(client, up.folder.keys), orders=trial.orders, seconds=seconds)
    drawn = list(load.draw(Random(chance.random()), ground, trial.orders))
    planned = faults.draw(Random(chance.random()), requests=len(drawn), kills=trial.kills, bus=trial.bus)
    tell(f"a town of {len(ground.town.households)} households is open; {len(planned)} faults are drawn")

    urls = urls_of(up)
    sampler = Sampler(urls)
    started = time.monotonic()
    watch = asyncio.create_task(keeper.keep())
    looking = asyncio.create_task(sampler.keep_looking())
    under_load = Load(up.gateway, journal)
    going_wrong = asyncio.create_task(_go_wrong(keeper, planned, under_load, trial.bus))
    await under_load.run(drawn, rate=trial.rate)
    await going_wrong
    tell(f"load and faults ended after {time.monotonic() - started:.0f} s: {dict(journal.count())}")

    journal.first = journal.count()
    keeper.disarm()
    resolved = await quiescence.resolve(up.gateway, journal)
    restless = None
    async with ledgers.opened(urls) as books:
        try:
            rested = await quiescence.rest(books)
        except Restless as late:
            rested, restless = quiescence.RESTS_WITHIN, str(late)
        tell(f"{resolved} unknown answers resolved, at rest after {rested:.1f} s")
        looking.cancel()
        written = await of_events.read_outboxes(books)
        records = await scan.scan(wipe.bus_url(keeper), SERVICES)
        evidence = Evidence(
            journal=journal, written=written, records=records, canaries=ground.phones, logs=up.folder.logs
        )
        violations = await invariants.judge(books, evidence)
    for each in sampler.violations:
        violations.setdefault(each.partition(" ")[0], []).append(each)
    if restless:
        violations["rest"] = [restless]
    watch.cancel()
    return report.gather(
        trial, journal, keeper, sampler, evidence,
        violations=violations, rested=rested, seconds=time.monotonic() - started,
    )  # fmt: skip


async def _go_wrong(keeper: Keeper, planned: list[Fault], under_load: Load, bus: str) -> None:
    """Let each fault happen when so many requests were sent; a freeze goes on beside the next ones."""
    async with asyncio.TaskGroup() as group:
        for fault in planned:
            while under_load.sent < fault.after:  # noqa: ASYNC110 - counted by whoever sends
                await asyncio.sleep(0.02)
            match fault.kind:
                case "kill":
                    await keeper.until_alive(fault.target)
                    keeper.kill(fault.target, fault.points)
                case "stop":
                    keeper.stop(fault.target)
                case "freeze":
                    group.create_task(keeper.freeze(fault.target, fault.seconds))
                case "wipe":
                    await wipe.wipe(keeper, bus)
                    keeper.wipes += 1


def urls_of(up: Running) -> Mapping[str, str]:
    """Return where the books of a running town are."""
    urls = {service: database_url_of(service, up.folder.path) for service in SERVICES}
    return {service: url for service, url in urls.items() if url}


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a folder that PostgreSQL's own user can reach, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="baton-chaos-", ignore_cleanup_errors=True) as path:
        Path(path).chmod(0o755)
        yield Path(path)


def _keep(trial: Trial, town: Path, journal: Journal, tell: Tell) -> None:
    kept = KEPT / trial.name
    kept.mkdir(parents=True, exist_ok=True)
    shutil.copytree(town / "logs", kept / "logs", dirs_exist_ok=True)
    server = town / "postgres/data/server.log"
    if server.exists():
        shutil.copy(server, kept / "logs/postgres.log")
    journal.write(kept / "journal.jsonl")
    tell(f"seed {trial.seed}: logs and journal are kept in {kept.relative_to(CHECKOUT)}")
