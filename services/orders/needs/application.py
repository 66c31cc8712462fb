"""What needs can be asked. Callers own the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import vault
from services.kit.errors import Conflict, Fault, NotFound, Rejected
from services.kit.ids import new_id
from services.kit.vault import Master
from services.orders.groups import queries as groups
from services.orders.intake import queries as intake
from services.orders.needs import domain, queries
from services.orders.needs.domain import CheckInOutcome, Reach
from services.orders.needs.tables import CheckInRow
from services.orders.register import application as register
from services.orders.register.tables import CertificateRow, HouseholdRow
from services.orders.zones import queries as zones
from services.orders.zones.tables import IncidentRow, ZoneRow


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCheckIn:
    """What was found at a household, by whom; the note is personal and kept sealed."""

    outcome: CheckInOutcome
    note: str | None
    made_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an incident has come to: who was reached, what became of the orders, what is still owed."""

    reach: Reach
    needy: Sequence[UUID]
    orders: Mapping[str, int]
    group_orders: int
    refusals: Mapping[str, int]
    undelivered: Sequence[UUID]


async def check_in(
    session: AsyncSession, household: HouseholdRow, made: NewCheckIn, *, master: Master, now: datetime
) -> CheckInRow:
    """Keep that a household of an active zone was asked, and what it said."""
    sealing = (await zones.find_sealings(session, [household.community_id])).get(household.community_id)
    if sealing is None:
        raise Rejected("orders.household_not_in_zone", "The household lies in no active zone")
    note = None
    if made.note is not None:
        keys = await vault.keys_of(session, master, [sealing.incident_id])
        note = keys.seal(sealing.incident_id, {"note": made.note})
    row = CheckInRow(
        check_in_id=new_id(),
        household_id=household.household_id,
        incident_id=sealing.incident_id,
        outcome=made.outcome,
        note=note,
        made_by=made.made_by,
        made_at=now,
    )
    session.add(row)
    await session.flush()
    return row


async def read_notes(
    session: AsyncSession, check_ins: Sequence[CheckInRow], master: Master
) -> Mapping[UUID, str | None]:
    """Return each check-in's note; None where there is none, or its incident's key was destroyed."""
    keys = await vault.keys_of(session, master, {row.incident_id for row in check_ins})
    notes: dict[UUID, str | None] = {}
    for row in check_ins:
        opened = keys.open(row.incident_id, row.note) if row.note is not None else {}
        notes[row.check_in_id] = str(opened["note"]) if opened else None
    return notes


async def get_incident(session: AsyncSession, incident_id: UUID, *, lock: bool = False) -> IncidentRow:
    """Return an incident, locked where it is to close; raise `NotFound` where there is none."""
    found = await zones.find_incident(session, incident_id, lock=lock)
    if found is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    return found


async def report(session: AsyncSession, incident_id: UUID) -> Report:
    """Return what an incident has come to."""
    reach = domain.find_reach(
        await queries.list_households(session, incident_id),
        served=await intake.list_served(session, incident_id),
        asked=await queries.list_asked(session, incident_id),
    )
    return Report(
        reach=reach,
        needy=await queries.list_needy(session, incident_id),
        orders=domain.count_orders(await intake.count_by_status(session, incident_id)),
        group_orders=sum((await groups.count_by_status(session, incident_id)).values()),
        refusals=await intake.count_refusals(session, incident_id),
        undelivered=await intake.list_undelivered(session, incident_id),
    )


async def close_incident(
    session: AsyncSession,
    incident: IncidentRow,
    incident_zones: Sequence[ZoneRow],
    *,
    master: Master,
    now: datetime,
) -> CertificateRow:
    """Destroy a locked incident's key once its zones are closed; certify what can be read no more."""
    if incident.status == "closed":
        raise Conflict("orders.incident_already_closed", "The incident is closed already")
    open_zones = [zone for zone in incident_zones if zone.status != "closed"]
    if open_zones:
        raise Conflict(
            "orders.zones_still_open",
            "A zone of the incident is not closed",
            faults=[
                Fault("", "orders.zones_still_open", {"zone_id": zone.zone_id, "status": zone.status})
                for zone in open_zones
            ],
        )
    said = await report(session, incident.incident_id)
    counts = {
        "zones": len(incident_zones),
        "households": said.reach.households,
        "orders": said.orders["placed"],
        "undelivered_orders": len(said.undelivered),
        "sealed_notes": await queries.drop_notes(session, incident.incident_id),
    }
    await vault.destroy_key(session, incident.incident_id)
    await queries.close_incident(session, incident.incident_id, now)
    return await register.certify(
        session, master, kind="incident", scope_id=incident.incident_id, counts=counts, now=now
    )
