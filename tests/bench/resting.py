"""B13 and B14: what Baton takes of a machine while nobody asks for anything, and how soon it is there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from services.console.machine import processes
from services.console.machine.databases import SERVICES
from services.console.parts.ports import free_port
from services.kit.ids import new_id
from tests.bench import stage
from tests.bench.rows import Incorrect, Row, against
from tests.bench.stage import Stage

MB = 1_000_000
RESTS_AFTER = 2.0
READY = "Ctrl-C stops everything"
STARTS, STARTS_WITHIN = 3, 90.0
CONFIRMED_WITHIN = 30.0


@dataclass(frozen=True)
class Memory:
    """Of a process: its pages, where one that several have counts in part (PSS) or whole (RSS)."""

    pss: float
    rss: float

    @classmethod
    def of(cls, process: psutil.Process) -> "Memory":
        found = process.memory_full_info()
        return cls(found.pss / MB, found.rss / MB)


@dataclass(frozen=True)
class Town:
    """A `baton run` that is up: how many seconds after its start it was ready."""

    folder: Path
    process: subprocess.Popen[str]
    begun: float
    ready_after: float

    def order(self) -> float:
        """Order something as a resident does; return the seconds from the start to the 202."""
        told = dict(line.split("=", 1) for line in (self.folder / "variables.sh").read_text().splitlines())
        line = {"product_id": told["PRODUCT"], "quantity": 1, "seen_price_fen": int(told["PRICE"])}
        head = {"authorization": f"Bearer {told['TOKEN']}", "idempotency-key": str(new_id())}
        with httpx.Client(base_url=told["BATON"], headers=head, trust_env=False) as client:
            body = {"slot_id": told["SLOT"], "lines": [line]}
            placed = client.post("/v1/orders", json=body)
            after = time.monotonic() - self.begun
            if placed.status_code != httpx.codes.ACCEPTED:
                raise Incorrect(f"the first order was answered {placed.status_code}: {placed.text}")
            _wait_until_confirmed(client, placed.json()["order_id"])
        return after

    def memory(self) -> Mapping[str, Memory]:
        """Return what each of its processes has; those of PostgreSQL are one."""
        postmaster = int((self.folder / "postgres/data/postmaster.pid").read_text().split()[0])
        server = psutil.Process(postmaster)
        found = {"runner": Memory.of(psutil.Process(self.process.pid))}
        backends = [server, *server.children(recursive=True)]
        found["PostgreSQL"] = _sum([Memory.of(one) for one in backends])
        known = {one.pid for one in backends}
        for process in psutil.process_iter():
            if process.pid not in known and processes.belongs(process, self.folder):
                found[process.name()] = Memory.of(process)
        return found


def measure_memory(up: Stage) -> Sequence[Row]:
    """B13: each process as production starts it, and a whole `make run`."""
    urls = {service: up.database(service) for service in SERVICES}
    for service, url in urls.items():
        up.serve(service, url)
    serving = _rested(up, "serve")
    for service, url in urls.items():
        up.work(service, url, f"kafka://{up.broker}")
    working = _rested(up, "work")
    with _town(up.folder / "town") as town:
        town.order()
        time.sleep(RESTS_AFTER)
        whole = town.memory()
    total = _sum(list(whole.values()))
    return [
        _of_one("B13a", "an API process", serving),
        _of_one("B13b", "a worker process", working),
        against(
            "B13c",
            "memory of `make run` as a whole (PSS)",
            [total.pss],
            unit="MB",
            target=1200,
            notes={**_noted(whole), "as if no page were shared": round(total.rss)},
        ),
    ]


def _of_one(name: str, kind: str, found: Mapping[str, Memory]) -> Row:
    largest = max(one.pss for one in found.values())
    what = f"memory of {kind} at rest, the largest of four (PSS)"
    return against(name, what, [largest], unit="MB", target=90, notes=_noted(found))


def measure_start(up: Stage) -> Sequence[Row]:
    """B14: `make run` with the data of a former run, until it is ready and until an order is accepted."""
    folder = up.folder / "town"
    first = None
    if not folder.exists():
        with _town(folder) as town:
            first = town.ready_after
            town.order()
    ready, accepted = [], []
    for _ in range(min(up.rounds, STARTS)):
        with _town(folder) as town:
            ready.append(town.ready_after)
            accepted.append(town.order())
    notes = {stage.PACE: stage.pace()}
    if first:
        notes["the first one of all, which makes everything"] = first
    return [
        against("B14a", "`make run` warm, until it is ready", ready, unit="s", target=8, notes=notes),
        against("B14b", "`make run` warm, until the first order is accepted", accepted, unit="s", target=8),
    ]


def _rested(up: Stage, verb: str) -> Mapping[str, Memory]:
    """Return what the processes of this verb have after a while, and end them."""
    time.sleep(RESTS_AFTER)
    children = [child for child in up.children if child.name.endswith(verb) and not child.has_died]
    found = {child.name: Memory.of(psutil.Process(child.process.pid)) for child in children if child.process}
    processes.stop_all(children)
    return found


@contextmanager
def _town(folder: Path) -> Iterator[Town]:
    words = ["run", "--port", str(free_port()), "--data", str(folder)]
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "services.console", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    try:
        assert process.stdout
        said = ""
        for line in process.stdout:
            said += line
            if READY in line:
                break
        else:
            raise Incorrect(f"make run did not come up: {said}")
        yield Town(folder, process, begun, time.monotonic() - begun)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STARTS_WITHIN)


def _wait_until_confirmed(client: httpx.Client, order_id: str) -> None:
    deadline = time.monotonic() + CONFIRMED_WITHIN
    while (status := client.get(f"/v1/orders/{order_id}").json()["status"]) == "placed":
        if time.monotonic() > deadline:
            raise Incorrect("the first order is not decided")
        time.sleep(0.05)
    if status != "confirmed":
        raise Incorrect(f"the first order is {status}")


def _sum(found: Sequence[Memory]) -> Memory:
    return Memory(sum(one.pss for one in found), sum(one.rss for one in found))


def _noted(found: Mapping[str, Memory]) -> Mapping[str, str]:
    largest = sorted(found.items(), key=lambda item: -item[1].pss)
    return {name: f"{one.pss:.0f} (RSS {one.rss:.0f})" for name, one in largest}
