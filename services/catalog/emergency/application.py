"""What the list of emergency outlets can be asked. Callers own the transaction."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.emergency import queries
from services.catalog.emergency.tables import EmergencyListRow
from services.kit.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Published:
    """A list that was published."""

    version: int
    outlets: int


async def publish(session: AsyncSession, *, by: str, now: datetime) -> Published:
    """Publish whoever qualifies today as the next version; raise `Conflict` where nobody does."""
    version, outlets = await queries.insert_list(session, published_by=by, now=now)
    if outlets == 0:
        raise Conflict("catalog.no_outlet_qualified", "No outlet qualifies, so there is no list to publish")
    return Published(version, outlets)


async def get_newest(session: AsyncSession) -> EmergencyListRow:
    """Return the newest list; raise `NotFound` where none was published."""
    newest = await queries.find_newest(session)
    if newest is None:
        raise NotFound("catalog.no_list_published", "No list of emergency outlets was published yet")
    return newest
