"""A machine's services, forked from one process that has loaded them: loaded once, its memory shared.

`python -m services.console.machine.nursery` reads who is to be born, a line each, and writes who was born and
who has ended. When it ends, those who live go on.
"""

import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import psutil

from services.console.machine.databases import SERVICES

INPUT, OUTPUT, ERRORS = range(3)
LOADED: Final = (
    *(f"services.{service}.{part}" for service in SERVICES for part in ("settings", "main", "worker")),
    "services.console.entry",
    "services.kit.http.serving",
)
LOOKS_EVERY: Final = 0.02


@dataclass(eq=False)
class Nursery:
    """The process from which others are forked, and what it has told."""

    log: Path
    process: subprocess.Popen[bytes] | None = None
    _heard: bytes = b""
    _born: list[int] = field(default_factory=list)
    _ended: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> None:
        """Let it begin to load, also in place of one that has ended."""
        self.close()
        self._heard = b""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def close(self) -> None:
        """End it."""
        if self.process:
            self.process.communicate()

    def bear(self, words: Sequence[str], environment: Mapping[str, str], log: Path) -> "Born":
        """Start `baton` with these words in a session of its own; the first has to wait for the loading."""
        with self._lock:
            if self.process is None or self.process.poll() is not None:
                self.open()
            assert self.process  # noqa: S101 - opened above
            wanted = {"words": list(words), "environment": dict(environment), "log": str(log)}
            self._ask(json.dumps(wanted).encode() + b"\n")
            while not self._born:
                self._hear(within=None)
            return Born(self._born.pop(), self, self.process)

    def status_of(self, pid: int, parent: subprocess.Popen[bytes]) -> int | None:
        """Return how one that was born here has ended, in the words of `subprocess`; None while it lives."""
        with self._lock:
            while pid not in self._ended and self._hear(within=0):
                pass
            if pid not in self._ended and parent.poll() is not None and _is_gone(pid):
                # Nobody is left who could tell how.
                self._ended[pid] = -signal.SIGKILL
            return self._ended.get(pid)

    def _ask(self, line: bytes) -> None:
        if self.process and self.process.stdin:
            self.process.stdin.write(line)
            self.process.stdin.flush()

    def _hear(self, within: float | None) -> bool:
        """Take in what was told, and say whether that was something."""
        output = self.process and self.process.stdout
        if not output or not select.select([output], [], [], within)[0]:
            return False
        read = os.read(output.fileno(), 1 << 16)
        *lines, self._heard = (self._heard + read).split(b"\n")
        for line in lines:
            pid, status = json.loads(line)
            if status is None:
                # Numbers come again.
                self._ended.pop(pid, None)
                self._born.append(pid)
            else:
                self._ended[pid] = status
        if not read and within is None:
            raise ChildProcessError(f"the nursery has ended: see {self.log}")
        return bool(read)


@dataclass
class Born:
    """A process of a nursery, as far as `subprocess.Popen` is known to whoever watches it."""

    pid: int
    nursery: Nursery
    parent: subprocess.Popen[bytes]
    returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it has ended, None while it lives."""
        if self.returncode is None:
            self.returncode = self.nursery.status_of(self.pid, self.parent)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return how it has ended, once it has; raise `TimeoutExpired`."""
        deadline = time.monotonic() + (timeout or 0)
        while (status := self.poll()) is None:
            if timeout is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(LOOKS_EVERY)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


@contextmanager
def opened(log: Path) -> Iterator[Nursery]:
    """Yield a nursery that has begun to load."""
    nursery = Nursery(log)
    nursery.open()
    try:
        yield nursery
    finally:
        nursery.close()


def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def main() -> None:
    """Fork whoever is asked for; in the newborn, be `baton`."""
    for module in LOADED:
        import_module(module)
    from services.console.main import app  # noqa: PLC0415 - only who forks needs it

    # What is frozen is not looked through, and pages that nobody writes into stay shared.
    gc.collect()
    gc.freeze()
    if words := _attend():
        app(words, prog_name="baton")


def _attend() -> list[str] | None:
    """Return in a newborn with its words, and in the nursery when nobody asks any more."""
    awake, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    asked = b""
    while True:
        ready, _, _ = select.select([INPUT, awake], [], [])
        if awake in ready:
            os.read(awake, 1 << 12)
            _bury()
        if INPUT in ready:
            read = os.read(INPUT, 1 << 16)
            if not read:
                return None
            *lines, asked = (asked + read).split(b"\n")
            for line in lines:
                wanted = json.loads(line)
                if not (pid := os.fork()):
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.close(awake)
                    os.close(wakes)
                    return _come_to_life(wanted)
                _tell(pid, None)


def _bury() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _tell(pid, os.waitstatus_to_exitcode(status))


def _tell(pid: int, status: int | None) -> None:
    os.write(OUTPUT, json.dumps([pid, status]).encode() + b"\n")


def _come_to_life(wanted: Mapping[str, Any]) -> list[str]:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), INPUT)
    log = os.open(wanted["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for output in (OUTPUT, ERRORS):
        os.dup2(log, output)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    words: list[str] = wanted["words"]
    # What `ps` and `top` show; the command line is the nursery's.
    Path("/proc/self/comm").write_text("-".join(reversed(words))[:15])
    return words


if __name__ == "__main__":
    main()
