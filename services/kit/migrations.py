"""Each service's own Alembic history, run from code: there is no ini file to keep in step."""

from datetime import UTC, datetime
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only

from services.kit import crash_points, tables

LOCK = 0x0B7B


async def upgrade(service: str, database_url: str) -> None:
    """Bring a service's database to the newest version; of two at once the second waits."""
    engine = create_async_engine(
        make_url(database_url).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        # What holds a table makes a migration fail, not wait: it is run again, and nobody queues behind it.
        connect_args={"server_settings": {"lock_timeout": "2000", "timezone": "UTC"}},
    )
    async with engine.connect() as connection:
        await connection.execute(text("SET lock_timeout = 60000"))
        await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        await connection.execute(text("SET lock_timeout = 2000"))
        await connection.commit()
        await connection.run_sync(_upgrade, service)
        await connection.commit()
        # The worker makes them every hour; an API process that starts before it needs today's already.
        await tables.make_partitions(connection, datetime.now(UTC).date())
        await connection.commit()
    await engine.dispose()


def run() -> None:
    """Run what Alembic asks for, on the connection of `upgrade`; all of a service's `env.py`."""
    context.configure(connection=context.config.attributes["connection"])
    with context.begin_transaction():
        context.run_migrations()
        await_only(crash_points.reach("migration.applied"))


def _upgrade(connection: Connection, service: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / service / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
