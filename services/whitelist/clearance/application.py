"""What clearance can be asked. Callers own the transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from prometheus_client import Histogram
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.access import Role
from services.contracts.values import Clearance
from services.contracts.whitelist import PersonCleared, PersonSuspended
from services.kit import outbox
from services.whitelist.checks import queries as checks
from services.whitelist.clearance import domain, queries
from services.whitelist.clearance.domain import Facts, Verdict
from services.whitelist.clearance.queries import Standing
from services.whitelist.people import application as people
from services.whitelist.people import queries as people_queries
from services.whitelist.people.domain import Purpose
from services.whitelist.policies import queries as policies

BATCH = 500

LATENCY = Histogram(
    "clearance_latency_seconds",
    "From a fact's transaction to that of the event which follows from it",
    ["urgency"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)


async def judge_due(session: AsyncSession, now: datetime) -> int:
    """Judge those whom a fact or a policy has marked, facts first; return how many marks were worked off."""
    due = await people_queries.take_due(session, most=BATCH)
    if not due:
        return 0
    told = await judge_people(session, {person_id for person_id, _, _ in due}, now)
    for person_id, urgency, marked_at in due:
        if person_id in told:
            LATENCY.labels(urgency.value).observe((now - marked_at).total_seconds())
    return len(due)


async def judge_lapsed(session: AsyncSession, now: datetime) -> int:
    """Judge those whose clearance has ended, or for whom another policy binds now; return how many."""
    lapsed = await queries.lock_lapsed(session, now, most=BATCH)
    if lapsed:
        await judge_people(session, lapsed, now)
    return len(lapsed)


async def show_clearance(
    session: AsyncSession, person_id: UUID, *, now: datetime, reader_of_reasons: str | None
) -> tuple[Verdict, ...]:
    """Judge a person as of now; `reader_of_reasons` is written down as one who read health data."""
    person = await people.get_person(session, person_id)
    (facts,) = await _find_facts(session, {person.id: Role(person.role)})
    verdicts = domain.judge(facts, await policies.find_all_valid(session, after=now), at=now)
    if reader_of_reasons is not None:
        await people_queries.note_reads(
            session, [person_id], reader=reader_of_reasons, purpose=Purpose.CLEARANCE_REASONS
        )
    return verdicts


async def judge_people(session: AsyncSession, person_ids: Iterable[UUID], now: datetime) -> set[UUID]:
    """Judge people and tell what has changed; return of whom something was told."""
    # The lock comes before every reading: who waits for it sees what the judgement before has said.
    roles = await people_queries.lock_people(session, person_ids)
    before = await queries.find_standings(session, roles)
    known = await policies.find_all_valid(session, after=now)

    standings, events = [], []
    for facts in await _find_facts(session, roles):
        verdicts = domain.judge(facts, known, at=now)
        event = _event_of(facts, verdicts)
        standing = _standing_of(event, before.get(facts.person_id))
        again_at = domain.find_next_judgement(facts, known, verdicts, at=now)
        standings.append(replace(standing, judged_again_at=again_at))
        if standing != before.get(facts.person_id):
            events.append((event, standing.sequence))

    await queries.write_standings(session, standings, now=now)
    await outbox.add_all(session, events)
    return {event.person_id for event, _ in events}


async def _find_facts(session: AsyncSession, roles: Mapping[UUID, Role]) -> list[Facts]:
    latest = await checks.find_latest(session, roles)
    signed = await checks.find_signed(session, roles)
    return [
        Facts(
            person_id=person_id,
            role=role,
            latest=latest.get(person_id, {}),
            signed=signed.get(person_id, frozenset()),
        )
        for person_id, role in roles.items()
    ]


def _event_of(facts: Facts, verdicts: Sequence[Verdict]) -> PersonCleared | PersonSuspended:
    clearances = tuple(
        Clearance(zone_class=verdict.zone_class, valid_until=verdict.valid_until)
        for verdict in verdicts
        if verdict.valid_until is not None
    )
    if clearances:
        return PersonCleared(person_id=facts.person_id, role=facts.role, clearances=clearances)
    codes = domain.codes_to_tell(verdicts)
    return PersonSuspended(person_id=facts.person_id, role=facts.role, codes=codes)


def _standing_of(event: PersonCleared | PersonSuspended, before: Standing | None) -> Standing:
    said = {"event": event.name, **event.model_dump(mode="json")}
    if before is None:
        return Standing(event.person_id, 1, said)
    return before if before.said == said else Standing(event.person_id, before.sequence + 1, said)
