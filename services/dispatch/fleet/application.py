"""What the fleet can be asked. Callers own the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.dispatch import SlotCapacityStated
from services.contracts.orders import ZoneOpened
from services.contracts.values import Point
from services.dispatch.fleet import domain, queries
from services.dispatch.fleet.domain import Fleet
from services.dispatch.fleet.tables import VehicleRow
from services.kit import outbox
from services.kit.errors import Conflict, Fault, NotFound
from services.kit.event import Arrived
from services.kit.ids import new_id

log = structlog.get_logger()

STATED = Counter("slot_capacities_stated_total", "Statements of a slot's capacity")

SLOTS_AT_ONCE: Final = 200
CHECKED_EVERY: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVehicle:
    """A vehicle as a list gives it; the plate tells whether it is known."""

    plate: str
    kind: str
    capacity_g: int
    capacity_pieces: int
    base: Point
    shift_starts_at: datetime
    shift_ends_at: datetime


LISTED: Final = {
    "kind", "capacity_g", "capacity_pieces", "base_lat", "base_lon", "shift_starts_at", "shift_ends_at",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one item."""

    vehicle_id: UUID | None
    outcome: Literal["created", "updated", "unchanged", "refused"]
    faults: tuple[Fault, ...] = ()


async def import_vehicles(
    session: AsyncSession, vehicles: Sequence[NewVehicle], now: datetime
) -> list[Imported]:
    """Know vehicles by their plates, each item for itself; capacities are then computed again.

    One that is lost stays out of service: a list does not say that it was found.
    """
    known = await queries.find_by_plate(session, [vehicle.plate for vehicle in vehicles])
    outcomes: list[Imported] = []
    changed: dict[str, VehicleRow] = {}
    for index, vehicle in enumerate(vehicles):
        faults = _find_faults(index, vehicle, changed)
        if faults:
            outcomes.append(Imported(None, "refused", tuple(faults)))
            continue
        before = known.get(vehicle.plate)
        row = _row_of(before.vehicle_id if before else new_id(), vehicle)
        if before is not None and before.model_dump(include=LISTED) == row.model_dump(include=LISTED):
            outcomes.append(Imported(row.vehicle_id, "unchanged"))
            continue
        changed[vehicle.plate] = row
        outcomes.append(Imported(row.vehicle_id, "updated" if before else "created"))
    if changed:
        await queries.save_vehicles(session, list(changed.values()))
        await queries.note_growth(session, now)
    return outcomes


async def lose_vehicle(session: AsyncSession, vehicle_id: UUID, reason: str, now: datetime) -> None:
    """Take a vehicle out of service, from now until somebody brings it back."""
    if not await queries.lose(session, vehicle_id, reason, now):
        if await queries.find_vehicle(session, vehicle_id) is None:
            raise NotFound("kit.not_found", "Nothing is found here")
        raise Conflict("dispatch.vehicle_lost", "The vehicle is lost already")


async def bring_back(session: AsyncSession, vehicle_id: UUID, now: datetime, *, by: str) -> VehicleRow:
    """Take a lost vehicle into service again; one that is in service stays as it is. Return it."""
    if await queries.bring_back(session, vehicle_id, now, by=by):
        await queries.note_growth(session, now)
        log.info("vehicle.returned", vehicle_id=str(vehicle_id))
    vehicle = await queries.find_vehicle(session, vehicle_id)
    if vehicle is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    return vehicle


async def open_slots(session: AsyncSession, arrivals: Sequence[Arrived[ZoneOpened]]) -> None:
    """Know the slots of opened zones; their capacity is due."""
    await queries.open_slots(session, arrivals)


async def state_due_capacities(session: AsyncSession, fleet: Fleet, now: datetime) -> int:
    """Compute a batch of due slots and tell those whose number has changed; return how many were due.

    A slot past its cut-off is told no new number: nobody can order in it any more.
    """
    claimed = await queries.claim_slots(session, now, batch=SLOTS_AT_ONCE, checked_every=CHECKED_EVERY)
    if not claimed:
        return 0
    portions = domain.portions_of(await queries.list_windows(session, now), fleet)
    changed = {
        slot.slot_id: portions[slot.slot_id]
        for slot in claimed
        if slot.portions is None or (slot.is_taking and slot.portions != portions[slot.slot_id])
    }
    stated = await queries.state_portions(session, changed) if changed else ()
    await queries.mark_checked(session, [slot.slot_id for slot in claimed], now)
    await outbox.add_all(
        session,
        [
            (
                SlotCapacityStated(
                    slot_id=row.slot_id,
                    zone_id=row.zone_id,
                    incident_id=row.incident_id,
                    portions=row.portions,
                ),
                row.sequence,
            )
            for row in stated
        ],
    )
    STATED.inc(len(stated))
    return len(claimed)


def _find_faults(index: int, vehicle: NewVehicle, changed: dict[str, VehicleRow]) -> list[Fault]:
    pointer = f"/vehicles/{index}"
    faults = domain.find_shift_faults(
        pointer, starts_at=vehicle.shift_starts_at, ends_at=vehicle.shift_ends_at
    )
    if vehicle.plate in changed:
        faults.append(Fault(f"{pointer}/plate", "dispatch.plate_repeated"))
    return faults


def _row_of(vehicle_id: UUID, vehicle: NewVehicle) -> VehicleRow:
    return VehicleRow(
        vehicle_id=vehicle_id,
        plate=vehicle.plate,
        kind=vehicle.kind,
        capacity_g=vehicle.capacity_g,
        capacity_pieces=vehicle.capacity_pieces,
        base_lat=vehicle.base.lat,
        base_lon=vehicle.base.lon,
        shift_starts_at=vehicle.shift_starts_at,
        shift_ends_at=vehicle.shift_ends_at,
    )
