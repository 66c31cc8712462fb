"""Failures: which pass by themselves, and how one is told without what a resident wrote."""

import traceback
from pathlib import Path

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# SQLSTATE classes that pass by themselves: connection, rollback asked for, resources, locks, shutdown.
PASSING = ("08", "40", "53", "55", "57")
# Of two who met the database chose one to begin anew: serialization failure, deadlock.
LOST_RACES = ("40001", "40P01")
# What the driver raises of a connection that the server has ended or refused. Ended between two of its own
# steps, it calls the next one an error of its own: that is how a relay has died of a restarted database.
LOST_CONNECTION = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
# What SQLAlchemy passes on as the driver raises it: of a connection that ended before it was quite made, or
# between two of the driver's own steps. A worker has died of it, and an event could have been parked for it.
UNTRANSLATED = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
# All that a question may end by which SQLAlchemy puts to a database that is away, or going.
UNANSWERED = (SQLAlchemyError, *UNTRANSLATED)


def is_passing(error: BaseException) -> bool:
    """Say whether the same work may well succeed in a moment."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _state_of(error).startswith(PASSING)
    return isinstance(error, (*UNTRANSLATED, PoolTimeout))


def is_lost_race(error: BaseException) -> bool:
    """Say whether the same transaction, done again at once, will most likely succeed."""
    return isinstance(error, DBAPIError) and _state_of(error) in LOST_RACES


def describe(error: BaseException) -> str:
    """Name an error and its place; never its message, which may repeat what a resident wrote."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.name} ({Path(frame.filename).name}:{frame.lineno})"


def _state_of(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""
