"""The crew's clearance over HTTP, as dispatch knows it."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from services.contracts import access
from services.contracts.access import Action
from services.contracts.values import ZoneClass
from services.dispatch.crew import domain, queries
from services.dispatch.crew.tables import CrewRow
from services.kit.http.application import make_router
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

router = make_router("/crew")


class CrewView(BaseModel):
    """Until when a person is cleared for which class; degraded: the whitelist was not heard for a minute."""

    person_id: UUID
    role: str
    valid_until: dict[ZoneClass, datetime]
    cleared_for: list[ZoneClass]
    is_suspended: bool
    codes: list[str]
    is_degraded: bool


@router.get("")
async def list_crew(session: Session, now: Now, caller: Caller, paging: PagingAsked) -> Page[CrewView]:
    """List the people whose clearance is known."""
    access.require(caller, Action.READ_CLEARANCE)
    degraded = domain.is_degraded(await queries.find_beats(session), now)
    rows = await queries.list_crew(session, limit=paging.limit, after=paging.after)
    return paging.page(rows, _viewer(now, degraded=degraded), row_id=lambda row: row.person_id)


def _viewer(now: datetime, *, degraded: bool) -> Callable[[CrewRow], CrewView]:
    def view(row: CrewRow) -> CrewView:
        valid_until = dict(queries.valid_until_of(row))
        return CrewView(
            person_id=row.person_id,
            role=row.role,
            valid_until=valid_until,
            cleared_for=[zone_class for zone_class, until in valid_until.items() if now < until],
            is_suspended=row.is_suspended,
            codes=row.codes,
            is_degraded=degraded,
        )

    return view
