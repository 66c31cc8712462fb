"""What the relay can be asked. Callers own the transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.dispatch import Leg, LoadHandedOver, PortionDelivered
from services.contracts.values import Point, ZoneClass
from services.dispatch.crew import domain as crew_domain
from services.dispatch.crew import queries as crew_queries
from services.dispatch.loads.marks import Marks
from services.dispatch.relay import domain, queries
from services.dispatch.relay.domain import Evidence, HandOver, Moments, Proof
from services.dispatch.relay.permission import Tie
from services.dispatch.trips import application as trips_application
from services.kit import outbox
from services.kit.caller import Caller
from services.kit.errors import Conflict, Fault
from services.kit.event import Event
from services.kit.ids import new_id

log = structlog.get_logger()

RECORDED = Counter("hand_overs_total", "Hand-overs recorded", ["leg"])
BREACHES = Counter("breaches_total", "Hand-overs by a person who was not cleared", ["leg"])
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
    clearances: dict[UUID, crew_domain.CrewClearance]
    wrong: dict[UUID, set[bytes]]
    tie: Tie
    marks: Marks
    now: datetime
    rows: list[dict[str, object]]
    breaches: list[dict[str, object]]


async def record_hand_overs(
    session: AsyncSession, caller: Caller, log_items: Sequence[Noted], marks: Marks, now: datetime
) -> list[Outcome]:
    """Record a device's log, each item for itself: late, shuffled and repeated items are as good as fresh.

    What happened is recorded whoever did it; by somebody not cleared it is a breach that a person closes.
    """
    facts = await _gather(session, caller, log_items, marks, now)
    outcomes = [_judge(f"/hand_overs/{index}", each, facts) for index, each in enumerate(log_items)]
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
    await _move_loads(session, {unit.load_id: unit for unit in touched}, now)
    return outcomes


async def find_tie(
    session: AsyncSession, caller: Caller, load_ids: Iterable[UUID], *, since: datetime
) -> Tie:
    """Return what ties a caller to loads: duties not over at `since`, trips, what was ever taken over."""
    loads = set(load_ids)
    person_id = caller.person_id
    hand_overs = await queries.find_of_loads(session, loads) if person_id else {}
    return Tie(
        caller=caller,
        drivers=await queries.find_drivers(session, loads),
        duties=await crew_queries.find_duties(session, person_id, since=since) if person_id else (),
        takers={load_id: domain.takers_of(each) for load_id, each in hand_overs.items()},
    )


async def close_breach(
    session: AsyncSession, breach: Row[Any], now: datetime, *, closed_by: str, reason: str
) -> None:
    """Close a breach with a person's reason; raise `Conflict` where that was done before."""
    if breach.closed_at is not None:
        raise Conflict("dispatch.breach_closed", "The breach was closed before")
    await queries.close_breach(session, breach.breach_id, now, closed_by=closed_by, reason=reason)
    log.info("breach.closed", breach_id=str(breach.breach_id))


async def _gather(
    session: AsyncSession, caller: Caller, log_items: Sequence[Noted], marks: Marks, now: datetime
) -> Facts:
    notes = [each.hand_over for each in log_items]
    # People before loads: who suspends one waits for what that one is just handing over.
    clearances = await crew_queries.lock_clearances(
        session, {person for note in notes for person in (note.giver_id, note.taker_id)}
    )
    units = await queries.lock_units(session, [note.load_unit_id for note in notes])
    portions = [unit.portion_id for unit in units.values() if unit.portion_id]
    load_ids = {unit.load_id for unit in units.values()}
    return Facts(
        units=units,
        known=await queries.find_by_ids(session, [note.hand_over_id for note in notes]),
        clearances=clearances,
        wrong=await queries.find_wrong_pins(session, portions),
        tie=await find_tie(session, caller, load_ids, since=min(note.occurred_at for note in notes)),
        marks=marks,
        now=now,
        rows=[],
        breaches=[],
    )


def _judge(pointer: str, noted: Noted, facts: Facts) -> Outcome:
    note = noted.hand_over
    unit = facts.units.get(note.load_unit_id)
    if unit is None or not facts.tie.may_hand_over(unit, note):
        return _refused(Fault(f"{pointer}/load_unit_id", "dispatch.load_unit_unknown"))
    if not facts.tie.is_party(unit, note):
        return _refused(Fault(pointer, "dispatch.not_a_party"))
    if before := facts.known.get(note.hand_over_id):
        if before.is_same_as(note):
            return Outcome("repeated", before.is_breach)
        return _refused(Fault(f"{pointer}/hand_over_id", "dispatch.hand_over_id_reused"))
    fault = _find_fault(pointer, noted, unit.portion_id, facts)
    return _refused(fault) if fault else _record(noted, unit, facts)


def _find_fault(pointer: str, noted: Noted, portion_id: UUID, facts: Facts) -> Fault | None:
    if fault := domain.find_time_fault(pointer, noted.hand_over.occurred_at, facts.now):
        return fault
    evidence = Evidence(
        marks=facts.marks, portion_id=portion_id, wrong_pins=facts.wrong.setdefault(portion_id, set())
    )
    fault = domain.find_proof_fault(pointer, noted.proof, noted.hand_over, evidence)
    if fault:
        PROOFS_WRONG.labels(noted.proof.kind).inc()
    return fault


def _record(noted: Noted, unit: Row[Any], facts: Facts) -> Outcome:
    uncleared = domain.find_uncleared(
        noted.hand_over,
        facts.clearances,
        # A zone that was not heard of yet is taken for the strictest.
        zone_class=ZoneClass(unit.zone_class or ZoneClass.SEALED),
        outlet_id=unit.outlet_id,
    )
    note = replace(noted.hand_over, is_breach=bool(uncleared))
    facts.known[note.hand_over_id] = note
    facts.rows.append(_row_of(noted, note))
    RECORDED.labels(int(note.leg)).inc()
    if not uncleared:
        return Outcome("recorded")
    BREACHES.labels(int(note.leg)).inc()
    breach_id = new_id()
    facts.breaches.append(
        {
            "breach_id": breach_id,
            "hand_over_id": note.hand_over_id,
            "incident_id": unit.incident_id,
            "zone_id": unit.zone_id,
            "person_ids": uncleared,
        }
    )
    return Outcome("recorded", is_breach=True, breach_id=breach_id)


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
        "proof": noted.proof.kind,
        "photo_sha256": noted.proof.photo_sha256,
        "is_breach": note.is_breach,
    }


def _refused(fault: Fault) -> Outcome:
    return Outcome("refused", faults=(fault,))


async def _move_loads(session: AsyncSession, loads: dict[UUID, Row[Any]], now: datetime) -> None:
    hand_overs = await queries.find_of_loads(session, loads)
    unit_ids = await queries.find_unit_ids(session, loads)
    moments = {
        load_id: domain.moments_of(unit_ids[load_id], hand_overs[load_id]) for load_id in sorted(loads)
    }
    news = {load_id: _news_of(loads[load_id], each) for load_id, each in moments.items()}
    sequences = await queries.move_loads(
        session, moments, {load_id: len(events) for load_id, events in news.items()}
    )
    said: list[tuple[Event, int]] = []
    for load_id, events in news.items():
        first = sequences[load_id] - len(events) + 1
        said.extend((event, first + place) for place, event in enumerate(events))
    delivered = await queries.deliver_portions(session, loads)
    for row in delivered:
        portion = PortionDelivered(
            portion_id=row.portion_id,
            order_id=row.order_id,
            incident_id=row.incident_id,
            household_id=row.household_id,
            delivered_at=row.delivered_at,
        )
        said.append((portion, row.sequence))
    started = [
        load_id
        for load_id, events in news.items()
        if events and not loads[load_id].leg and loads[load_id].withdrawn_at is None
    ]
    await trips_application.note_loaded(session, started, now)
    await outbox.add_all(session, said)


def _news_of(load: Row[Any], moments: Moments) -> list[Event]:
    if load.withdrawn_at is not None:
        # Its order has ended, yet the goods left: the shop's shelf has to know, and no portion is delivered.
        log.warning("load.strayed", load_id=str(load.load_id))
    before = {Leg.PICK_UP: load.picked_up_at, Leg.GATE: load.at_gate_at, Leg.DOOR: load.delivered_at}
    return [
        LoadHandedOver(
            load_id=load.load_id,
            order_id=load.order_id,
            outlet_id=load.outlet_id,
            incident_id=load.incident_id,
            leg=leg,
            giver_id=passage.giver_id,
            taker_id=passage.taker_id,
            occurred_at=passage.occurred_at,
            is_breach=leg in moments.breached,
        )
        for leg, passage in moments.passages.items()
        if before[leg] is None
    ]
