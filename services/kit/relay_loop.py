"""The relay of a worker: as many shards as are its part, sent for as long as the process lives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.engine import make_url

from services.kit import database, failures, outbox, relay
from services.kit.bus.transport import Bus, BusUnavailable, Sender
from services.kit.loops import Pause, to_its_end
from services.kit.shares import Shares

log = structlog.get_logger()

SENT = Counter("outbox_events_sent_total", "Events the bus has acknowledged")
FAILURES = Counter("relay_failures_total", "Times the relay began again with a fresh sender")
SHARDS = Gauge("relay_shards", "Shards this process relays")

SETTLES_EVERY: Final = 1.0
CONNECTS_WITHIN: Final = 5.0
ANSWERS_WITHIN: Final = 5.0
# Longer than one send may take: of a process that is frozen, or of a machine that is gone, the server ends
# the connection after so long, and its shards find another owner.
FROZEN_AFTER: Final = 30.0


async def keep_relaying(database_url: str, bus: Bus, *, frozen_after: float = FROZEN_AFTER) -> None:
    """Send what is pending until cancelled, which ends it between two batches.

    After any error both the sender and the connection, and with it the shards, are given up and begun afresh.
    """
    pause = Pause(least=0.1, most=5.0)
    while True:
        try:
            async with _connected(database_url, frozen_after) as connection, bus.sending() as sender:
                await _relay(connection, sender, pause)
        except (BusUnavailable, *failures.LOST_CONNECTION) as error:
            FAILURES.inc()
            log.warning("relay.interrupted", error=type(error).__name__)
        finally:
            SHARDS.set(0)
        await asyncio.sleep(pause.next())


async def _relay(connection: asyncpg.Connection, sender: Sender, interrupted: Pause) -> None:
    shares = Shares(connection, space=relay.LOCK_SPACE, count=outbox.PARTITIONS)
    idle = Pause(least=0.005, most=0.1)
    loop = asyncio.get_running_loop()
    settles_at = loop.time()
    while True:
        if loop.time() >= settles_at:
            await to_its_end(shares.settle())
            SHARDS.set(len(shares.owned))
            settles_at = loop.time() + SETTLES_EVERY
        sent = await to_its_end(relay.send_pending(connection, shares.owned, sender.send))
        SENT.inc(sent)
        interrupted.reset()
        if sent:
            idle.reset()
        else:
            await asyncio.sleep(idle.next())


@asynccontextmanager
async def _connected(database_url: str, frozen_after: float) -> AsyncIterator[asyncpg.Connection]:
    address = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(
        address,
        timeout=CONNECTS_WITHIN,
        command_timeout=ANSWERS_WITHIN,
        server_settings={
            **database.LIMITS,
            **relay.PLANS,
            "idle_session_timeout": str(int(frozen_after * 1000)),
        },
    )
    try:
        yield connection
    finally:
        # At once: a connection that does not answer must not hold up the next one.
        connection.terminate()
