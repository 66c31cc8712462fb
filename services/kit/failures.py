"""Failures: which pass by themselves, and how one is told without what a resident wrote."""

import traceback
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# SQLSTATE classes that pass by themselves: connection, rollback asked for, resources, locks, shutdown.
PASSING = ("08", "40", "53", "55", "57")


def is_passing(error: BaseException) -> bool:
    """Say whether the same work may well succeed in a moment."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        return error.connection_invalidated or state.startswith(PASSING)
    return isinstance(error, OSError | PoolTimeout)


def describe(error: BaseException) -> str:
    """Name an error and its place; never its message, which may repeat what a resident wrote."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.name} ({Path(frame.filename).name}:{frame.lineno})"
