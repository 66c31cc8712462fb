"""What needs can be asked. Callers own the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import vault
from services.kit.errors import NotFound, Rejected
from services.kit.ids import new_id
from services.kit.vault import Master
from services.orders.groups import queries as groups
from services.orders.intake import queries as intake
from services.orders.needs import domain, queries
from services.orders.needs.domain import CheckInOutcome, Reach
from services.orders.needs.tables import CheckInRow
from services.orders.register.tables import HouseholdRow
from services.orders.zones import queries as zones
from services.orders.zones.tables import IncidentRow


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
