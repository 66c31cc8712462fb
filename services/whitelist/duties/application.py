"""What duties can be asked. Callers own the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.whitelist import DutyStated
from services.kit import outbox
from services.kit.errors import Fault
from services.whitelist.duties import domain, queries
from services.whitelist.duties.domain import Duty, Outcome
from services.whitelist.duties.queries import Written
from services.whitelist.duties.tables import DutyRow
from services.whitelist.people import queries as people


@dataclass(frozen=True, slots=True)
class Stated:
    """What became of a duty."""

    duty_id: UUID | None
    outcome: Outcome
    faults: tuple[Fault, ...] = ()


async def state_duties(session: AsyncSession, duties: Sequence[Duty]) -> list[Stated]:
    """Say who stands where and when; what says nothing new is said to nobody again."""
    roles = await people.find_roles(session, [duty.person_id for duty in duties])
    faults = domain.find_faults(duties, roles)
    # Of twins in one batch the last one counts: it is what the sender knows best.
    sound = {duty.identity: duty for duty, wrong in zip(duties, faults, strict=True) if not wrong}
    written = await queries.upsert(session, list(sound.values()))

    await outbox.add_all(
        session,
        [
            (_event_of(duty, written[identity].duty_id), written[identity].sequence)
            for identity, duty in sound.items()
            if written[identity].is_news
        ],
    )
    return [
        Stated(None, Outcome.REFUSED, wrong) if wrong else _stated(written[duty.identity])
        for duty, wrong in zip(duties, faults, strict=True)
    ]


async def list_duties(
    session: AsyncSession, *, community_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[DutyRow]:
    """Return a page of duties, of one community or of all."""
    return await queries.list_duties(session, community_id=community_id, after=after, limit=limit)


def _stated(written: Written) -> Stated:
    if not written.is_news:
        return Stated(written.duty_id, Outcome.UNCHANGED)
    return Stated(written.duty_id, Outcome.CREATED if written.sequence == 1 else Outcome.UPDATED)


def _event_of(duty: Duty, duty_id: UUID) -> DutyStated:
    return DutyStated(
        duty_id=duty_id,
        person_id=duty.person_id,
        role=duty.role,
        community_id=duty.community_id,
        building_ids=duty.building_ids,
        starts_at=duty.starts_at,
        ends_at=duty.ends_at,
    )
