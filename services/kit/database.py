"""Engines, sessions, names in one transaction's hands, and its clock."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg
from sqlalchemy import ExceptionContext, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

Sessions = async_sessionmaker[AsyncSession]

# Limits live in the server: a client-side cancel can leave a connection in the middle of an answer.
# They nest: service 3 s > statement 1.5 s > lock 1 s > pool 0.5 s.
LIMITS = {
    "statement_timeout": "1500",
    "lock_timeout": "1000",
    "idle_in_transaction_session_timeout": "3000",
    "synchronous_commit": "on",
    "timezone": "UTC",
}

# A server that can be reached keeps its own limits, and these are never met; one that has fallen mute is
# given up by them, lest timers, consumers and writers wait for it as long as TCP does, which is for hours.
CONNECTS_WITHIN: Final = 5.0
ANSWERS_WITHIN: Final = 5.0
PARTS_WITHIN: Final = 0.2

TRY_NAMES = text("""
    SELECT pg_try_advisory_xact_lock(hashtextextended(name, 0))
    FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS asked (name, place) ORDER BY place
""")


class _Connection(asyncpg.Connection):
    """A connection that takes no long leave: who gives it up may be a request whose time is over."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the driver's own name
        """Part in peace where the server still answers, and otherwise without."""
        await super().close(timeout=PARTS_WITHIN if timeout else None)


def create_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """Build an engine on asyncpg; nothing connects until the first session needs it."""
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=0.5,
        hide_parameters=True,
        connect_args={
            "server_settings": LIMITS,
            "connection_class": _Connection,
            "timeout": CONNECTS_WITHIN,
            "command_timeout": ANSWERS_WITHIN,
        },
    )
    event.listen(engine.sync_engine, "handle_error", _give_up_mute)
    return engine


def _give_up_mute(context: ExceptionContext) -> None:
    # Where one has fallen mute, so have those of its age: all are replaced, not each found out in its turn.
    if isinstance(context.original_exception, TimeoutError):
        context.is_disconnect = True


def create_sessions(engine: AsyncEngine) -> Sessions:
    """Build the factory of sessions; rows stay readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def now(session: AsyncSession) -> datetime:
    """Return the transaction's timestamp: read once, then passed on."""
    moment: datetime = (await session.execute(text("SELECT transaction_timestamp()"))).scalar_one()
    return moment


async def try_names(session: AsyncSession, names: Sequence[str]) -> list[bool]:
    """Take each name for this transaction and say which were got; the others are in other hands now."""
    return list((await session.execute(TRY_NAMES, {"names": list(names)})).scalars())
