"""Databases of a test's own on the run's cluster; a service's is a copy of a template, which takes 30 ms."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from services.kit import migrations
from services.kit.ids import new_id


def address_of(administrator: str, name: str) -> str:
    return make_url(administrator).set(database=name).render_as_string(hide_password=False)


@asynccontextmanager
async def fresh(administrator: str, *, template: str = "template1") -> AsyncIterator[str]:
    """Yield the address of a new database, dropped afterwards whoever is still connected."""
    name = f"test_{new_id().hex}"
    connection = await asyncpg.connect(administrator)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        yield address_of(administrator, name)
    finally:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.close()


async def build_template(administrator: str, service: str) -> str:
    """Build a service's database by its migrations and return its name."""
    name = f"template_{service}_{new_id().hex}"
    connection = await asyncpg.connect(administrator)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    await migrations.upgrade(service, address_of(administrator, name))
    return name


async def spare_the_disk(administrator: str) -> None:
    """Let the run's cluster leave its pages to the operating system: no test outlives the machine's power.

    Whether a commit is durable is asked of a cluster as `baton run` starts it (tests/e2e/test_town.py).
    """
    connection = await asyncpg.connect(administrator)
    try:
        await connection.execute("ALTER SYSTEM SET fsync = off")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


MEMORY = Path("/dev/shm")  # noqa: S108 - the run makes a folder of a name of its own there
LEAST_MEMORY = 4 * 1024**3


@contextmanager
def folder_of_the_run() -> Iterator[Path]:
    """Yield a folder for the run's cluster, in memory where there is enough: a database is a thousand files.

    On a disk a copy of a template takes up to half a second, in memory 40 ms, and a run makes a thousand.
    """
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= LEAST_MEMORY
    with tempfile.TemporaryDirectory(prefix="baton-test-", dir=MEMORY if has_room else None) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
