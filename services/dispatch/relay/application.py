"""What the relay can be asked. Callers own the transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.dispatch import Leg
from services.contracts.orders import Form
from services.contracts.values import Point
from services.dispatch.crew import domain as crew_domain
from services.dispatch.crew import queries as crew_queries
from services.dispatch.crew.domain import CrewClearance, Duty
from services.dispatch.loads.domain import UnitKind
from services.dispatch.loads.marks import Marks
from services.dispatch.places import domain as places_domain
from services.dispatch.relay import domain, parties, passages, queries
from services.dispatch.relay.domain import Evidence, HandOver, Proof
from services.dispatch.relay.parties import Destination, Reason, Standing
from services.dispatch.relay.permission import Tie
from services.dispatch.rescues import queries as rescues_queries
from services.dispatch.rescues.domain import Covering
from services.dispatch.trips import seats
from services.dispatch.trips.domain import Spell
from services.kit.caller import Caller
from services.kit.errors import Conflict, Fault
from services.kit.ids import new_id

log = structlog.get_logger()

RECORDED = Counter("hand_overs_total", "Hand-overs recorded", ["leg"])
BREACHES = Counter("breaches_total", "Hand-overs that were not as they should be", ["leg"])
PROOFS_WRONG = Counter("proofs_wrong_total", "Hand-overs refused for their proof", ["kind"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A hand-over with its proof and place, as a device tells it."""

    hand_over: HandOver
    proof: Proof
    place: Point | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item of a device's log."""

    outcome: Literal["recorded", "repeated", "refused"]
    is_breach: bool = False
    breach_id: UUID | None = None
    faults: tuple[Fault, ...] = ()


@dataclass(slots=True)
class Facts:
    """Everything a log is judged by, and what the judging adds to it."""

    units: dict[UUID, Row[Any]]
    known: dict[UUID, HandOver]
    # What stood of each person at each moment that counts.
    standing: dict[tuple[UUID, datetime], CrewClearance]
    duties: list[Duty]
    spells: dict[UUID, list[Spell]]
    rescues: dict[UUID, list[Covering]]
    takers: dict[UUID, set[UUID]]
    wrong: dict[UUID, set[bytes]]
    tie: Tie
    marks: Marks
    rows: list[dict[str, object]]
    breaches: list[dict[str, object]]


async def record_hand_overs(
    session: AsyncSession, caller: Caller, log_items: Sequence[Noted], marks: Marks, now: datetime
) -> list[Outcome]:
    """Record a device's log, each item for itself: late, shuffled and repeated items are as good as fresh.

    What happened is recorded whoever did it; what was not as it should be is a breach that a person closes.
    """
    units = await _lock(session, log_items)
    notes = [_reckon(each, units, now) for each in log_items]
    facts = await _gather(session, caller, [each.hand_over for each in notes], units, marks)
    # Who took something over on an early leg may give it on at a later one, however the log is shuffled.
    by_leg = sorted(enumerate(notes), key=lambda each: each[1].hand_over.leg)
    judged = {index: _judge(f"/hand_overs/{index}", each, facts, now) for index, each in by_leg}
    outcomes = [judged[index] for index in range(len(notes))]
    await queries.keep_wrong_pins(session, facts.wrong)
    if not facts.rows:
        return outcomes
    degraded = crew_domain.is_degraded(await crew_queries.find_beats(session), now)
    recorded = await queries.insert_hand_overs(
        session, facts.rows, now, recorded_by=caller.subject, is_degraded=degraded
    )
    if len(recorded) < len(facts.rows):
        raise Conflict(
            "dispatch.hand_over_in_flight", "One of these hand-overs is just being recorded", retry_after=1
        )
    await queries.open_breaches(session, facts.breaches, now)
    touched = [facts.units[row["load_unit_id"]] for row in facts.rows]  # type: ignore[index]
    await passages.move(session, {unit.load_id: unit for unit in touched}, now)
    return outcomes


async def find_tie(
    session: AsyncSession, caller: Caller, load_ids: Iterable[UUID], *, since: datetime
) -> Tie:
    """Return what ties a caller to loads: duties not over at `since`, trips, what was ever in hand."""
    loads = set(load_ids)
    person_id = caller.person_id
    hand_overs = await queries.find_of_loads(session, loads)
    splitters = await queries.find_splitters(session, loads)
    return Tie(
        caller=caller,
        drivers=await queries.find_drivers(session, loads),
        duties=await crew_queries.find_duties(session, person_id, since=since) if person_id else (),
        takers={
            load_id: domain.takers_of(hand_overs.get(load_id, ())) | splitters.get(load_id, frozenset())
            for load_id in loads
        },
    )


async def close_breach(
    session: AsyncSession, breach: Row[Any], now: datetime, *, closed_by: str, reason: str
) -> None:
    """Close a breach with a person's reason; raise `Conflict` where that was done before."""
    if breach.closed_at is not None:
        raise Conflict("dispatch.breach_closed", "The breach was closed before")
    await queries.close_breach(session, breach.breach_id, now, closed_by=closed_by, reason=reason)
    log.info("breach.closed", breach_id=str(breach.breach_id))


async def _lock(session: AsyncSession, log_items: Sequence[Noted]) -> dict[UUID, Row[Any]]:
    notes = [each.hand_over for each in log_items]
    # People before loads: who suspends one waits for what that one is just handing over.
    await crew_queries.lock_clearances(session, {person for note in notes for person in note.people})
    return await queries.lock_units(session, [note.load_unit_id for note in notes])


def _reckon(noted: Noted, units: Mapping[UUID, Row[Any]], now: datetime) -> Noted:
    unit = units.get(noted.hand_over.load_unit_id)
    if unit is None:
        return noted
    reckoned = domain.reckon(noted.hand_over, confirmed_at=unit.confirmed_at, now=now)
    return replace(noted, hand_over=reckoned)


async def _gather(
    session: AsyncSession,
    caller: Caller,
    notes: Sequence[HandOver],
    units: dict[UUID, Row[Any]],
    marks: Marks,
) -> Facts:
    load_ids = {unit.load_id for unit in units.values()}
    since = min(note.at for note in notes)
    people = {person for note in notes for person in note.people}
    tie = await find_tie(session, caller, load_ids, since=since)
    return Facts(
        units=units,
        known=await queries.find_by_ids(session, [note.hand_over_id for note in notes]),
        standing=await crew_queries.find_standing(
            session, {(person, note.at) for note in notes for person in note.people}
        ),
        duties=await crew_queries.find_duties(session, *people, since=since),
        spells=await seats.find_of_loads(session, load_ids),
        rescues=await rescues_queries.find_covering(session, units),
        takers={load_id: set(tie.takers[load_id]) for load_id in load_ids},
        wrong=await queries.find_wrong_pins(
            session, [unit.portion_id for unit in units.values() if unit.portion_id]
        ),
        tie=tie,
        marks=marks,
        rows=[],
        breaches=[],
    )


def _judge(pointer: str, noted: Noted, facts: Facts, now: datetime) -> Outcome:
    note = noted.hand_over
    unit = facts.units.get(note.load_unit_id)
    is_scanned = domain.is_scan(noted.proof, note.load_unit_id, facts.marks)
    if unit is None or not facts.tie.may_hand_over(unit, note, is_scanned=is_scanned):
        return _refused(Fault(f"{pointer}/load_unit_id", "dispatch.load_unit_unknown"))
    if not facts.tie.is_party(unit, note):
        return _refused(Fault(pointer, "dispatch.not_a_party"))
    if before := facts.known.get(note.hand_over_id):
        if before.is_same_as(note):
            return Outcome("repeated", before.is_breach)
        return _refused(Fault(f"{pointer}/hand_over_id", "dispatch.hand_over_id_reused"))
    fault = (
        domain.find_time_fault(pointer, note.occurred_at, now)
        or domain.find_kind_fault(pointer, note.leg, UnitKind(unit.kind), Form(unit.form))
        or parties.find_household_fault(pointer, note, unit.door_household_id)
        or _find_proof_fault(pointer, noted, unit.portion_id, facts)
    )
    return _refused(fault) if fault else _record(noted, unit, facts)


def _find_proof_fault(pointer: str, noted: Noted, portion_id: UUID, facts: Facts) -> Fault | None:
    evidence = Evidence(
        marks=facts.marks, portion_id=portion_id, wrong_pins=facts.wrong.setdefault(portion_id, set())
    )
    fault = domain.find_proof_fault(pointer, noted.proof, noted.hand_over, evidence)
    if fault:
        PROOFS_WRONG.labels(noted.proof.kind).inc()
    return fault


def _record(noted: Noted, unit: Row[Any], facts: Facts) -> Outcome:
    rescue_id = _find_rescue(noted.hand_over, facts)
    reasons = _find_reasons(noted.hand_over, unit, facts, is_rescue=rescue_id is not None)
    note = replace(noted.hand_over, is_breach=bool(reasons))
    facts.known[note.hand_over_id] = note
    facts.rows.append({**_row_of(noted, note), "rescue_id": rescue_id})
    if note.leg is not Leg.DOOR:
        facts.takers[unit.load_id].add(note.taker_id)
    RECORDED.labels(int(note.leg)).inc()
    if not reasons:
        return Outcome("recorded")
    BREACHES.labels(int(note.leg)).inc()
    breach_id = new_id()
    facts.breaches.append(
        {
            "breach_id": breach_id,
            "hand_over_id": note.hand_over_id,
            "incident_id": unit.incident_id,
            "zone_id": unit.zone_id,
            "person_ids": sorted({reason.person_id for reason in reasons}),
            "reasons": [{"person_id": str(reason.person_id), "code": reason.code} for reason in reasons],
        }
    )
    return Outcome("recorded", is_breach=True, breach_id=breach_id)


def _find_rescue(note: HandOver, facts: Facts) -> UUID | None:
    if note.leg is Leg.DOOR:
        return None
    known = facts.rescues.get(note.load_unit_id, ())
    covering = (each for each in known if each.covers(note.giver_id, note.at, grace=domain.CLOCKS_APART))
    return next((each.rescue_id for each in covering), None)


def _find_reasons(note: HandOver, unit: Row[Any], facts: Facts, *, is_rescue: bool) -> list[Reason]:
    found = {person: facts.standing.get((person, note.at)) for person in note.people}
    standing = Standing(
        clearances={person: clearance for person, clearance in found.items() if clearance},
        duties=facts.duties,
        spells=facts.spells.get(unit.load_id, ()),
        takers=facts.takers[unit.load_id],
        is_rescue=is_rescue,
    )
    load = Destination(
        outlet_id=unit.outlet_id,
        community_id=unit.community_id,
        building_id=unit.door_building_id,
        household_id=unit.door_household_id,
        zone_class=places_domain.class_at(unit, note.at),
    )
    return parties.find_reasons(note, load, standing)


def _row_of(noted: Noted, note: HandOver) -> dict[str, object]:
    return {
        "hand_over_id": note.hand_over_id,
        "load_unit_id": note.load_unit_id,
        "leg": int(note.leg),
        "giver_id": note.giver_id,
        "taker_id": note.taker_id,
        "lat": noted.place.lat if noted.place else None,
        "lon": noted.place.lon if noted.place else None,
        "occurred_at": note.occurred_at,
        "reckoned_at": note.at,
        "clock_doubtful": note.clock_doubtful,
        "proof": noted.proof.kind,
        "photo_sha256": noted.proof.photo_sha256,
        "is_breach": note.is_breach,
    }


def _refused(fault: Fault) -> Outcome:
    return Outcome("refused", faults=(fault,))
