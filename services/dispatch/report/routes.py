"""The report of an incident's deliveries over HTTP."""

from uuid import UUID

from pydantic import BaseModel

from services.contracts import access
from services.contracts.access import Action
from services.dispatch.report import queries
from services.kit.http.application import make_router
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Session

router = make_router("/incidents")


class LegsView(BaseModel):
    """Load units that were handed over, by leg."""

    leg1: int
    leg2: int
    leg3: int


class BulkView(BaseModel):
    """What of bulk loads was split at the gates: what came in is in the portions or lost, to the gram."""

    loads: int
    in_g: int
    portions_g: int
    loss_g: int


class DeliveriesView(BaseModel):
    """What an incident's deliveries came to so far; `grams` are of what has left its outlet.

    Of a load in bulk the units are its crates; a portion that was emptied at the gate got nothing of it.

    `rescued` are loads, once for each whose hands they were rescued from; the others are tasks.
    """

    load_units: int
    portions: int
    delivered: int
    emptied: int
    bulk: BulkView
    trips: int
    grams: int
    metres: int
    handovers: LegsView
    breaches: int
    suspended: int
    reassigned: int
    rescued: int
    rescues_open: int
    rescues_escalated: int


@router.get("/{incident_id}/deliveries")
async def get_deliveries(session: Session, caller: Caller, incident_id: UUID) -> DeliveriesView:
    """Say what an incident's deliveries came to; nothing is known of one that never was."""
    access.require(caller, Action.READ_REPORT)
    row = await queries.count_deliveries(session, incident_id)
    counted = {name: int(value) for name, value in row._mapping.items()}  # noqa: SLF001 - a row's public face
    legs = LegsView(leg1=counted.pop("leg1"), leg2=counted.pop("leg2"), leg3=counted.pop("leg3"))
    bulk = BulkView(**{name: counted.pop(f"split_{name}") for name in BulkView.model_fields})
    return DeliveriesView(handovers=legs, bulk=bulk, **counted)
