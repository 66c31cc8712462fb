"""What can be asked about plans; committing one is in `commitment`. Callers own the transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.loads import domain as loads_domain
from services.dispatch.loads import queries as loads_queries
from services.dispatch.plans import commitment, gathering, pool, queries
from services.dispatch.plans.domain import Solution, Trip, Vehicle, Violation, Wave
from services.dispatch.trips import application as trips
from services.dispatch.trips import queries as trips_queries
from services.dispatch.trips.application import Released
from services.kit.errors import Conflict, Fault, Problem, Rejected
from services.kit.ids import new_id

log = structlog.get_logger()

SOLVED = Counter("plans_solved_total", "Plans that came to an end in the solver", ["status"])

USUAL_SECONDS: Final = 5.0
# Beyond its own seconds a solver starts, reads and answers; after that it is taken for dead.
LEASE_GRACE: Final = 30.0
MOST_ATTEMPTS: Final = 3
AUTOMATIC_EVERY: Final = 10.0


@dataclass(frozen=True, slots=True)
class Claimed:
    """A plan that this process is to solve; `attempt` tells its answer from a later one's."""

    plan_id: UUID
    attempt: int
    seconds: float
    seed: int
    wave: Wave


async def request_plan(
    session: AsyncSession, slot_ids: Sequence[UUID], *, seconds: float, now: datetime
) -> UUID:
    """Ask for a plan of all that is in the pool of some slots; each wave must be complete."""
    waves = await loads_queries.find_waves(session, slot_ids)
    _require_plannable(slot_ids, waves)
    if not await pool.list_pool(session, slot_ids):
        raise Conflict("dispatch.pool_empty", "Nothing of these slots waits to be planned")
    return await _ask(
        session,
        incident_id=waves[slot_ids[0]].incident_id,
        slot_ids=slot_ids,
        zone_ids=[waves[slot_id].zone_id for slot_id in slot_ids],
        seconds=seconds,
        now=now,
    )


async def claim_plan(session: AsyncSession, now: datetime) -> Claimed | None:
    """Take a plan to solve, with its wave; None where none waits. One that killed its solvers has failed."""
    while row := await queries.claim(session, now, grace=LEASE_GRACE):
        if row.attempts <= MOST_ATTEMPTS:
            wave = await gathering.gather(
                session, zone_ids=row.zone_ids, slot_ids=row.slot_ids, load_ids=row.load_ids, now=now
            )
            return Claimed(row.plan_id, row.attempts, row.seconds, row.seed, wave)
        await fail_plan(session, row.plan_id, row.attempts, "dispatch.solver_died", now)
    return None


async def store_solution(
    session: AsyncSession,
    claimed: Claimed,
    solution: Solution,
    violations: Sequence[Violation],
    now: datetime,
) -> bool:
    """Write a plan's trips and what it leaves; nothing of an unlawful one, or of one that came too late."""
    if violations:
        log.error("plan.unlawful", plan_id=str(claimed.plan_id), codes=sorted({v.code for v in violations}))
        return await fail_plan(session, claimed.plan_id, claimed.attempt, "dispatch.plan_unlawful", now)
    settled = await queries.settle(
        session, claimed.plan_id, attempt=claimed.attempt, status="ready", failure=None, now=now
    )
    if settled is None:
        return False
    zones = await queries.refer_to_loads(session, [load.load_id for load in claimed.wave.loads])
    await _insert_trips(session, claimed, solution, zones, settled.incident_id)
    await queries.insert_left(
        session, claimed.plan_id, {left.load_id: left.why for left in solution.unassigned}
    )
    SOLVED.labels("ready").inc()
    return True


async def fail_plan(session: AsyncSession, plan_id: UUID, attempt: int, code: str, now: datetime) -> bool:
    """Write why an attempt came to nothing."""
    settled = await queries.settle(session, plan_id, attempt=attempt, status="failed", failure=code, now=now)
    if settled is not None:
        SOLVED.labels("failed").inc()
    return settled is not None


async def commit_automatic(session: AsyncSession, now: datetime) -> int:
    """Commit a plan that nobody needs to look at; without a driver it is tried again until it is outdated.

    What it could not take along, or was outdated for, is planned anew while the slot lasts.
    """
    plan_id = await queries.claim_automatic(session, now, every=AUTOMATIC_EVERY)
    if plan_id is None:
        return 0
    try:
        is_left = bool((await commitment.commit_plan(session, plan_id, chosen={}, now=now)).uncommitted)
    except Problem as problem:
        log.info("plan.uncommitted", plan_id=str(plan_id), code=problem.code)
        is_left = problem.code in {commitment.OUTDATED, commitment.LOADS_TAKEN}
        if problem.code != commitment.NO_DRIVER:
            await queries.mark_failed(session, plan_id, problem.code)
    if is_left:
        await _ask_anew(session, plan_id, now)
    return 1


async def note_loaded(session: AsyncSession, load_ids: Iterable[UUID], now: datetime) -> int:
    """Know that loads are on board; a trip with all of its loads has left. Return how many trips left."""
    return await trips.note_loaded(session, dict.fromkeys(load_ids), now)


async def release_driver(session: AsyncSession, person_ids: Iterable[UUID], now: datetime) -> list[Released]:
    """Take the open trips of suspended drivers: another drives, or what is not loaded is planned anew.

    Names for each person and incident the loads reassigned, pooled, and on board (to be rescued).
    """
    released = await trips.release(session, person_ids, now)
    await plan_anew(session, _pooled(released), cause="driver_suspended", now=now)
    return released


async def release_vehicle(session: AsyncSession, vehicle_id: UUID, now: datetime) -> list[Released]:
    """Take the open trips of a vehicle that is lost: what is not loaded is planned anew."""
    released = await trips.release_vehicle(session, vehicle_id)
    await plan_anew(session, _pooled(released), cause="vehicle_lost", now=now)
    return released


async def plan_anew(
    session: AsyncSession,
    load_ids: Iterable[UUID],
    *,
    cause: str,
    now: datetime,
    seconds: float = USUAL_SECONDS,
) -> None:
    """Ask for plans of loads, one for each incident and each rescue, that are committed by themselves.

    Plans of the same loads that wait to be committed are superseded; what else they carry is asked for too.
    """
    wanted = set(load_ids)
    wanted |= await queries.supersede(session, wanted, commitment.OUTDATED)
    together: dict[tuple[UUID, UUID | None], list[Row[Any]]] = {}
    for load in await queries.find_slots_of(session, wanted):
        together.setdefault((load.incident_id, load.rescue_id), []).append(load)
    for (incident_id, _), loads in together.items():
        await _ask(
            session,
            incident_id=incident_id,
            slot_ids=[load.slot_id for load in loads],
            zone_ids=[load.zone_id for load in loads],
            load_ids=[load.load_id for load in loads],
            cause=cause,
            seconds=seconds,
            now=now,
        )


async def _ask_anew(session: AsyncSession, plan_id: UUID, now: datetime) -> None:
    plan = await queries.find_plan(session, plan_id)
    assert plan is not None  # noqa: S101 - claimed before
    windows = await queries.find_windows(session, plan.slot_ids)
    waiting = await pool.list_pool(session, plan.slot_ids, plan.load_ids)
    # What waits on the road is in no slot's window: it is brought as soon as it can be.
    lasting = [
        load.load_id for load in waiting if load.slot_id not in windows or windows[load.slot_id].ends_at > now
    ]
    await plan_anew(session, lasting, cause=plan.cause, now=now, seconds=plan.seconds)


def _pooled(released: Iterable[Released]) -> list[UUID]:
    return [load_id for entry in released for load_id in entry.pooled_load_ids]


async def _ask(  # noqa: PLR0913 - the row of a plan
    session: AsyncSession,
    *,
    incident_id: UUID,
    slot_ids: Sequence[UUID],
    zone_ids: Iterable[UUID],
    seconds: float,
    now: datetime,
    load_ids: Sequence[UUID] | None = None,
    cause: str = "asked",
) -> UUID:
    plan_id = new_id()
    plan = {
        "plan_id": plan_id,
        "incident_id": incident_id,
        "zone_ids": sorted(set(zone_ids)),
        "slot_ids": sorted(set(slot_ids)),
        "load_ids": load_ids,
        "cause": cause,
        "is_automatic": load_ids is not None,
        "seed": plan_id.int % 2**31,
        "seconds": seconds,
    }
    await queries.insert_plan(session, plan, now)
    return plan_id


def _require_plannable(slot_ids: Sequence[UUID], waves: Mapping[UUID, Row[Any]]) -> None:
    faults = [
        Fault(f"/slot_ids/{index}", "dispatch.slot_unknown")
        for index, slot_id in enumerate(slot_ids)
        if slot_id not in waves or waves[slot_id].starts_at is None
    ]
    if faults:
        raise Rejected("dispatch.slot_unknown", "A slot is not known here", faults=faults)
    if len({wave.incident_id for wave in waves.values()}) > 1:
        raise Rejected(
            "dispatch.slots_of_several_incidents",
            "A wave is of one incident",
            faults=[Fault("/slot_ids", "dispatch.slots_of_several_incidents")],
        )
    faults = [
        Fault(
            f"/slot_ids/{index}",
            "dispatch.wave_incomplete",
            {"expected": waves[slot_id].expected, "present": waves[slot_id].confirmed},
        )
        for index, slot_id in enumerate(slot_ids)
        if not loads_domain.is_complete(expected=waves[slot_id].expected, confirmed=waves[slot_id].confirmed)
    ]
    if faults:
        raise Conflict(
            "dispatch.wave_incomplete", "Not every confirmed order of these slots is here yet", faults=faults
        )


async def _insert_trips(
    session: AsyncSession,
    claimed: Claimed,
    solution: Solution,
    zones: Mapping[UUID, UUID],
    incident_id: UUID,
) -> None:
    vehicles = {vehicle.vehicle_id: vehicle for vehicle in claimed.wave.vehicles}
    trips_made: list[dict[str, object]] = []
    stops: list[dict[str, object]] = []
    for number, trip in enumerate(solution.trips, start=1):
        place = {
            "trip_id": new_id(),
            "plan_id": claimed.plan_id,
            "number": number,
            "incident_id": incident_id,
            "zone_ids": sorted({zones[load_id] for load_id in trip.load_ids}),
        }
        trips_made.append({**place, **_trip_of(trip, vehicles[trip.vehicle_id])})
        stops.extend(
            {
                "trip_id": place["trip_id"],
                "position": position,
                "kind": stop.kind,
                "place_id": stop.place_id,
                "load_ids": list(stop.load_ids),
                "arrives_at": stop.arrives_at,
                "leaves_at": stop.leaves_at,
            }
            for position, stop in enumerate(trip.stops, start=1)
        )
    if trips_made:
        await trips_queries.insert_proposed(session, trips_made, stops)


def _trip_of(trip: Trip, vehicle: Vehicle) -> dict[str, object]:
    return {
        "vehicle_id": trip.vehicle_id,
        "departs_at": trip.departs_at,
        "depart_by": trip.departs_at + trip.slack,
        "ends_at": trip.ends_at,
        "metres": trip.metres,
        "grams": trip.grams,
        "pieces": trip.pieces,
        "capacity_g": vehicle.capacity_g,
        "capacity_pieces": vehicle.capacity_pieces,
    }
