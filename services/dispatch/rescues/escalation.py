"""Who there is to take over, read from what stands in the database, and what is missing where nobody can."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.access import Role
from services.contracts.values import Point, ZoneClass
from services.dispatch.crew import queries as crew_queries
from services.dispatch.passes import queries as passes_queries
from services.dispatch.plans import queries as plans_queries
from services.dispatch.plans.domain import Window
from services.dispatch.rescues import candidates, listing, queries
from services.dispatch.rescues.candidates import Judgement, Ride, Task, WhyNobody
from services.dispatch.trips import queries as trips_queries

log = structlog.get_logger()

ESCALATED = Counter("rescues_escalated_total", "Rescues that somebody was called for", ["cause"])


@dataclass(frozen=True, slots=True)
class Needs:
    """What a rescue needs that nobody near by has."""

    role: Role
    task: Task
    codes: tuple[WhyNobody, ...]

    def row(self) -> dict[str, object]:
        """Return it as it is kept."""
        place = self.task.place
        return {
            "role": self.role,
            "zone_class": self.task.zone_class,
            "grams": self.task.grams,
            "pieces": self.task.pieces,
            "place": {"lat": place.lat, "lon": place.lon} if place else None,
            "codes": list(self.codes),
        }


def point_of(row: Row[Any]) -> Point | None:
    """Return where the goods of a rescue stand."""
    return Point(lat=row.lat, lon=row.lon) if row.lat is not None else None


def zone_class_of(row: Row[Any]) -> ZoneClass:
    """Return the class of a rescue's zone; one that was not heard of yet is taken for the strictest."""
    return ZoneClass(row.zone_class or ZoneClass.SEALED)


async def judge(session: AsyncSession, rescue: Row[Any], now: datetime) -> Judgement:
    """Say who can take over what waits of a rescue now; drivers on the road, stewards at the gate."""
    task = await _task_of(session, rescue)
    if rescue.community_id is not None:
        on_duty = await crew_queries.list_on_duty(session, rescue.community_id, now)
        return candidates.judge_stewards(task, on_duty, now)
    policy = await queries.get_policy(session, now)
    return candidates.judge_drivers(
        task,
        await crew_queries.list_cleared_drivers(session, now),
        await _list_rides(session, rescue, now),
        await trips_queries.list_turns(session, now),
        travel=await plans_queries.get_travel(session, now),
        near_metres=policy.near_metres,
        now=now,
    )


async def escalate(session: AsyncSession, rescue_ids: Sequence[UUID], now: datetime, *, is_late: bool) -> int:
    """Call somebody for what nobody near by can take over, for all where it is late; return how many."""
    called = 0
    for rescue in await listing.find_rescues(session, rescue_ids):
        judgement = await judge(session, rescue, now)
        if judgement.is_help_near and not is_late:
            continue
        codes = (*judgement.codes, *([WhyNobody.LATE] if is_late else []))
        role = Role.DRIVER if rescue.community_id is None else Role.STEWARD
        needs = Needs(role, await _task_of(session, rescue), codes)
        await queries.escalate(session, rescue.rescue_id, needs.row(), now)
        ESCALATED.labels(rescue.cause).inc()
        log.warning(
            "rescue.escalated",
            rescue_id=str(rescue.rescue_id),
            zone_id=str(rescue.zone_id),
            cause=rescue.cause,
            codes=list(codes),
        )
        called += 1
    return called


async def _task_of(session: AsyncSession, rescue: Row[Any]) -> Task:
    return Task(
        holder_id=rescue.holder_id,
        zone_class=zone_class_of(rescue),
        place=point_of(rescue),
        grams=rescue.grams,
        pieces=rescue.pieces,
        gates=await listing.find_gates(session, rescue.load_ids),
    )


async def _list_rides(session: AsyncSession, rescue: Row[Any], now: datetime) -> list[Ride]:
    rows = await plans_queries.list_vehicles(
        session, [rescue.zone_id], [rescue.rescue_id], Window(now, now), now
    )
    passes = await passes_queries.find_passes(session, vehicle_ids=[row.vehicle_id for row in rows])
    return [
        Ride(
            vehicle_id=row.vehicle_id,
            comes_from=Point(lat=row.base_lat, lon=row.base_lon),
            capacity_g=row.capacity_g,
            capacity_pieces=row.capacity_pieces,
            shift_starts_at=row.shift_starts_at,
            shift_ends_at=row.shift_ends_at,
            passes=[each for each in passes.values() if each.vehicle_id == row.vehicle_id],
        )
        for row in rows
    ]
