"""Every SELECT and lock of the published lists."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from services.catalog.emergency.tables import EmergencyListRow, EmergencyOutletRow
from services.catalog.market import market_day

# Of two who publish at once the second waits: versions have no gap and no twin.
LOCK = text("LOCK TABLE emergency_lists IN SHARE ROW EXCLUSIVE MODE")
PUBLISH = text("""
    INSERT INTO emergency_lists (version, published_at, published_by)
    SELECT coalesce(max(version), 0) + 1, :now, :published_by FROM emergency_lists
    RETURNING version
""")
COPY = text("""
    INSERT INTO emergency_outlets (version, outlet_id, name, kind, lat, lon)
    SELECT :version, outlet_id, name, kind, lat, lon FROM outlets
    WHERE qualified_until >= :today
    ORDER BY outlet_id
""")


async def insert_list(session: AsyncSession, *, published_by: str, now: datetime) -> tuple[int, int]:
    """Write the next version of the list and return it, with how many outlets it names."""
    await session.execute(LOCK)
    version: int = (await session.execute(PUBLISH, {"now": now, "published_by": published_by})).scalar_one()
    await session.execute(COPY, {"version": version, "today": market_day(now)})
    return version, await count_outlets(session, version)


async def find_newest(session: AsyncSession) -> EmergencyListRow | None:
    """Return the newest list, or None where none was published."""
    found = await session.scalars(
        select(EmergencyListRow).order_by(col(EmergencyListRow.version).desc()).limit(1)
    )
    return found.one_or_none()


async def count_outlets(session: AsyncSession, version: int) -> int:
    """Return how many outlets a list names."""
    counted = await session.scalars(
        select(func.count()).select_from(EmergencyOutletRow).where(EmergencyOutletRow.version == version)
    )
    return counted.one()


async def list_outlets(
    session: AsyncSession, version: int, *, after: UUID | None, limit: int
) -> Sequence[EmergencyOutletRow]:
    """Return a page of a list and one more, in the order of ids."""
    asked = (
        select(EmergencyOutletRow)
        .where(EmergencyOutletRow.version == version)
        .order_by(col(EmergencyOutletRow.outlet_id))
        .limit(limit + 1)
    )
    if after is not None:
        asked = asked.where(col(EmergencyOutletRow.outlet_id) > after)
    return (await session.scalars(asked)).all()
