"""The API or the worker of a service in a process of its own, to be killed, crashed and frozen."""

import asyncio
import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx

from services.console import entry
from services.console.parts.ports import free_port
from services.kit.crash_points import VARIABLE
from services.kit.settings import ServiceSettings
from tests.serving import make_settings

READY_WITHIN = 60.0


@dataclass
class Part:
    """What `baton serve` or `baton work` runs; a fork of this process, for imports take seconds."""

    verb: str
    service: str
    environment: dict[str, str]
    log: Path
    process: BaseProcess | None = None
    deaths: list[int] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.environment['BATON_PORT']}"

    def start(self, points: str = "") -> None:
        """Begin a life, armed with crash points or not."""
        given = {**self.environment, VARIABLE: points}
        self.process = multiprocessing.get_context("fork").Process(
            target=_live, args=(self.verb, self.service, given, self.log), daemon=True
        )
        self.process.start()

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.has_died()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it, if it lives."""
        if self.process and self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, number)
            if number == signal.SIGKILL:
                self.process.join()

    def has_died(self) -> bool:
        """Say whether it is dead; each death is noted once, with what it ended by."""
        if self.process and not self.process.is_alive():
            self.deaths.append(self.process.exitcode or 0)
            self.process = None
        return self.process is None

    async def until_ready(self) -> None:
        async with asyncio.timeout(READY_WITHIN), httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    if (await client.get(f"{self.address}/readyz")).status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                assert not self.has_died(), self.log.read_text()[-2000:]
                await asyncio.sleep(0.05)


@contextmanager
def part_of(
    verb: str, service: str, folder: Path, database_url: str, *, number: int = 0, **given: object
) -> Iterator[Part]:
    """Yield a process that is not started yet; it is dead at the end."""
    port = free_port()
    # A worker has no other port than that of its probes.
    ports = {"port": port, "metrics_port": port if verb == "work" else free_port(), "drain_seconds": 0}
    settings = make_settings(ServiceSettings, folder, database_url, **{**ports, **given})
    environment = {f"BATON_{name.upper()}": str(value) for name, value in settings}
    part = Part(verb, service, environment, folder / f"{service}-{verb}-{number}.log")
    try:
        yield part
    finally:
        part.kill()


def _live(verb: str, service: str, environment: dict[str, str], log: Path) -> None:
    os.environ.update(environment)
    # What the tests have left behind is not looked through at the start of each life.
    gc.freeze()
    with log.open("a", buffering=1) as words:
        os.dup2(words.fileno(), 1)
        os.dup2(words.fileno(), 2)
        sys.stdout = sys.stderr = words
        asyncio.run({"serve": entry.serve, "work": entry.work}[verb](service))
