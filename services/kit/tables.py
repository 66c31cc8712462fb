"""The tables every service has for what leaves it and what arrives; partitioned by day from the first day."""

from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Retention nests: inbox 30 d > outbox 7 d, so a replay of the whole outbox still meets every mark.
INBOX_DAYS = 30
OUTBOX_DAYS = 7
DAYS_AHEAD = 3
PARTITIONS_LOCK = 0x0B7D

LIST_DAYS = text("""
    SELECT parent.relname, to_date(right(child.relname, 8), 'YYYYMMDD')
    FROM pg_inherits
    JOIN pg_class AS parent ON parent.oid = inhparent
    JOIN pg_class AS child ON child.oid = inhrelid
    WHERE inhparent IN ('outbox_event'::regclass, 'inbox'::regclass)
""")

STATEMENTS = (
    # CACHE 1: a cached block would let a later transaction draw a lower id, and invert the order of a key.
    "CREATE SEQUENCE outbox_event_id CACHE 1",
    """
    CREATE TABLE outbox_event (
        id bigint NOT NULL,
        day date NOT NULL,
        event_id uuid NOT NULL,
        topic text NOT NULL,
        key text NOT NULL,
        version bigint NOT NULL CHECK (version > 0),
        type text NOT NULL,
        payload jsonb NOT NULL CHECK (octet_length(payload::text) <= 65536),
        trace text NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
        PRIMARY KEY (day, id),
        UNIQUE (day, topic, key, version)
    ) PARTITION BY RANGE (day)
    """,
    # Narrow and apart: deleting such a row costs 110 B of WAL, updating the wide event row 2,101 B.
    """
    CREATE TABLE outbox_pending (
        shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 11),
        id bigint NOT NULL,
        day date NOT NULL,
        PRIMARY KEY (shard, id)
    ) WITH (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0
    )
    """,
    """
    CREATE TABLE inbox (
        consumer text NOT NULL,
        event_day date NOT NULL,
        event_id uuid NOT NULL,
        PRIMARY KEY (consumer, event_day, event_id)
    ) PARTITION BY RANGE (event_day)
    """,
    """
    CREATE TABLE parked (
        consumer text NOT NULL,
        topic text NOT NULL,
        key text NOT NULL,
        event_id uuid NOT NULL,
        version bigint NOT NULL,
        type text NOT NULL,
        value bytea NOT NULL,
        recorded_at timestamptz NOT NULL,
        trace text NOT NULL,
        error text NOT NULL,
        parked_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
        PRIMARY KEY (consumer, key, topic, event_id)
    )
    """,
    # The first acceptance, kept as long as what it made; refusals are judged anew each time. A report makes
    # nothing of its own: its key is forgotten (`retention`).
    """
    CREATE TABLE idempotency (
        principal text NOT NULL,
        route text NOT NULL,
        key text NOT NULL,
        digest bytea NOT NULL,
        status smallint NOT NULL,
        location text,
        body bytea NOT NULL,
        accepted_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
        is_report boolean NOT NULL DEFAULT false,
        PRIMARY KEY (principal, route, key)
    )
    """,
    "CREATE INDEX idempotency_reports ON idempotency (accepted_at) WHERE is_report",
)


async def create_kit_tables(connection: AsyncConnection) -> None:
    """Create the tables, without partitions."""
    for statement in STATEMENTS:
        await connection.execute(text(statement))


async def make_partitions(connection: AsyncConnection, today: date) -> None:
    """Make every partition that can be needed until `DAYS_AHEAD` days from `today`; those there are kept."""
    await lock_partitions(connection)
    last = today + timedelta(days=DAYS_AHEAD)
    # One day back: a transaction that began before midnight still writes to its own day.
    await _make(connection, "outbox_event", today - timedelta(days=1), last)
    await _make(connection, "inbox", today - timedelta(days=INBOX_DAYS), last)


async def drop_partitions(connection: AsyncConnection, today: date) -> list[str]:
    """Drop the days no promise needs any more and return their names; a day with a pending event stays."""
    await lock_partitions(connection)
    days = await _list_days(connection)
    pending = set((await connection.execute(text("SELECT DISTINCT day FROM outbox_pending"))).scalars())
    old_events = {day for day in days["outbox_event"] - pending if day < today - timedelta(days=OUTBOX_DAYS)}
    old_marks = {day for day in days["inbox"] if day < today - timedelta(days=INBOX_DAYS)}
    names = [_name("outbox_event", day) for day in sorted(old_events)]
    names += [_name("inbox", day) for day in sorted(old_marks)]
    for name in names:
        await connection.execute(text(f"DROP TABLE {name}"))
    return names


async def lock_partitions(connection: AsyncConnection) -> None:
    """Be the only one, until this transaction ends, that makes, drops or fills whole days."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": PARTITIONS_LOCK})


async def _make(connection: AsyncConnection, table: str, first: date, last: date) -> None:
    wanted = {first + timedelta(days=offset) for offset in range((last - first).days + 1)}
    for day in sorted(wanted - (await _list_days(connection))[table]):
        name, bounds = _name(table, day), f"FROM ('{day}') TO ('{day + timedelta(days=1)}')"
        # Made apart and then attached: writers go on, where PARTITION OF would lock out all of them.
        await connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)"))
        await connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}"))


async def _list_days(connection: AsyncConnection) -> dict[str, set[date]]:
    found: dict[str, set[date]] = {"outbox_event": set(), "inbox": set()}
    for table, day in await connection.execute(LIST_DAYS):
        found[table].add(day)
    return found


def _name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"
