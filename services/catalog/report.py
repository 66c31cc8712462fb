"""What catalog has to say of an incident: composed here, at the edge, for no noun knows all of it."""

from uuid import UUID

from pydantic import BaseModel

from services.catalog.prices import queries as prices
from services.catalog.stock.holds import queries as holds
from services.catalog.supply import queries as supply
from services.contracts import access
from services.contracts.access import Action
from services.contracts.values import OutletKind
from services.kit.http.application import make_router
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Session

router = make_router("/incidents")


class HoldsView(BaseModel):
    """Sale units that were promised, by what became of them."""

    held: int
    committed: int
    handed_over: int
    released: int


class SupplyReportView(BaseModel):
    """An incident's supply. A cap binds every shop, assigned or not: price refusals are the whole town's."""

    incident_id: UUID
    outlets_by_kind: dict[OutletKind, int]
    price_refusals: int
    holds: HoldsView


@router.get("/{incident_id}/supply")
async def get_supply_report(incident_id: UUID, caller: Caller, session: Session) -> SupplyReportView:
    """Return how an incident is supplied; of an unknown one everything is nought."""
    access.require(caller, Action.READ_REPORT)
    by_kind = await supply.count_outlets_by_kind(session, incident_id)
    return SupplyReportView(
        incident_id=incident_id,
        outlets_by_kind={OutletKind(kind): outlets for kind, outlets in by_kind.items()},
        price_refusals=await prices.count_refusals(session),
        holds=HoldsView(**await holds.sum_holds(session, incident_id)),
    )
