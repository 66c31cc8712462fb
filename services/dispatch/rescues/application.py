"""What is done about goods in hands that may not carry them on. Callers own the transaction."""

from collections import Counter as Count
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.crew import queries as crew_queries
from services.dispatch.crew.domain import is_cleared
from services.dispatch.fleet import application as fleet_application
from services.dispatch.fleet import queries as fleet_queries
from services.dispatch.plans import application as plans_application
from services.dispatch.plans import pool as plans_pool
from services.dispatch.rescues import custody, domain, escalation, listing, opening, queries, ways
from services.dispatch.rescues.domain import Cause, Hold, InHand
from services.dispatch.rescues.opening import Opened
from services.dispatch.trips import application as trips_application
from services.kit.errors import Conflict, Fault, Rejected

log = structlog.get_logger()

SETTLED = Counter("rescues_settled_total", "Rescues of which nothing waits any more", ["cause"])

DUTIES_AT_ONCE: Final = 200
# A hand-over that names one of them waits for the whole batch: what takes long for each is done for few.
SETTLED_AT_ONCE: Final = 100
CALLED_AT_ONCE: Final = 10
PLANNED_AT_ONCE: Final = 20
PATIENCE: Final = timedelta(minutes=5)


async def take_work_from(session: AsyncSession, person_ids: Iterable[UUID], now: datetime) -> None:
    """Take the open work from people who were just suspended.

    What is not loaded gets another driver or returns to the pool; what is in their hands is to be rescued.
    """
    people = set(person_ids)
    released = await plans_application.release_driver(session, people, now)
    held: set[InHand] = set(await custody.find_in_hand(session, people))
    held |= await custody.find_by_word(
        session, [(load_id, each.person_id) for each in released for load_id in each.aboard_load_ids]
    )
    freed: Count[tuple[UUID, UUID]] = Count()
    for each in released:
        freed[each.person_id, each.incident_id] += len(each.reassigned_load_ids) + len(each.pooled_load_ids)
    await _note(session, freed, await opening.open_rescues(session, held, domain.SUSPENDED, now), now)


async def take_work_beyond_clearance(
    session: AsyncSession, person_ids: Iterable[UUID], now: datetime
) -> None:
    """Take the open work from those people whose newest clearance does not reach all of it any more.

    All of it, for a round is driven by one: what still is within their clearance goes with it.
    """
    if outside := await custody.find_outside(session, person_ids, now):
        await take_work_from(session, outside, now)


async def take_work_in_zones(session: AsyncSession, zone_ids: Iterable[UUID], now: datetime) -> None:
    """Take the open work from those who are not cleared for what the class of these zones has become."""
    await take_work_beyond_clearance(session, await custody.list_at_work(session, zone_ids), now)


async def lose_vehicle(session: AsyncSession, vehicle_id: UUID, reason: str, now: datetime) -> list[UUID]:
    """Take a vehicle out of service: what is not loaded is planned anew; return the rescues of what is."""
    await fleet_application.lose_vehicle(session, vehicle_id, reason, now)
    released = await plans_application.release_vehicle(session, vehicle_id, now)
    aboard = {(load_id, each.person_id) for each in released for load_id in each.aboard_load_ids}
    in_hand = await custody.find_in_hand(session, {person_id for _, person_id in aboard})
    held = {each for each in in_hand if (each.load_id, each.holder_id) in aboard}
    held |= await custody.find_by_word(session, aboard)
    opened = await opening.open_rescues(session, held, domain.LOST, now)
    await fleet_queries.mark_due(session, now)
    return [each.rescue_id for each in opened]


async def take_over_duties(session: AsyncSession, person_ids: Iterable[UUID], now: datetime) -> int:
    """Open what these people have at gates where no duty of theirs lasts; return how many loads it is."""
    people = set(person_ids)
    in_hand = await custody.find_in_hand(session, people) if people else {}
    duties = await crew_queries.find_duties(session, *people, since=now)
    lasting = {(duty.person_id, duty.community_id) for duty in duties if duty.starts_at <= now}
    held = [each for each, community_id in in_hand.items() if (each.holder_id, community_id) not in lasting]
    return _count(await opening.open_rescues(session, held, domain.LAPSED, now) if held else ())


async def open_late(session: AsyncSession, now: datetime) -> int:
    """Open what the clock or a late log tells of.

    Goods in the hands of somebody who was suspended by then, whose vehicle was lost, or whose duty is over.
    """
    opened: list[Opened] = []
    if people := await custody.list_suspended(session):
        held = await custody.find_in_hand(session, people)
        opened += await opening.open_rescues(session, held, domain.SUSPENDED, now)
        await _note(session, Count(), opened, now)
    if lost := await custody.find_lost(session):
        opened += await opening.open_rescues(session, lost, domain.LOST, now)
    lapsed = await crew_queries.claim_lapsed(session, now, batch=DUTIES_AT_ONCE)
    lapsed |= await custody.list_off_duty(session, now)
    return _count(opened) + await take_over_duties(session, lapsed, now)


async def settle(session: AsyncSession, load_ids: Iterable[UUID], now: datetime) -> dict[UUID, UUID | None]:
    """Let units of loads that have left the hands they are rescued from leave their rescues.

    Return who has those loads now that their trips came for: these are to know.
    The caller holds the rows of the loads.
    """
    return await _settle(session, await queries.lock_of_loads(session, load_ids), now)


async def settle_over(session: AsyncSession, now: datetime, *, batch: int = SETTLED_AT_ONCE) -> int:
    """Settle what no hand-over has settled: it came while the rescue was being opened."""
    rescue_ids = await queries.claim_over(session, batch=batch)
    await trips_application.note_loaded(session, await _settle(session, rescue_ids, now), now)
    return len(rescue_ids)


async def call_late(session: AsyncSession, now: datetime, *, batch: int = CALLED_AT_ONCE) -> int:
    """Call somebody where a take-over lasts too long; return for how many."""
    policy = await queries.get_policy(session, now)
    late = await queries.claim_late(session, now, minutes=policy.take_over_minutes, batch=batch)
    return await escalation.escalate(session, late, now, is_late=True)


async def plan_waiting(session: AsyncSession, now: datetime, *, batch: int = PLANNED_AT_ONCE) -> int:
    """Plan what waits on the road and nothing comes for; return how many rescues that is."""
    waiting = await ways.claim_unplanned(session, now, wait=opening.PLAN_WAIT, patience=PATIENCE, batch=batch)
    if waiting:
        # What their trips came for is on board: the rest of them is another trip's.
        await opening.plan_ways(session, waiting, now, is_news=False)
    return len(waiting)


async def plan_left(session: AsyncSession, now: datetime, *, batch: int = PLANNED_AT_ONCE) -> int:
    """Plan what was left at its outlet when the other part went; return of how many loads."""
    load_ids = await ways.claim_left(
        session,
        now,
        wait=opening.PLAN_WAIT,
        longest=opening.LONGEST_PLAN_WAIT,
        patience=PATIENCE,
        batch=batch,
    )
    if load_ids:
        await trips_application.take_off(session, load_ids)
        await plans_application.plan_anew(session, load_ids, cause="rescue", now=now)
    return len(load_ids)


async def name_taker(session: AsyncSession, rescue_id: UUID, person_id: UUID, now: datetime) -> None:
    """Name the steward who takes over at a gate; raise why that one may not.

    A driver is named on the trip that comes for the goods (`trips.assign_driver`): there the vehicle, its
    pass and the time are judged with the person.
    """
    rescue = await listing.lock_rescue(session, rescue_id)
    assert rescue is not None  # noqa: S101 - read before
    if rescue.settled_at is not None:
        raise Conflict("dispatch.rescue_settled", "Nothing of this rescue waits any more")
    if rescue.community_id is None:
        raise Conflict(
            "dispatch.rescue_on_the_road", "A driver is named on the trip that comes for the goods"
        )
    judgement = await escalation.judge(session, rescue, now)
    if person_id not in {each.person_id for each in judgement.candidates}:
        fault = Fault("/person_id", "dispatch.taker_unfit")
        raise Rejected("dispatch.taker_unfit", "This person cannot take over here", faults=[fault])
    await queries.name_taker(session, rescue_id, person_id)


async def close_rescue(
    session: AsyncSession, rescue: Row[Any], now: datetime, *, by: str, reason: str
) -> None:
    """Leave what still waits with its holder, who may carry it on again; raise every reason against that.

    Nothing is lost by it: what somebody else has is settled by that hand-over, and what is spoiled is told
    in the split, or stays open.
    """
    clearances = await crew_queries.lock_clearances(session, [rescue.holder_id])
    await plans_pool.lock_loads(session, rescue.load_ids)
    held = await listing.lock_rescue(session, rescue.rescue_id)
    assert held is not None  # noqa: S101 - read before
    if held.settled_at is not None:
        raise Conflict("dispatch.rescue_settled", "Nothing of this rescue waits any more")
    facts = Hold(
        at_gate=held.community_id is not None,
        is_cleared=is_cleared(clearances.get(held.holder_id), escalation.zone_class_of(held), now),
        is_on_duty=held.holder_id in await _list_on_duty(session, held, now),
        is_vehicle_lost=await _is_lost(session, held.vehicle_id),
        is_scanned=await queries.is_scanned(session, held.rescue_id),
    )
    if codes := domain.find_hindrances(Cause(held.cause), facts):
        faults = [Fault("", code) for code in codes]
        raise Conflict("dispatch.rescue_not_over", "Who has the goods may not carry them on", faults=faults)
    await trips_application.take_off(session, await ways.find_coming(session, held.rescue_id, held.load_ids))
    await queries.close(session, held.rescue_id, now, by=by, reason=reason)
    SETTLED.labels(held.cause).inc()
    log.info("rescue.closed", rescue_id=str(held.rescue_id), cause=held.cause)


async def _list_on_duty(session: AsyncSession, rescue: Row[Any], now: datetime) -> set[UUID]:
    if rescue.community_id is None:
        return set()
    return {each.person_id for each in await crew_queries.list_on_duty(session, rescue.community_id, now)}


async def _is_lost(session: AsyncSession, vehicle_id: UUID | None) -> bool:
    vehicle = await fleet_queries.find_vehicle(session, vehicle_id) if vehicle_id else None
    return vehicle is not None and vehicle.lost_at is not None


async def _settle(
    session: AsyncSession, rescue_ids: Sequence[UUID], now: datetime
) -> dict[UUID, UUID | None]:
    if not rescue_ids:
        return {}
    left = await queries.settle_units(session, rescue_ids, now)
    for rescue in await queries.settle(session, rescue_ids, now):
        SETTLED.labels(rescue.cause).inc()
        log.info("rescue.settled", rescue_id=str(rescue.rescue_id), cause=rescue.cause)
    return await ways.find_takers(session, left) if left else {}


async def _note(
    session: AsyncSession,
    freed: Count[tuple[UUID, UUID]],
    opened: Iterable[Opened],
    now: datetime,
) -> None:
    rescued: Count[tuple[UUID, UUID]] = Count()
    for each in opened:
        rescued[each.situation.holder_id, each.situation.incident_id] += len(each.load_ids)
    rows: list[dict[str, object]] = [
        {
            "person_id": person_id,
            "incident_id": incident_id,
            "reassigned": freed[person_id, incident_id],
            "rescued": rescued[person_id, incident_id],
        }
        for person_id, incident_id in sorted({*freed, *rescued})
    ]
    if rows:
        await queries.note_suspensions(session, rows, now)
        log.warning("work.taken", people=len(rows), freed=freed.total(), rescued=rescued.total())


def _count(opened: Iterable[Opened]) -> int:
    return sum(len(each.load_ids) for each in opened)
