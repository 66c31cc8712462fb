"""A migration that is killed has done nothing, or everything."""

import os
import signal
import subprocess
import sys

import asyncpg

from services.kit.crash_points import VARIABLE
from tests import databases

TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"


def migrate(url: str, points: str = "") -> int:
    command = [sys.executable, "-m", "services.console", "migrate", "whitelist", "--database-url", url]
    return subprocess.run(
        command, env={**os.environ, VARIABLE: points}, capture_output=True, check=False
    ).returncode


async def count_tables(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(TABLES))
    finally:
        await connection.close()


async def test_a_migration_killed_before_its_commit_leaves_nothing_and_is_run_again(postgres: str) -> None:
    async with databases.fresh(postgres) as url:
        assert migrate(url, "migration.applied=crash") == -signal.SIGKILL
        assert await count_tables(url) == 0
        assert migrate(url) == 0
        made = await count_tables(url)
        assert made > 10
        assert migrate(url) == 0
        assert await count_tables(url) == made
