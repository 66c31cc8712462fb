import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from services.console.parts.ports import free_port
from services.kit.bus.postgres import PostgresBus
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.kit.buses import STARTS_WITHIN
from tests.kit.test_consumer import make_log, read_log
from tests.kit.test_relay_loop import COUNT_PENDING, read, until_row, url_of, write

Process = asyncio.subprocess.Process


@pytest.fixture
async def log(sessions: Sessions) -> None:
    await make_log(sessions)
    async with sessions.begin() as session:
        await session.execute(text("CREATE TABLE runs (at timestamptz)"))


@asynccontextmanager
async def working(
    sessions: Sessions, bus_url: str, port: int = 0, **environment: str
) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kit.lamp_worker", url_of(sessions), bus_url, str(port or free_port()),
        cwd=Path(__file__).parents[2], env=os.environ | environment,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_applied(sessions: Sessions, count: int, *, topic_lamps: set) -> list[tuple]:
    async with asyncio.timeout(STARTS_WITHIN):
        while True:
            log = [row for row in await read_log(sessions) if row[0] in topic_lamps]
            if len(log) >= count:
                return log
            await asyncio.sleep(0.05)


async def answer_of(url: str, *, status: int) -> str:
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(STARTS_WITHIN):
        while True:
            try:
                answer = await client.get(url)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == status:
                return answer.text
            await asyncio.sleep(0.05)


async def test_a_worker_killed_in_mid_stream_applies_each_event_once_after_all(
    address: str, sessions: Sessions, log: None
) -> None:
    lamps = [new_id() for _ in range(40)]
    writing = asyncio.create_task(write(sessions, lamps, range(1, 101)))
    for applied in (200, 1200, 2400):
        async with working(sessions, address) as process:
            await until_applied(sessions, applied, topic_lamps=set(lamps))
            process.kill()
    await writing
    async with working(sessions, address):
        log = await until_applied(sessions, 4000, topic_lamps=set(lamps))
        await until_row(sessions, COUNT_PENDING, (0,))
    for lamp in lamps:
        assert [sequence for lamp_id, sequence in log if lamp_id == lamp] == list(range(1, 101))


async def test_a_worker_told_to_stop_ends_in_time_and_leaves_nothing_half_done(
    embedded_bus: PostgresBus, sessions: Sessions, log: None
) -> None:
    lamps = [new_id() for _ in range(40)]
    writing = asyncio.create_task(write(sessions, lamps, range(1, 51)))
    async with working(sessions, embedded_bus.url) as process:
        await until_applied(sessions, 100, topic_lamps=set(lamps))
        process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        assert await process.wait() == 0
        assert time.monotonic() - told < 25
    await writing
    async with working(sessions, embedded_bus.url):
        log = await until_applied(sessions, 2000, topic_lamps=set(lamps))
    for lamp in lamps:
        assert [sequence for lamp_id, sequence in log if lamp_id == lamp] == list(range(1, 51))


async def test_a_worker_says_that_it_lives_that_it_is_ready_and_what_it_has_done(
    embedded_bus: PostgresBus, sessions: Sessions, log: None
) -> None:
    lamp, port = new_id(), free_port()
    await write(sessions, [lamp], range(1, 4))
    async with working(sessions, embedded_bus.url, port):
        assert await answer_of(f"http://127.0.0.1:{port}/livez", status=200) == "alive"
        assert await answer_of(f"http://127.0.0.1:{port}/readyz", status=200) == "ready"
        await until_applied(sessions, 3, topic_lamps={lamp})
        told = {"outbox_events_sent_total 3.0", "outbox_pending_age_seconds 0.0", "relay_shards 12.0"}
        async with asyncio.timeout(STARTS_WITHIN):
            metrics = ""
            while not told <= set(metrics.splitlines()):
                metrics = await answer_of(f"http://127.0.0.1:{port}/metrics", status=200)
        assert 'consumer_records_fetched_total{consumer="lamps"}' in metrics
        assert await read(sessions, "SELECT count(*) > 0 FROM runs") == [(True,)]


async def test_a_worker_is_ready_and_runs_its_timers_though_the_bus_is_away(
    sessions: Sessions, log: None
) -> None:
    port = free_port()
    async with working(sessions, f"kafka://127.0.0.1:{free_port()}", port) as process:
        assert await answer_of(f"http://127.0.0.1:{port}/readyz", status=200) == "ready"
        await until_row(sessions, "SELECT count(*) > 3 FROM runs", (True,))
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_part_that_ends_by_itself_ends_the_whole_process(
    embedded_bus: PostgresBus, sessions: Sessions, log: None
) -> None:
    async with working(sessions, embedded_bus.url, BREAKS="yes") as process, asyncio.timeout(STARTS_WITHIN):
        assert await process.wait() != 0
