"""Who is killed comes back, whoever else still holds what it had."""

import asyncio
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from services.console.parts import postgres
from services.console.parts.postgres import Cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="baton-killed-") as path:
        Path(path).chmod(0o755)
        with postgres.running(Path(path) / "postgres") as cluster:
            yield cluster


async def test_postgres_comes_back_from_a_kill_though_a_backend_outlives_it(
    cluster: Cluster,
) -> None:
    connection = await asyncpg.connect(cluster.url)
    backend = connection.get_server_pid()
    os.kill(backend, signal.SIGSTOP)
    os.kill(int((cluster.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    waking = threading.Timer(1.0, os.kill, (backend, signal.SIGCONT))
    waking.start()
    await asyncio.to_thread(cluster.start)
    waking.join()
    connection.terminate()
    again = await asyncpg.connect(cluster.url)
    assert await again.fetchval("SELECT 1") == 1
    await again.close()


async def test_postgres_that_is_killed_while_it_stops_has_stopped(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCTLTIMEOUT", "2")
    connection = await asyncpg.connect(cluster.url)
    backend = connection.get_server_pid()
    # It waits for whoever does not answer, and meanwhile is killed.
    os.kill(backend, signal.SIGSTOP)
    first = int((cluster.data / "postmaster.pid").read_text().split()[0])
    killing = threading.Timer(0.5, os.kill, (first, signal.SIGKILL))
    killing.start()
    await asyncio.to_thread(cluster.stop)
    killing.join()
    os.kill(backend, signal.SIGCONT)
    assert cluster.has_died()
    connection.terminate()
