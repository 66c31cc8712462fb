"""Who kills, freezes and stops the processes of a town, and starts again what has died, armed anew."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

from services.console.machine.processes import Child
from services.console.machine.running import Running
from services.console.parts.postgres import PostgresFailed
from services.kit.crash_points import VARIABLE

LOOKS_EVERY = 0.1
# A life that hangs by command is ended after so long, as whoever watches it would.
HANGS_FOR = 6.0
POSTGRES = "PostgreSQL"


@dataclass
class Keeper:
    """The watch over a town; counts every death by who died and how."""

    up: Running
    kills: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    freezes: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    restarts: Counter[str] = field(default_factory=Counter)
    wipes: int = 0
    _next_points: dict[str, str] = field(default_factory=dict)
    _left_alone: set[str] = field(default_factory=set)
    _ends_at: dict[str, float] = field(default_factory=dict)

    async def keep(self) -> None:
        """Start again what has died, until cancelled."""
        while True:
            for child in self.up.children:
                self._end_if_hanging(child)
                if child.has_died and child.name not in self._left_alone:
                    self._start_again(child)
            if self.up.cluster.has_died() and POSTGRES not in self._left_alone:
                await self._start_postgres()
            await asyncio.sleep(LOOKS_EVERY)

    async def until_alive(self, name: str, *, within: float = 30.0) -> None:
        """Return once a process lives: what is dead cannot be killed."""
        async with asyncio.timeout(within):
            while self._pid_of(name) is None:  # noqa: ASYNC110 - of another process there is no event
                await asyncio.sleep(LOOKS_EVERY)

    def kill(self, name: str, points: str = "") -> None:
        """End a process at once (SIGKILL); its next life is armed."""
        if points:
            self._next_points[name] = points
        if self._send(name, signal.SIGKILL):
            self.kills[name] += 1
            # Seen as dead before anybody asks again: who is dead cannot be killed a second time.
            if name != POSTGRES and (process := self.child(name).process):
                process.wait()

    def stop(self, name: str) -> None:
        """Ask a process to end (SIGTERM)."""
        if self._send(name, signal.SIGTERM):
            self.stops[name] += 1

    async def freeze(self, name: str, seconds: float) -> None:
        """Let a process stand still (SIGSTOP) for so long, and go on."""
        pid = self._pid_of(name)
        frozen = self._family(pid) if pid else []
        for process in frozen:
            with suppress(psutil.Error):
                process.suspend()
        self.freezes[name] += bool(frozen)
        try:
            await asyncio.sleep(seconds)
        finally:
            for process in frozen:
                with suppress(psutil.Error):
                    process.resume()

    @contextmanager
    def leaving_alone(self, name: str) -> Iterator[Child]:
        """Let a process be dead for as long as the context lasts."""
        self._left_alone.add(name)
        try:
            yield self.child(name)
        finally:
            self._left_alone.discard(name)

    def disarm(self) -> None:
        """End every life that is still to fail by command."""
        self._next_points.clear()
        for child in self.up.children:
            points = [each for each in child.environment.get(VARIABLE, "").split(",") if each]
            if len(points) > self._reached_in_this_life(child):
                self.kill(child.name)

    def child(self, name: str) -> Child:
        """Return a process of the town by its name."""
        return next(child for child in self.up.children if child.name == name)

    def _reached_in_this_life(self, child: Child) -> int:
        told = child.log.read_bytes()
        return told[told.rfind(b"crash_points.armed") :].count(b"crash_point.reached")

    def _send(self, name: str, number: signal.Signals) -> bool:
        pid = self._pid_of(name)
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def _pid_of(self, name: str) -> int | None:
        """Return the process, where it lives at this moment."""
        if name == POSTGRES:
            if self.up.cluster.has_died():
                return None
            return int((self.up.cluster.data / "postmaster.pid").read_text().split()[0])
        child = self.child(name)
        return child.process.pid if child.process and not child.has_died else None

    def _family(self, pid: int) -> list[psutil.Process]:
        """Return a process and what it has begun: PostgreSQL's own backends stand still with it."""
        with suppress(psutil.Error):
            first = psutil.Process(pid)
            return [first, *first.children(recursive=True)]
        return []

    def _end_if_hanging(self, child: Child) -> None:
        ends_at = self._ends_at.get(child.name)
        if ends_at and time.monotonic() > ends_at:
            del self._ends_at[child.name]
            self.kill(child.name)

    def _start_again(self, child: Child) -> None:
        assert child.process is not None
        self.deaths[f"{child.name}: {_worded(child.process.returncode)}"] += 1
        points = self._next_points.pop(child.name, "")
        child.environment = {**child.environment, VARIABLE: points}
        self._ends_at.pop(child.name, None)
        if "=hang" in points:
            self._ends_at[child.name] = time.monotonic() + HANGS_FOR
        child.start()
        self.restarts[child.name] += 1

    async def _start_postgres(self) -> None:
        # What its last life has left behind may hold the memory for a moment: then it is tried again.
        with suppress(PostgresFailed):
            await asyncio.to_thread(self.up.cluster.start)
            self.restarts[POSTGRES] += 1


def _worded(returncode: int) -> str:
    return signal.Signals(-returncode).name if returncode < 0 else f"exit {returncode}"
