"""The demo under kills: a process of its town dies every few seconds, and the runner starts it again."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil

from services.console.machine import processes
from services.console.parts.ports import free_port

UP = "4 services, their 4 workers and the gateway are up"


@dataclass
class Killed:
    """How the demo ended, what it said, and who was killed meanwhile."""

    exit_code: int
    said: str
    kills: Counter[str] = field(default_factory=Counter)


def play(seed: int, *, bus: str, every: float, tell: Callable[[str], None]) -> Killed:
    """Play `baton demo` as anybody types it, and kill -9 one process about `every` so many seconds."""
    chance = Random(seed)
    with tempfile.TemporaryDirectory(prefix="baton-chaos-demo-", ignore_cleanup_errors=True) as path:
        Path(path).chmod(0o755)
        town, log = Path(path) / "town", Path(path) / "said"
        command = [sys.executable, "-m", "services.console", "demo", "--bus", bus,
                   "--port", str(free_port()), "--data", str(town)]  # fmt: skip
        with log.open("w") as output:
            demo = subprocess.Popen(
                command, stdout=output, stderr=output, env={**os.environ, "COLUMNS": "200"},
                start_new_session=True,
            )  # fmt: skip
        kills: Counter[str] = Counter()
        try:
            while demo.poll() is None:
                time.sleep(every * chance.uniform(0.5, 1.5))
                if UP in log.read_text() and (victim := _choose(chance, town)):
                    name = _name_of(victim)
                    victim.kill()
                    kills[name] += 1
                    tell(f"killed {name}")
        finally:
            if demo.poll() is None:
                demo.terminate()
            demo.wait()
        return Killed(demo.returncode, log.read_text(), kills)


def _choose(chance: Random, town: Path) -> psutil.Process | None:
    """Return a process that the runner has started for this town, and that lives now."""
    found = [process for process in psutil.process_iter() if _is_of(process, town)]
    return chance.choice(sorted(found, key=lambda process: process.pid)) if found else None


def _is_of(process: psutil.Process, town: Path) -> bool:
    try:
        # Each leads a group of its own; what it has begun itself dies with it, or is its own to miss.
        is_first = os.getpgid(process.pid) == process.pid
        return is_first and process.environ().get(processes.MARK) == str(town)
    except (psutil.Error, ProcessLookupError):
        return False


def _name_of(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
        return " ".join(words[-2:]) if "services.console" in words else process.name()
    except psutil.Error:
        return "somebody"
