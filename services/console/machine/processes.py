"""Child processes: started together, watched, started again when they die, ended by their ids."""

import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from services.console.machine.nursery import Born, Nursery

READY_WITHIN = 30.0
ENDS_WITHIN = 25.0
# A process that dies more often than this within a minute is broken, and starting it again hides that.
RESTARTS_A_MINUTE = 5
MARK = "BATON_RUN"


class ProcessFailed(Exception):
    """A process does not come up or does not stay up; the message says where its own words are."""


@dataclass
class Child:
    """One process: how it is started, where it writes, where it says that it is ready."""

    name: str
    command: Sequence[str]
    log: Path
    # None: whoever needs it asks for itself.
    ready_url: str | None
    environment: Mapping[str, str] = field(default_factory=dict)
    # Where there is one, `command` is the words of `baton`.
    nursery: Nursery | None = None
    process: subprocess.Popen[bytes] | Born | None = None
    started_at: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Start it in its own group, so that a Ctrl-C at the terminal reaches the runner alone."""
        self.started_at.append(time.monotonic())
        environment = {**os.environ, **self.environment}
        if self.nursery:
            try:
                self.process = self.nursery.bear(self.command, environment, self.log)
            except ChildProcessError as error:
                raise ProcessFailed(str(error)) from error
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def has_died(self) -> bool:
        """Say whether it ended although nobody asked it to."""
        return self.process is not None and self.process.poll() is not None

    def is_ready(self) -> bool:
        """Ask it."""
        if self.ready_url is None:
            return True
        place = urlsplit(self.ready_url)
        # The plainest client: asked twenty times a second, another took a core from those that start.
        with closing(HTTPConnection(place.netloc, timeout=2)) as connection:
            try:
                connection.request("GET", place.path)
                return connection.getresponse().status == HTTPStatus.OK
            except (OSError, HTTPException):
                return False


def wait_until_ready(children: Iterable[Child]) -> None:
    """Return when all are ready; raise `ProcessFailed` naming the first that is not in time."""
    deadline = time.monotonic() + READY_WITHIN
    waiting = list(children)
    while waiting:
        for child in waiting:
            if child.has_died:
                raise ProcessFailed(f"{child.name} ended while it started: see {child.log}")
        waiting = [child for child in waiting if not child.is_ready()]
        if waiting and time.monotonic() > deadline:
            raise ProcessFailed(
                f"{waiting[0].name} was not ready within {READY_WITHIN:.0f} s: see {waiting[0].log}"
            )
        time.sleep(0.05)


def revive(children: Iterable[Child]) -> list[str]:
    """Start again what has died and return its names; raise `ProcessFailed` where one keeps dying."""
    dead = [child for child in children if child.has_died]
    for child in dead:
        recent = [at for at in child.started_at if at > time.monotonic() - 60]
        if len(recent) > RESTARTS_A_MINUTE:
            raise ProcessFailed(f"{child.name} keeps dying: see {child.log}")
        child.start()
    return [child.name for child in dead]


def stop_all(children: Iterable[Child]) -> None:
    """Ask all to stop, wait, and kill what does not; nothing is lost by that."""
    running = [child.process for child in children if child.process and child.process.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + ENDS_WITHIN
    for process in running:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def mark(folder: Path) -> None:
    """Let every process started from now on say which folder's run it belongs to."""
    os.environ[MARK] = str(folder)


def end_leftovers(folder: Path) -> int:
    """End what a killed run of this folder has left behind, and return how many processes that were."""
    left = [process for process in psutil.process_iter() if belongs(process, folder)]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=ENDS_WITHIN)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=ENDS_WITHIN)
    return len(left)


def belongs(process: psutil.Process, folder: Path) -> bool:
    """Say whether a process was started by the run of this folder, the one who asks apart."""
    try:
        return process.pid != os.getpid() and process.environ().get(MARK) == str(folder)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False
