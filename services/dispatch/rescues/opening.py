"""How a rescue is opened: what is in whose hands becomes a task, and its way is planned anew at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.dispatch import Leg
from services.dispatch.plans import application as plans_application
from services.dispatch.rescues import custody, domain, escalation, queries, ways
from services.dispatch.rescues.domain import Cause, InHand, Situation, StrandedUnit
from services.dispatch.trips import application as trips_application
from services.dispatch.trips import queries as trips_queries
from services.kit.ids import new_id

log = structlog.get_logger()

# What no plan carries is planned again, each time twice as late, or when what can be carried has grown.
PLAN_WAIT: Final = timedelta(minutes=1)
LONGEST_PLAN_WAIT: Final = timedelta(minutes=16)
RESCUES = Counter("rescues_total", "Loads in hands that may not carry them on", ["cause"])


@dataclass(frozen=True, slots=True)
class Opened:
    """A rescue, and the loads of it of which it is news."""

    rescue_id: UUID
    situation: Situation
    load_ids: frozenset[UUID]


async def open_rescues(
    session: AsyncSession, held: Iterable[InHand], causes: Mapping[Leg, Cause], now: datetime
) -> list[Opened]:
    """Open a rescue for each situation that units are in; return the loads of which it is news.

    What waits on the road is on no trip any more, and planned anew; where nobody near by can take it over,
    somebody is called. What joins a rescue that is open already is added to it; what comes back into hands
    that it was rescued from once is rescued anew, for it was given on in between.
    """
    # As who drives what: one after the other, so that nothing is opened twice.
    await trips_queries.lock_seats(session)
    situations = domain.group(await custody.find_stranded(session, held), causes)
    if not situations:
        return []
    known = await queries.lock_open(session, {each.holder_id for each in situations})
    joined = _find_joined(situations, _by_situation(known))
    ids = {each: joined.get(each) or new_id() for each in situations}
    fresh = [each for each in situations if each not in joined]
    written = await queries.insert_rescues(
        session,
        [_rescue_of(ids[each], each, situations[each]) for each in fresh],
        [_unit_of(ids[each], unit) for each, units in situations.items() for unit in units],
        now,
    )
    news = {
        each: [unit for unit in units if (ids[each], unit.load_unit_id) in written]
        for each, units in situations.items()
    }
    on_road = {
        ids[each]: {unit.load_id for unit in units if unit.leg is Leg.PICK_UP} for each, units in news.items()
    }
    await plan_ways(session, on_road, now, is_news=True)
    await escalation.escalate(session, [ids[each] for each in fresh], now, is_late=False)
    opened = [
        Opened(ids[each], each, frozenset(unit.load_id for unit in units))
        for each, units in news.items()
        if units
    ]
    _tell(opened)
    return opened


async def plan_ways(
    session: AsyncSession, waiting: Mapping[UUID, Iterable[UUID]], now: datetime, *, is_news: bool
) -> None:
    """Ask for plans of what waits on the road, by rescue; what joins one lets it be planned again soon."""
    loads = set().union(*waiting.values())
    if loads:
        await trips_application.take_off(session, loads)
        await plans_application.plan_anew(session, loads, cause="rescue", now=now)
        rescue_ids = [rescue_id for rescue_id, load_ids in waiting.items() if load_ids]
        await ways.note_planned(
            session, rescue_ids, now, is_news=is_news, wait=PLAN_WAIT, longest=LONGEST_PLAN_WAIT
        )


def _find_joined(
    situations: Mapping[Situation, Sequence[StrandedUnit]], known: Mapping[Situation, Row[Any]]
) -> dict[Situation, UUID]:
    """Return which open rescue units join: one that none of them was in before."""
    return {
        each: known[each].rescue_id
        for each, units in situations.items()
        if each in known and not {unit.load_unit_id for unit in units} & set(known[each].load_unit_ids)
    }


def _by_situation(rows: Iterable[Row[Any]]) -> dict[Situation, Row[Any]]:
    """Return open rescues, the newest of each situation."""
    return {
        Situation(
            holder_id=row.holder_id,
            cause=Cause(row.cause),
            incident_id=row.incident_id,
            zone_id=row.zone_id,
            community_id=row.community_id,
            vehicle_id=row.vehicle_id,
        ): row
        for row in rows
    }


def _rescue_of(rescue_id: UUID, situation: Situation, units: Sequence[StrandedUnit]) -> dict[str, object]:
    place = domain.place_of(units)
    return {
        "rescue_id": rescue_id,
        "holder_id": situation.holder_id,
        "cause": situation.cause,
        "incident_id": situation.incident_id,
        "zone_id": situation.zone_id,
        "community_id": situation.community_id,
        "vehicle_id": situation.vehicle_id,
        "lat": place.lat if place else None,
        "lon": place.lon if place else None,
    }


def _unit_of(rescue_id: UUID, unit: StrandedUnit) -> dict[str, object]:
    return {
        "rescue_id": rescue_id,
        "load_unit_id": unit.load_unit_id,
        "load_id": unit.load_id,
        "holder_id": unit.holder_id,
    }


def _tell(opened: Iterable[Opened]) -> None:
    for each in opened:
        cause = each.situation.cause
        RESCUES.labels(cause).inc(len(each.load_ids))
        log.warning("rescue.opened", rescue_id=str(each.rescue_id), cause=cause, loads=len(each.load_ids))
