"""Databases of a test's own on the run's cluster; a service's is a copy of a template, which takes 30 ms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
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
