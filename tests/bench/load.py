"""The load generator, a process of its own: `python -m tests.bench.load plan.json result.json`.

Raw sockets, every request built before the clock starts; each connection has one request under way. With a
`rate` requests are due by the clock, and an answer's time counts from when its request was due.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter, deque
from itertools import count
from pathlib import Path
from typing import Any, cast

import uvloop

TICK = 0.002


class Generator:
    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        head = (
            f"POST {plan['path']} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
            "authorization: Bearer {token}\r\ncontent-length: {length}\r\nidempotency-key: " + plan["prefix"]
        )
        self.requests = [
            (
                head.format(token=token, length=len(body)).encode(),
                b"\r\n\r\n" + body.encode(),
            )
            for token, body in zip(plan["tokens"], plan["bodies"], strict=True)
        ]
        self.numbers = count()
        self.statuses: Counter[int] = Counter()
        self.answered: list[tuple[float, float]] = []
        self.bodies: list[bytes] = []
        self.asked_at: list[float] = []
        self.idle: deque[Connection] = deque()
        self.due: deque[float] = deque()
        self.rate: float | None = plan.get("rate")
        self.begun = time.perf_counter()
        self.wall = time.time() - self.begun
        self.ends = self.begun + plan["warm_up"] + plan["seconds"]
        self.open = 0
        self.closed = asyncio.Event()

    def next_request(self) -> bytes:
        number = next(self.numbers)
        head, tail = self.requests[number % len(self.requests)]
        return b"%b%d%b" % (head, number, tail)

    def free(self, connection: "Connection") -> None:
        now = time.perf_counter()
        if self.due:
            connection.ask(self.due.popleft())
        elif now >= self.ends:
            connection.transport.close()
        elif self.rate is None:
            connection.ask(now)
        else:
            self.idle.append(connection)

    async def keep_due(self, rate: float) -> None:
        sent = 0
        while (now := time.perf_counter()) < self.ends:
            while sent < (now - self.begun) * rate:
                at = self.begun + sent / rate
                sent += 1
                if self.idle:
                    self.idle.popleft().ask(at)
                else:
                    self.due.append(at)
            await asyncio.sleep(TICK)
        while self.idle:
            self.idle.popleft().transport.close()


class Connection(asyncio.Protocol):
    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.buffer = b""
        self.since = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.generator.open += 1
        self.generator.free(self)

    def ask(self, since: float) -> None:
        self.since = since
        self.transport.write(self.generator.next_request())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.buffer.find(b"content-length: ")
        length = int(self.buffer[at + 16 : self.buffer.index(b"\r", at)])
        if len(self.buffer) < end + 4 + length:
            return
        now = time.perf_counter()
        status = int(self.buffer[9:12])
        self.generator.statuses[status] += 1
        self.generator.answered.append((now, now - self.since))
        if status == 202:
            self.generator.bodies.append(self.buffer[end + 4 :])
            self.generator.asked_at.append(self.since)
        self.buffer = b""
        self.generator.free(self)

    def connection_lost(self, _failure: Exception | None) -> None:
        self.generator.open -= 1
        if not self.generator.open:
            self.generator.closed.set()


async def drive(plan: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    generator = Generator(plan)
    connect = [
        loop.create_connection(lambda: Connection(generator), plan["host"], plan["port"])
        for _ in range(plan["connections"])
    ]
    await asyncio.gather(*connect)
    if generator.rate is not None:
        await generator.keep_due(generator.rate)
    async with asyncio.timeout(30):
        await generator.closed.wait()
    starts = generator.begun + plan["warm_up"]
    counted = [took for at, took in generator.answered if starts <= at <= generator.ends]
    took = sorted(counted) or [0.0]
    cpu = os.times()
    return {
        "per_second": len(counted) / plan["seconds"],
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[int(len(took) * 0.99)] * 1000,
        "statuses": {str(status): times for status, times in generator.statuses.items()},
        "cpu_share": (cpu.user + cpu.system) / (time.perf_counter() - generator.begun),
        "asked_at": [at + generator.wall for at in generator.asked_at if plan["journal"]],
        "accepted": [json.loads(body)["order_id"] for body in generator.bodies if plan["journal"]],
    }


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps(uvloop.run(drive(plan))))


if __name__ == "__main__":
    main()
