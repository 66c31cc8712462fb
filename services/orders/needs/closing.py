"""How an incident ends: what is owed is settled or given up by name, one key is destroyed, the rest stays."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import vault
from services.kit.errors import Conflict, Fault
from services.kit.vault import Master
from services.orders.needs import application, queries
from services.orders.needs.application import Report
from services.orders.register import application as register
from services.orders.register.certificates import Destruction, Kept
from services.orders.register.tables import CertificateRow
from services.orders.zones.tables import IncidentRow, ZoneRow

# The ledger is pseudonymous: who an id is, only the register's own keys can tell.
LEDGER: Final = "the ledger of what was ordered, priced and delivered: ids and amounts, no names"
CHECK_INS: Final = "who was asked and with what outcome, by the household's id; their notes are destroyed"
REGISTER: Final = "contacts stay sealed, each under the household's own key, until the household is erased"


class OrdersUndelivered(Conflict):
    """Somebody still waits for goods of the incident."""

    def __init__(self, *, undelivered: int, undecided: int) -> None:
        code = "orders.orders_undelivered"
        fault = Fault("", code, {"undelivered": undelivered, "undecided": undecided})
        super().__init__(code, "Orders of the incident have not reached their doors", faults=[fault])


async def close_incident(  # noqa: PLR0913 - what ends, and what is given up with it
    session: AsyncSession,
    incident: IncidentRow,
    incident_zones: Sequence[ZoneRow],
    *,
    abandon_reason: str | None,
    master: Master,
    now: datetime,
) -> CertificateRow:
    """Destroy a locked incident's key once nothing is owed, or for a reason all the same; certify it."""
    _require_ended(incident, incident_zones)
    said = await application.report(session, incident.incident_id)
    undelivered, undecided = len(said.undelivered), said.orders["undecided"]
    owed = undelivered + undecided
    if owed and abandon_reason is None:
        raise OrdersUndelivered(undelivered=undelivered, undecided=undecided)

    notes = await queries.drop_notes(session, incident.incident_id)
    await vault.destroy_key(session, incident.incident_id)
    abandoned, reason = (owed, abandon_reason) if owed else (None, None)
    await queries.close_incident(session, incident.incident_id, abandoned=abandoned, reason=reason, now=now)
    done = Destruction(
        kind="incident",
        scope_id=incident.incident_id,
        sealed_records={"check_in_notes": notes},
        kept=_list_kept(said, check_ins=await queries.count_check_ins(session, incident.incident_id)),
        destroyed_at=now,
    )
    return await register.certify(session, master, done)


def _list_kept(said: Report, *, check_ins: int) -> Sequence[Kept]:
    return (
        Kept("orders", said.orders["placed"], LEDGER),
        Kept("check_ins", check_ins, CHECK_INS),
        Kept("households", said.reach.households, REGISTER),
    )


def _require_ended(incident: IncidentRow, incident_zones: Sequence[ZoneRow]) -> None:
    if incident.status == "closed":
        raise Conflict("orders.incident_already_closed", "The incident is closed already")
    code = "orders.zones_still_open"
    open_zones = [
        Fault("", code, {"zone_id": zone.zone_id, "status": zone.status})
        for zone in incident_zones
        if zone.status != "closed"
    ]
    if open_zones:
        raise Conflict(code, "A zone of the incident is not closed", faults=open_zones)
