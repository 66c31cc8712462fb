"""What checks can be asked. Callers own the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.errors import Fault, Rejected
from services.whitelist.checks import domain, queries
from services.whitelist.checks.domain import Check, Outcome
from services.whitelist.people import application as people
from services.whitelist.people import queries as people_queries


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a check."""

    outcome: Outcome
    faults: tuple[Fault, ...] = ()


async def record_checks(
    session: AsyncSession, checks: Sequence[Check], *, recorded_by: str, now: datetime
) -> list[Recorded]:
    """Record findings, each once; whoever has a new one is judged anew."""
    known = await people_queries.find_roles(session, [check.person_id for check in checks])
    faults = domain.find_faults(checks, known=known.keys(), now=now)
    sound = [check for check, wrong in zip(checks, faults, strict=True) if not wrong]
    # The first of twins in one batch is recorded, the others are judged against it.
    first = {check.identity: check for check in reversed(sound)}
    fresh = await queries.insert_new(session, list(first.values()), recorded_by=recorded_by)
    found = await queries.find_findings(session, list(first.values()))
    await people_queries.mark_due(session, [person_id for person_id, _, _ in fresh])

    outcomes = []
    for place, (check, wrong) in enumerate(zip(checks, faults, strict=True)):
        if wrong:
            outcomes.append(Recorded(Outcome.REFUSED, wrong))
        elif check.finding != found[check.identity]:
            fault = Fault(f"/checks/{place}/reference", "whitelist.reference_reused")
            outcomes.append(Recorded(Outcome.REFUSED, (fault,)))
        elif check.identity in fresh and check is first[check.identity]:
            outcomes.append(Recorded(Outcome.RECORDED))
        else:
            outcomes.append(Recorded(Outcome.REPEATED))
    return outcomes


async def sign_commitment(
    session: AsyncSession, person_id: UUID, *, text_version: str, signed_at: datetime, now: datetime
) -> None:
    """Record that a person signed a text; signed again, the first signature stays."""
    await people.get_person(session, person_id)
    if domain.is_in_future(signed_at, now=now):
        raise Rejected(
            "whitelist.signed_in_future",
            "A signature of the future is none",
            faults=[Fault("/signed_at", "whitelist.signed_in_future", {"latest": now + domain.CLOCKS_APART})],
        )
    if await queries.sign(session, person_id, text_version=text_version, signed_at=signed_at):
        await people_queries.mark_due(session, [person_id])
