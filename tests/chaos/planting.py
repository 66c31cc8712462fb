"""Rows that no service would ever write, put into its tables to see whether they are found."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg

COLUMNS = """
    SELECT column_name, data_type FROM information_schema.columns
    WHERE table_name = $1 AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
      AND is_generated = 'NEVER'
"""
CHECKS = "SELECT conname FROM pg_constraint WHERE conrelid = $1::regclass AND contype IN ('c', 'u')"
ANY: dict[str, Any] = {
    "integer": 1, "bigint": 1, "smallint": 1, "text": "x", "boolean": False, "jsonb": "[]", "bytea": b"x",
    "ARRAY": [], "double precision": 1.0,
}  # fmt: skip


async def plant(connection: asyncpg.Connection, table: str, **values: object) -> None:
    """Write a row; what is not said is anything, and no constraint of its table holds any more."""
    # As a replica would: no foreign key and no trigger looks.
    await connection.execute("SET session_replication_role = replica")
    for row in await connection.fetch(CHECKS, table):
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {row['conname']} CASCADE")
    row = {column: _any(kind) for column, kind in await connection.fetch(COLUMNS, table)} | values
    names = ", ".join(row)
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", *row.values())


def _any(kind: str) -> object:
    if kind == "uuid":
        return uuid4()
    if kind.startswith("timestamp"):
        return datetime.now(UTC)
    return datetime.now(UTC).date() if kind == "date" else ANY[kind]
