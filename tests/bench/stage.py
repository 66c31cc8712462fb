"""What the bench stands on: one cluster with fsync on, one broker, processes as `baton` starts them."""

import asyncio
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from services.console.gateway import config, table
from services.console.machine import processes
from services.console.machine.processes import Child
from services.console.parts import envoy, kafka, postgres
from services.console.parts.ports import free_port
from services.kit.bus import choose
from services.kit.ids import new_id
from tests import databases, serving

# Beside what is measured against a limit: half as fast a machine takes twice as long.
PACE = "ms for a million additions"


@dataclass
class Stage:
    """Parts are started when a row first asks for them and stopped at the end of the run."""

    folder: Path
    stack: ExitStack
    rounds: int
    seconds: float
    children: list[Child] = field(default_factory=list)

    @cached_property
    def administrator(self) -> str:
        return self.stack.enter_context(postgres.running(self.folder / "postgres")).url

    @cached_property
    def broker(self) -> str:
        address = self.stack.enter_context(kafka.running(self.folder / "kafka"))
        bus = choose.bus_from(f"kafka://{address}")
        asyncio.run(bus.make_topics(["orders", "catalog", "dispatch", "whitelist"], within=60))
        return address

    @cached_property
    def keys(self) -> Path:
        path = self.folder / "keys.json"
        path.write_text(json.dumps(serving.public_keys()))
        (self.folder / "master.key").write_bytes(b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
        return path

    def database(self, service: str | None = None) -> str:
        """Make a database of a service by its migrations, or an empty one; return its address."""
        if service:
            name = asyncio.run(databases.build_template(self.administrator, service))
        else:
            name = asyncio.run(_make_empty(self.administrator))
        return databases.address_of(self.administrator, name)

    def start(self, name: str, *words: object, environment: dict[str, str] | None = None) -> int:
        """Start a module of Python that answers on a port, which is its last word; return the port."""
        port = free_port()
        command = [sys.executable, "-m", *map(str, words)]
        self._start(name, [*command[:3], str(port), *command[3:]], environment or {}, f":{port}/")
        return port

    def serve(self, service: str, url: str, bus_url: str = "kafka://127.0.0.1:1") -> int:
        """Start a service's API process as production does; return its port."""
        port = free_port()
        settings = self._settings(url, bus_url) | {"BATON_PORT": str(port)}
        command = [sys.executable, "-m", "services.console", "serve", service]
        self._start(f"{service}-serve", command, settings, f":{port}/readyz")
        return port

    def work(self, service: str, url: str, bus_url: str) -> Child:
        """Start a service's worker process as production does."""
        settings = self._settings(url, bus_url)
        command = [sys.executable, "-m", "services.console", "work", service]
        ready = f":{settings['BATON_METRICS_PORT']}/readyz"
        return self._start(f"{service}-work", command, settings, ready)

    def open_gateway(self, service: str, port: int) -> int:
        """Start an Envoy as production does, before a service that answers on a port; return its own port."""
        described = table.load()
        listen = free_port()
        made = config.render(
            described,
            listen=("127.0.0.1", listen),
            admin_port=free_port(),
            upstreams=dict.fromkeys({route.service for route in described.routes}, ("127.0.0.1", 9))
            | {service: ("127.0.0.1", port)},
            keys=serving.public_keys(),
            issuer="baton",
            audience="baton",
        )
        folder = self.folder / f"gateway-{listen}"
        folder.mkdir()
        self.stack.enter_context(envoy.running(made, folder))
        return listen

    def stop(self, child: Child) -> None:
        processes.stop_all([child])

    def _start(self, name: str, command: Sequence[str], environment: dict[str, str], ready: str) -> Child:
        child = Child(
            name=name,
            command=command,
            log=self.folder / f"{name}.log",
            ready_url=None if ready.endswith("/") else f"http://127.0.0.1{ready}",
            environment=environment,
        )
        self.stack.callback(processes.stop_all, [child])
        child.start()
        self.children.append(child)
        if child.ready_url:
            processes.wait_until_ready([child])
        else:
            wait_for_port(int(ready.strip(":/")))
        return child

    def _settings(self, url: str, bus_url: str) -> dict[str, str]:
        return {
            "BATON_DATABASE_URL": url,
            "BATON_BUS_URL": bus_url,
            "BATON_TOKEN_KEYS": str(self.keys),
            "BATON_MASTER_KEY": str(self.folder / "master.key"),
            "BATON_METRICS_PORT": str(free_port()),
            "BATON_DRAIN_SECONDS": "0",
        }


@contextmanager
def running(*, rounds: int, seconds: float) -> Iterator[Stage]:
    """Yield a stage in a folder of its own; everything that it started has ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="baton-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with ExitStack() as stack:
            yield Stage(Path(folder), stack, rounds, seconds)


@contextmanager
def standing_still(child: Child) -> Iterator[None]:
    """Freeze a process for a moment, much shorter than its sessions, and let it go on."""
    assert child.process
    child.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        child.process.send_signal(signal.SIGCONT)


def call(module: str, plan: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Let a module of Python work by a plan in its own process; return what it found."""
    given, found = folder / "plan.json", folder / "found.json"
    given.write_text(json.dumps(plan))
    subprocess.run([sys.executable, "-m", module, given, found], check=True, timeout=180)
    result: dict[str, Any] = json.loads(found.read_text())
    return result


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def describe_machine() -> str:
    """Return what the figures were taken on, in one line."""
    memory = psutil.virtual_memory().total >> 30
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    system, version = platform.system(), platform.python_version()
    return f"{os.cpu_count()} cores ({model}), {memory} GiB, {system}, Python {version}"


def pace() -> float:
    """Return in how many milliseconds a core adds a million numbers: how fast this machine is just now."""
    begun = time.perf_counter()
    total = 0
    for number in range(1_000_000):
        total += number
    return (time.perf_counter() - begun) * 1000


async def _make_empty(administrator: str) -> str:
    name = f"plain_{new_id().hex}"
    connection = await asyncpg.connect(administrator)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return name
