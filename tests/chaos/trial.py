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
from tests.chaos.copies import Copies
from tests.chaos.faults import Fault
from tests.chaos.invariants import Evidence, Sampler
from tests.chaos.journal import Journal
from tests.chaos.keeper import Keeper
from tests.chaos.load import Load
from tests.chaos.place import Place
from tests.chaos.quiescence import Restless
from tests.chaos.report import Report

RATE = 60.0
KEPT = CHECKOUT / "build/chaos"
STATES = "SELECT status, count(*) FROM orders GROUP BY status ORDER BY status"
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
    """Run a trial and return its report; whatever it shows, logs and journal are kept."""
    with _folder() as folder:
        plan = Plan(path=folder / "town", port=free_port(), bus=trial.bus)
        journal = Journal()
        try:
            with running.running(plan, tell) as up:
                return asyncio.run(_run(trial, up, journal, tell))
        finally:
            _keep(trial, folder / "town", journal, tell)


@dataclass(frozen=True, slots=True)
class Watch:
    """A town under trial, and who watches it."""

    keeper: Keeper
    sampler: Sampler
    copies: Copies
    journal: Journal

    @classmethod
    def over(cls, up: Running, journal: Journal) -> "Watch":
        """Begin to watch a town that has just come up."""
        workers = [child for child in up.children if "worker" in child.name]
        return cls(Keeper(up), Sampler(urls_of(up)), Copies(workers), journal)


async def _run(trial: Trial, up: Running, journal: Journal, tell: Tell) -> Report:
    watch = Watch.over(up, journal)
    chance = Random(trial.seed)
    async with open_client(up.gateway) as client:
        seconds = trial.orders / trial.rate
        ground = await place.found(Voices(client, up.folder.keys), orders=trial.orders, seconds=seconds)
    drawn = list(load.draw(Random(chance.random()), ground, trial.orders))
    planned = faults.draw(Random(chance.random()), requests=len(drawn), kills=trial.kills, bus=trial.bus)
    tell(f"a town of {len(ground.town.households)} households is open; {len(planned)} faults are drawn")

    started = time.monotonic()
    # Whoever of the watch fails ends the trial: a town that nobody watches proves nothing.
    async with asyncio.TaskGroup() as group:
        beside = [
            group.create_task(each)
            for each in (watch.keeper.keep(), watch.sampler.keep_looking(), watch.copies.keep_counting())
        ]
        under_load = Load(up.gateway, journal)
        going_wrong = group.create_task(_go_wrong(watch.keeper, planned, under_load, trial.bus))
        await under_load.run(drawn, rate=trial.rate)
        await going_wrong
        tell(f"load and faults ended after {time.monotonic() - started:.0f} s: {dict(journal.count())}")
        made = await _judge(trial, watch, ground, started, tell)
        for each in beside:
            each.cancel()
    return made


async def _judge(trial: Trial, watch: Watch, ground: Place, started: float, tell: Tell) -> Report:
    """Let the town come to rest, look into its books and its bus, and say what does not hold."""
    keeper, journal = watch.keeper, watch.journal
    journal.first = journal.count()
    keeper.disarm()
    resolved = await quiescence.resolve(keeper.up.gateway, journal)
    async with ledgers.opened(watch.sampler.urls) as books:
        restless: list[str] = []
        try:
            rested = await quiescence.rest(books)
        except Restless as late:
            rested, restless = quiescence.RESTS_WITHIN, [str(late)]
        tell(f"{resolved} unknown answers resolved, at rest after {rested:.1f} s")
        written = await of_events.read_outboxes(books)
        records = await scan.scan(wipe.bus_url(keeper), SERVICES)
        evidence = Evidence(
            journal=journal, written=written, records=records,
            canaries=ground.phones, logs=keeper.up.folder.logs,
        )  # fmt: skip
        violations = await invariants.judge(books, evidence)
        ended_as = {row["status"]: row["count"] for row in await books.rows("orders", STATES)}
    for each in watch.sampler.violations:
        violations.setdefault(each.partition(" ")[0], []).append(each)
    violations |= {"rest": restless} if restless else {}
    return report.gather(
        trial, journal, keeper, watch.sampler, evidence, ended_as=ended_as, copies=watch.copies.seen,
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
