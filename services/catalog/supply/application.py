"""What supply can be asked. Callers own the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Histogram
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.market import market_day
from services.catalog.supply import asks, domain, queries, shortages, writes
from services.catalog.supply.domain import Assignment, Figures, Status, Supply, Turn
from services.catalog.supply.queries import Sign
from services.catalog.supply.tables import AssignmentRow
from services.catalog.supply.writes import Answer
from services.catalog.zones import queries as zones
from services.catalog.zones.domain import Zone
from services.contracts.catalog import ZoneSupplied
from services.contracts.orders import ZoneClosed, ZoneOpened
from services.contracts.values import AssignedOutlet, OutletKind
from services.kit import outbox
from services.kit.errors import Conflict, Fault, NotFound
from services.kit.event import Arrived

log = structlog.get_logger()

# The field's best was 15 minutes.
ASSIGNMENT_SECONDS = Histogram(
    "zone_assignment_seconds",
    "From a zone's activation to its supply",
    buckets=(1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600),
)
LARGEST_CLAIM = 50
LAPSES = {Status.SILENT: "assignment.silent", Status.WITHDRAWN: "assignment.withdrawn"}


async def state_policy(
    session: AsyncSession, figures: Figures, *, legal_ref: str, valid_from: datetime, by: str
) -> UUID:
    """State figures of planning from a moment on; raise `Conflict` where that moment has its figures."""
    made = await writes.insert_policy(
        session, figures, legal_ref=legal_ref, valid_from=valid_from, stated_by=by
    )
    if made is None:
        raise Conflict("catalog.policy_exists", "Other figures are valid from the same moment")
    return made


async def open_zones(session: AsyncSession, arrivals: Sequence[Arrived[ZoneOpened]], now: datetime) -> None:
    """Count what opened zones need and ask the best outlets for it."""
    fresh = await zones.write_opened(session, arrivals)
    found = await zones.find_zones(session, fresh)
    figures = await queries.get_figures(session, now=now)
    demand = await queries.list_demand(session, now=now)
    needs = {}
    for zone_id, zone in found.items():
        households = domain.count_households(
            zone.gates, persons_per_100_households=figures.persons_per_100_households
        )
        needs[zone_id] = {
            kind: domain.needed_orders(
                households,
                orders_permille=demand.get((zone.zone_class, kind), 0),
                surcharge_permille=figures.surcharge_permille,
            )
            for kind in zone.needed_kinds
        }
    await writes.begin(session, needs)
    await advance(session, await queries.lock_zones(session, found), now)


async def close_zones(session: AsyncSession, arrivals: Sequence[Arrived[ZoneClosed]], _now: datetime) -> None:
    """End what is asked for closed zones; what was accepted stays promised to their confirmed orders."""
    fresh = await zones.write_closed(session, arrivals)
    await writes.end_asks(session, await queries.lock_zones(session, fresh))


async def look_after_due(session: AsyncSession, now: datetime) -> int:
    """Look at zones that are due or short: who was silent, who qualifies no more, who can be asked now."""
    due = await queries.claim_due(session, now=now, limit=LARGEST_CLAIM)
    await shortages.raise_needs(session, due)
    await advance(session, due, now)
    return len(due)


async def accept(
    session: AsyncSession, assignment_id: UUID, *, outlet_id: UUID, orders: int, now: datetime
) -> AssignmentRow:
    """Take an outlet's promise of `orders` a day, at most what it was asked for; ask others for the rest.

    An acceptance after the time limit is taken while the zone still lacks something; raise `Conflict` for
    any other that comes late, `NotFound` where the outlet was not asked.
    """
    zone, supply, assignment = await _lock(session, assignment_id, outlet_id, now)
    if assignment.status is Status.ACCEPTED and orders >= (assignment.accepted_orders or 0):
        return await _get_row(session, assignment_id, outlet_id)
    status = _next_or_conflict(assignment, Turn.ACCEPTANCE)
    promised = min(orders, assignment.asked_orders)
    if assignment.status is Status.SILENT:
        left = await _find_remaining(session, supply, outlet_id, now)
        promised = min(promised, supply.lacking(assignment.kind), left)
    if promised == 0 or not zone.is_open or not assignment.is_qualified:
        raise _ended(assignment)
    await writes.answer(session, assignment_id, Answer(status, accepted_orders=promised), now=now)
    await shortages.settle(session, zone.zone_id, assignment.kind)
    await advance(session, [zone.zone_id], now)
    return await _get_row(session, assignment_id, outlet_id)


async def refuse(
    session: AsyncSession, assignment_id: UUID, *, outlet_id: UUID, reason: str, now: datetime
) -> AssignmentRow:
    """Take an outlet's refusal and ask the next one; raise `Conflict` where nothing is asked any more."""
    zone, _, assignment = await _lock(session, assignment_id, outlet_id, now)
    if assignment.status is not Status.REFUSED:
        status = _next_or_conflict(assignment, Turn.REFUSAL)
        await writes.answer(session, assignment_id, Answer(status, refusal_reason=reason), now=now)
        if zone.is_open:
            await advance(session, [zone.zone_id], now)
    return await _get_row(session, assignment_id, outlet_id)


async def advance(session: AsyncSession, zone_ids: Sequence[UUID], now: datetime) -> None:
    """Bring open zones, whose rows the caller has locked, as far as they get: ask, and say what stands."""
    known = (await zones.find_zones(session, zone_ids)).values()
    found = {zone.zone_id: zone for zone in sorted(known, key=_by_activation) if zone.is_open}
    if not found:
        return
    figures = await queries.get_figures(session, now=now)
    loaded, signs = await queries.load_supplies(session, found, today=market_day(now))
    supplies = await _ask(session, await _lapse(session, loaded, now), figures, now)
    await _state(session, found, supplies, signs, now)
    latest = now + timedelta(seconds=figures.look_again_seconds)
    await writes.look_again(session, {one.zone_id: _due_at(one, latest) for one in supplies})


async def _lapse(session: AsyncSession, supplies: Sequence[Supply], now: datetime) -> list[Supply]:
    changed: dict[UUID, Status] = {}
    for supply in supplies:
        for one in supply.assignments:
            if one.status in {Status.ASKED, Status.ACCEPTED} and not one.is_qualified:
                changed[one.assignment_id] = domain.next_status(one.status, Turn.DISQUALIFICATION)
            elif one.status is Status.ASKED and one.answer_by <= now:
                changed[one.assignment_id] = domain.next_status(one.status, Turn.SILENCE)
            else:
                continue
            log.info(
                LAPSES[changed[one.assignment_id]],
                zone_id=str(supply.zone_id),
                outlet_id=str(one.outlet_id),
                assignment_id=str(one.assignment_id),
                asked_orders=one.asked_orders,
            )
    await writes.change(session, changed)
    return [
        replace(
            supply,
            assignments=tuple(
                replace(one, status=changed.get(one.assignment_id, one.status)) for one in supply.assignments
            ),
        )
        for supply in supplies
    ]


async def _ask(
    session: AsyncSession, supplies: Sequence[Supply], figures: Figures, now: datetime
) -> list[Supply]:
    kinds = {kind for supply in supplies for kind in supply.needs if supply.lacking(kind)}
    if not kinds:
        return list(supplies)
    if any(supply.short for supply in supplies):
        kinds.add(OutletKind.RESERVE_DEPOT)
    candidates = await queries.lock_candidates(session, kinds, today=market_day(now))
    chosen = asks.choose_asks(supplies, candidates)
    asked = await writes.insert_asks(session, chosen, answer_seconds=figures.answer_seconds, now=now)
    return [
        replace(
            supply,
            assignments=(
                *supply.assignments,
                *(one for (zone_id, _), one in asked.items() if zone_id == supply.zone_id),
            ),
        )
        for supply in supplies
    ]


async def _state(
    session: AsyncSession,
    found: Mapping[UUID, Zone],
    supplies: Sequence[Supply],
    signs: Mapping[UUID, Sign],
    now: datetime,
) -> None:
    before = await queries.find_stated(session, found)
    events: dict[UUID, ZoneSupplied] = {}
    words: dict[UUID, dict[str, Any]] = {}
    for supply in supplies:
        stated = before[supply.zone_id]
        # The first word waits until nobody's answer is awaited; after it every change is news at once.
        if stated.word is None and not supply.is_settled:
            continue
        event = _event_of(found[supply.zone_id], supply, signs, stated.supplied_at or now)
        word = event.model_dump(mode="json", include={"outlets", "missing"})
        if word == stated.word:
            continue
        events[supply.zone_id], words[supply.zone_id] = event, word
        if stated.word is None:
            ASSIGNMENT_SECONDS.observe(event.seconds_to_assign)
    sequences = await writes.state(session, words, now=now)
    await outbox.add_all(session, [(event, sequences[zone_id]) for zone_id, event in events.items()])


def _event_of(zone: Zone, supply: Supply, signs: Mapping[UUID, Sign], supplied_at: datetime) -> ZoneSupplied:
    return ZoneSupplied(
        zone_id=zone.zone_id,
        incident_id=zone.incident_id,
        outlets=tuple(
            AssignedOutlet(
                outlet_id=one.outlet_id,
                name=signs[one.outlet_id].name,
                kind=signs[one.outlet_id].kind,
                position=signs[one.outlet_id].position,
                rank=one.rank,
                capacity_orders=one.orders,
            )
            for one in supply.promises
        ),
        missing=domain.find_missing(supply),
        seconds_to_assign=domain.seconds_between(zone.activated_at, supplied_at),
    )


def _by_activation(zone: Zone) -> tuple[bool, datetime | None, UUID]:
    return zone.activated_at is None, zone.activated_at, zone.zone_id


def _due_at(supply: Supply, latest: datetime) -> datetime:
    limits = [one.answer_by for one in supply.assignments if one.status is Status.ASKED]
    return min([latest, *limits])


async def _lock(
    session: AsyncSession, assignment_id: UUID, outlet_id: UUID, now: datetime
) -> tuple[Zone, Supply, Assignment]:
    row = await _get_row(session, assignment_id, outlet_id)
    await queries.lock_zones(session, [row.zone_id])
    found = await zones.find_zones(session, [row.zone_id])
    (supply,), _ = await queries.load_supplies(session, found, today=market_day(now))
    assignment = next(one for one in supply.assignments if one.assignment_id == assignment_id)
    return found[row.zone_id], supply, assignment


async def _get_row(session: AsyncSession, assignment_id: UUID, outlet_id: UUID) -> AssignmentRow:
    row = await queries.find_assignment(session, assignment_id)
    if row is None or row.outlet_id != outlet_id:
        raise NotFound("catalog.assignment_unknown", "The outlet was not asked for this")
    return row


async def _find_remaining(session: AsyncSession, supply: Supply, outlet_id: UUID, now: datetime) -> int:
    # All kinds of the zone at once: what is locked later is then locked already, and no order is broken.
    kinds = {*supply.needs, OutletKind.RESERVE_DEPOT}
    candidates = await queries.lock_candidates(session, kinds, today=market_day(now))
    return next((one.remaining for one in candidates if one.outlet_id == outlet_id), 0)


def _next_or_conflict(assignment: Assignment, turn: Turn) -> Status:
    try:
        return domain.next_status(assignment.status, turn)
    except domain.OutOfTurn as error:
        raise _ended(assignment) from error


def _ended(assignment: Assignment) -> Conflict:
    return Conflict(
        "catalog.assignment_ended",
        "This assignment can no longer be answered so",
        faults=[Fault("", "catalog.assignment_ended", {"status": assignment.status})],
    )
