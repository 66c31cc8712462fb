"""One transaction for each request, committed before its answer leaves."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import crash_points, database
from services.kit.database import Sessions


async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """Yield the request's session; what it did is committed if and only if the route returns."""
    sessions: Sessions = request.app.state.sessions
    async with sessions.begin() as session:
        yield session
        await crash_points.reach("request.committing")
    await crash_points.reach("request.committed")


# "function" commits before the response leaves: a failed commit is a 500, never a false 202.
Session = Annotated[AsyncSession, Depends(transaction, scope="function")]


async def _now(session: Session) -> datetime:
    return await database.now(session)


Now = Annotated[datetime, Depends(_now, scope="function")]
