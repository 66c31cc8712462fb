"""A whole Baton on this machine, started in order and stopped in the other."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.console.gateway import config, table
from services.console.machine import databases, folder, keys, processes
from services.console.machine.folder import Folder
from services.console.machine.processes import Child
from services.console.parts import envoy, kafka, postgres
from services.console.parts.ports import free_port
from services.kit.bus import choose

TOPICS = databases.SERVICES
BUS_READY_WITHIN = 60.0
# Eight processes with ten each, and what relay and bus hold: within four fifths of the server's 200.
POOL_SIZE = 10
LOOPBACK = "127.0.0.1"

# What is told to the person who waits: a part and what became of it.
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is asked for."""

    path: Path
    port: int
    bus: str
    kafka_bootstrap: str | None = None
    drain_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Running:
    """A run that is up: where its gateway is, and its children."""

    gateway: str
    folder: Folder
    children: tuple[Child, ...]

    def revive(self) -> list[str]:
        """Start again what has died; return its names."""
        return processes.revive(self.children)


@contextmanager
def running(plan: Plan, tell: Tell) -> Iterator[Running]:
    """Start everything, yield when the gateway answers, stop everything at the end."""
    with ExitStack() as stack:
        home = stack.enter_context(folder.opened(plan.path))
        if left := processes.end_leftovers(home.path):
            tell(f"ended {left} processes that a killed run had left")
        # Asked first: nobody wants to learn after fifteen seconds that a port is taken.
        envoy.require_free(LOOPBACK, plan.port)
        processes.mark(home.path)
        keys.make(home.keys)

        started = time.monotonic()
        administrator = stack.enter_context(postgres.running(home.path / "postgres"))
        urls = asyncio.run(databases.prepare(administrator, home.keys))
        _write_urls(home, urls, stack)
        tell(f"PostgreSQL is up, tables are current ({time.monotonic() - started:.1f} s)")

        bus_url = _start_bus(plan, home, urls, stack, tell)
        children = _children(home, urls, bus_url, plan)
        stack.callback(processes.stop_all, children)
        for child in children:
            child.start()
        processes.wait_until_ready(children)
        tell(f"4 services and their 4 workers are up ({time.monotonic() - started:.1f} s)")

        gateway = stack.enter_context(envoy.running(_gateway(plan, home, children), home.path / "gateway.d"))
        home.address.write_text(gateway)
        stack.callback(home.address.unlink, missing_ok=True)
        yield Running(gateway, home, children)


def _write_urls(home: Folder, urls: Mapping[str, str], stack: ExitStack) -> None:
    home.databases.touch(mode=0o600)
    home.databases.write_text(json.dumps(urls))
    stack.callback(home.databases.unlink, missing_ok=True)


def _start_bus(plan: Plan, home: Folder, urls: Mapping[str, str], stack: ExitStack, tell: Tell) -> str:
    started = time.monotonic()
    # The client tells of every try while the broker is starting; whether it came up is told below.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if plan.bus == "postgres":
        url = urls[databases.BUS]
    else:
        address = plan.kafka_bootstrap or stack.enter_context(kafka.running(home.path / "kafka"))
        url = f"kafka://{address}"
    asyncio.run(choose.bus_from(url).make_topics(TOPICS, within=BUS_READY_WITHIN))
    tell(f"the bus is up: {plan.bus} ({time.monotonic() - started:.1f} s)")
    return url


def _children(home: Folder, urls: Mapping[str, str], bus_url: str, plan: Plan) -> tuple[Child, ...]:
    return tuple(
        _child(home, service, verb, database_url=urls[service], bus_url=bus_url, plan=plan)
        for service in databases.SERVICES
        for verb in ("serve", "work")
    )


def _child(  # noqa: PLR0913 - the facts of one process
    home: Folder, service: str, verb: str, *, database_url: str, bus_url: str, plan: Plan
) -> Child:
    port, metrics_port = free_port(), free_port()
    asked = port if verb == "serve" else metrics_port
    return Child(
        name=f"{service} ({'API' if verb == 'serve' else 'worker'})",
        words=(verb, service),
        environment={
            "BATON_DATABASE_URL": database_url,
            "BATON_BUS_URL": bus_url,
            "BATON_TOKEN_KEYS": str(home.keys / "jwks.json"),
            "BATON_MASTER_KEY": str(home.keys / "master.key"),
            "BATON_PORT": str(port),
            "BATON_METRICS_PORT": str(metrics_port),
            "BATON_POOL_SIZE": str(POOL_SIZE),
            "BATON_DRAIN_SECONDS": str(plan.drain_seconds),
        },
        log=home.logs / f"{service}-{verb}.log",
        ready_url=f"http://{LOOPBACK}:{asked}/readyz",
    )


def _gateway(plan: Plan, home: Folder, children: tuple[Child, ...]) -> config.Config:
    upstreams = {
        child.words[1]: (LOOPBACK, int(child.environment["BATON_PORT"]))
        for child in children
        if child.words[0] == "serve"
    }
    return config.render(
        table.load(),
        listen=(LOOPBACK, plan.port),
        admin_port=free_port(),
        upstreams=upstreams,
        keys=keys.public_set(home.keys),
        issuer=keys.ISSUER,
        audience=keys.AUDIENCE,
        development=True,
    )
