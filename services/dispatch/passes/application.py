"""What can be asked about passes. Callers own the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.fleet import queries as fleet_queries
from services.dispatch.passes import domain, queries
from services.dispatch.passes.domain import Pass
from services.kit.errors import Fault
from services.kit.ids import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPass:
    """A pass as the issuing office gives it: to a plate."""

    number: str
    plate: str
    goods_class: str
    origin_code: str
    destination_code: str
    valid_from: datetime
    valid_to: datetime
    crew: frozenset[UUID]

    def of_vehicle(self, vehicle_id: UUID) -> Pass:
        """Return the pass of the vehicle that has the plate."""
        return Pass(
            number=self.number,
            vehicle_id=vehicle_id,
            goods_class=self.goods_class,
            origin_code=self.origin_code,
            destination_code=self.destination_code,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            crew=self.crew,
        )


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one item."""

    pass_id: UUID | None
    outcome: Literal["created", "updated", "unchanged", "refused"]
    faults: tuple[Fault, ...] = ()


async def import_passes(session: AsyncSession, passes: Sequence[NewPass], now: datetime) -> list[Imported]:
    """Know passes by their numbers, each item for itself; capacities are then computed again."""
    await queries.lock_all(session)
    vehicles = await queries.find_vehicles(session, [each.plate for each in passes])
    known = await queries.find_passes(
        session, vehicle_ids=vehicles.values(), numbers=[each.number for each in passes]
    )
    outcomes: list[Imported] = []
    changed: dict[UUID, Pass] = {}
    for index, each in enumerate(passes):
        outcome = _judge(f"/passes/{index}", each, vehicles, {**known, **changed})
        outcomes.append(outcome)
        if outcome.pass_id and outcome.outcome != "unchanged":
            changed[outcome.pass_id] = each.of_vehicle(vehicles[each.plate])
    if changed:
        await queries.save_passes(session, changed)
        await fleet_queries.note_growth(session, now)
    return outcomes


def _judge(
    pointer: str, wanted: NewPass, vehicles: Mapping[str, UUID], known: Mapping[UUID, Pass]
) -> Imported:
    vehicle_id = vehicles.get(wanted.plate)
    if vehicle_id is None:
        return Imported(None, "refused", (Fault(f"{pointer}/plate", "dispatch.vehicle_unknown"),))
    given = wanted.of_vehicle(vehicle_id)
    faults = domain.find_form_faults(pointer, given) + domain.find_clashes(pointer, given, known.values())
    if faults:
        return Imported(None, "refused", tuple(faults))
    for pass_id, before in known.items():
        if before.number == given.number:
            return Imported(pass_id, "unchanged" if before == given else "updated")
    return Imported(new_id(), "created")
