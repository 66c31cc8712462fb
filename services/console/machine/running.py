"""A whole Baton on this machine, started in order and stopped in the other."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.console.gateway import config, table
from services.console.machine import databases, folder, keys, nursery, processes
from services.console.machine.folder import Folder
from services.console.machine.processes import Child
from services.console.parts import envoy, kafka, postgres
from services.console.parts.ports import free_port
from services.console.parts.postgres import Cluster
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
    """A run that is up: where its gateway is, its database server and its processes."""

    gateway: str
    folder: Folder
    cluster: Cluster
    children: tuple[Child, ...]

    def revive(self) -> list[str]:
        """Start again what has died and return its names; raise `ProcessFailed` where one keeps dying."""
        revived = processes.revive(self.children)
        if self.cluster.has_died():
            self.cluster.start()
            revived.append("PostgreSQL")
        return revived


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
        # The slowest step, so it goes on beside the others.
        source = stack.enter_context(nursery.opened(home.logs / "nursery.log"))
        keys.make(home.keys)

        started = time.monotonic()
        cluster = stack.enter_context(postgres.running(home.path / "postgres"))
        urls = asyncio.run(databases.prepare(cluster.url, home.keys))
        _write_urls(home, urls, stack)
        tell(f"PostgreSQL is up, tables are current ({time.monotonic() - started:.1f} s)")

        bus_url, broker = _start_bus(plan, home, urls, stack)
        tell(f"the bus is up: {plan.bus} ({time.monotonic() - started:.1f} s)")

        ports = {service: free_port() for service in databases.SERVICES}
        services = _services(home, urls, bus_url, ports, plan)
        for child in services:
            child.nursery = source
        gateway = _gateway(plan, home, ports)
        edge = Child(
            name="Envoy",
            command=envoy.command(gateway, home.path / "gateway.d"),
            log=home.logs / "envoy.log",
            ready_url=envoy.ready_url(gateway),
        )
        _start([*services, edge], stack)
        tell(f"4 services, their 4 workers and the gateway are up ({time.monotonic() - started:.1f} s)")
        address = envoy.address_of(gateway)
        home.address.write_text(address)
        stack.callback(home.address.unlink, missing_ok=True)
        yield Running(address, home, cluster, (*broker, *services, edge))


def _start(children: Sequence[Child], stack: ExitStack) -> None:
    stack.callback(processes.stop_all, children)
    for child in children:
        child.start()
    processes.wait_until_ready(children)


def _write_urls(home: Folder, urls: Mapping[str, str], stack: ExitStack) -> None:
    home.databases.touch(mode=0o600)
    home.databases.write_text(json.dumps(urls))
    stack.callback(home.databases.unlink, missing_ok=True)


def _start_bus(
    plan: Plan, home: Folder, urls: Mapping[str, str], stack: ExitStack
) -> tuple[str, list[Child]]:
    broker: list[Child] = []
    # The client tells of every try while the broker is starting; whether it came up is told by the caller.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if plan.bus == "postgres":
        url = urls[databases.BUS]
    elif plan.kafka_bootstrap:
        url = f"kafka://{plan.kafka_bootstrap}"
    else:
        address, command = kafka.prepare(home.path / "kafka")
        broker = [Child(name="Kafka", command=command, log=home.logs / "kafka.log", ready_url=None)]
        _start(broker, stack)
        url = f"kafka://{address}"
    asyncio.run(choose.bus_from(url).make_topics(TOPICS, within=BUS_READY_WITHIN))
    return url, broker


def _services(
    home: Folder, urls: Mapping[str, str], bus_url: str, ports: Mapping[str, int], plan: Plan
) -> list[Child]:
    shared = {
        "BATON_BUS_URL": bus_url,
        "BATON_TOKEN_KEYS": str(home.keys / "jwks.json"),
        "BATON_MASTER_KEY": str(home.keys / "master.key"),
        "BATON_POOL_SIZE": str(POOL_SIZE),
        "BATON_DRAIN_SECONDS": str(plan.drain_seconds),
    }
    children = []
    for service, port in ports.items():
        own = {**shared, "BATON_DATABASE_URL": urls[service], "BATON_PORT": str(port)}
        children += [
            _service(home, service, "serve", {**own, "BATON_METRICS_PORT": str(free_port())}, ready_at=port),
            _service(home, service, "work", own, ready_at=None),
        ]
    return children


def _service(
    home: Folder, service: str, verb: str, environment: Mapping[str, str], *, ready_at: int | None
) -> Child:
    # A worker has no other port than that of its probes.
    port = ready_at or free_port()
    return Child(
        name=f"{service} ({'API' if verb == 'serve' else 'worker'})",
        command=[verb, service],
        environment={"BATON_METRICS_PORT": str(port), **environment},
        log=home.logs / f"{service}-{verb}.log",
        ready_url=f"http://{LOOPBACK}:{port}/readyz",
    )


def _gateway(plan: Plan, home: Folder, ports: Mapping[str, int]) -> config.Config:
    return config.render(
        table.load(),
        listen=(LOOPBACK, plan.port),
        admin_port=free_port(),
        upstreams={service: (LOOPBACK, port) for service, port in ports.items()},
        keys=keys.public_set(home.keys),
        issuer=keys.ISSUER,
        audience=keys.AUDIENCE,
        development=True,
    )
