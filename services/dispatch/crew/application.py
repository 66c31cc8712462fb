"""What whitelist's words change here. Callers own the transaction."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.whitelist import DutyStated, Heartbeat, PersonCleared, PersonSuspended
from services.dispatch.crew import queries
from services.dispatch.crew.domain import CrewClearance, Word
from services.kit.event import Arrived


async def clear_people(session: AsyncSession, arrivals: Sequence[Arrived[PersonCleared]]) -> set[UUID]:
    """Know who is cleared for what, until when; return those of whom it was news."""
    return await queries.project(
        session,
        [
            Word(
                clearance=CrewClearance(
                    person_id=arrived.event.person_id,
                    role=arrived.event.role,
                    valid_until={each.zone_class: each.valid_until for each in arrived.event.clearances},
                ),
                sequence=arrived.sequence,
                said_from=arrived.recorded_at,
            )
            for arrived in arrivals
        ],
    )


async def suspend_people(session: AsyncSession, arrivals: Sequence[Arrived[PersonSuspended]]) -> set[UUID]:
    """Know who is cleared for nothing any more; return those of whom it was news."""
    return await queries.project(
        session,
        [
            Word(
                clearance=CrewClearance(
                    person_id=arrived.event.person_id, role=arrived.event.role, is_suspended=True
                ),
                sequence=arrived.sequence,
                said_from=arrived.recorded_at,
                codes=arrived.event.codes,
            )
            for arrived in arrivals
        ],
    )


async def state_duties(session: AsyncSession, arrivals: Sequence[Arrived[DutyStated]]) -> set[UUID]:
    """Know who stands at which door, when; return the people whose duties it is about."""
    return await queries.project_duties(session, arrivals)


async def hear_beats(session: AsyncSession, arrivals: Sequence[Arrived[Heartbeat]]) -> None:
    """Know how fresh the copy of the whitelist is."""
    await queries.note_beats(session, [arrived.event for arrived in arrivals])
