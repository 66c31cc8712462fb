"""What can be asked about splits. Callers own the transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import access, sharing
from services.contracts.access import Action, Resource
from services.contracts.orders import Form
from services.dispatch.crew import queries as crew_queries
from services.dispatch.loads import domain as loads_domain
from services.dispatch.loads.marks import Marks
from services.dispatch.places import domain as places_domain
from services.dispatch.relay import application as relay_application
from services.dispatch.relay import domain as relay_domain
from services.dispatch.relay import passages, reading
from services.dispatch.relay.domain import ProofKind
from services.dispatch.relay.permission import Tie
from services.dispatch.splits import domain, judging, queries, recording, refusals
from services.dispatch.splits.domain import Promise, Sharing, ToldSplit
from services.dispatch.splits.judging import Circumstances
from services.dispatch.splits.recording import Judged
from services.kit.caller import Caller
from services.kit.errors import Conflict, Fault, NotFound, Rejected


async def split(session: AsyncSession, caller: Caller, told: ToldSplit, marks: Marks, now: datetime) -> bool:
    """Record how a bulk load was shared out at its gate; False where the same was recorded before.

    What happened is recorded whoever did it, and however unfairly; what was not as it should be is a breach.
    """
    await crew_queries.lock_clearances(session, {told.steward_id})
    load = await queries.lock_load(session, told.load_id)
    if load is None:
        raise _missing()
    at, is_doubtful = relay_domain.reckon_moment(told.occurred_at, confirmed_at=load.confirmed_at, now=now)
    tie = await relay_application.find_tie(session, caller, [told.load_id], since=at)
    is_scanned = domain.is_scan(told.scanned, await queries.find_crates(session, told.load_id), marks)
    _require_teller(tie, load, told, at, is_scanned=is_scanned)
    if await _is_known(session, load, told):
        return False
    if not is_scanned:
        relay_application.PROOFS_WRONG.labels(ProofKind.QR).inc()
        raise _refused(Fault("/proof/value", "dispatch.proof_wrong"), "The label is of no crate of this load")
    if fault := relay_domain.find_time_fault("", told.occurred_at, now):
        raise _refused(fault, "The split is of the future")
    found = await queries.find_portions(session, told.load_id, load.outlet_id)
    outcome = _share(load, told, [promise for _, each in found for promise in each])
    known = await _find_circumstances(session, load, told.steward_id, at)
    reasons = judging.find_reasons(told.steward_id, known, is_by_rule=outcome.is_by_rule)
    judged = Judged(told=told, outcome=outcome, at=at, clock_doubtful=is_doubtful, reasons=reasons)
    if not await recording.keep(session, load, judged, now, by=caller.subject):
        raise _reused()
    await recording.shorten(session, load, [row for row, _ in found], outcome, at)
    await passages.move(session, {told.load_id: load}, now)
    return True


async def get_load(session: AsyncSession, caller: Caller, load_id: UUID, now: datetime) -> Row[Any]:
    """Return a bulk load whose households the caller may know of; raise `NotFound` where there is none."""
    load = await queries.find_load(session, load_id)
    if load is None or load.form != Form.BULK:
        raise _missing()
    tie = await reading.find_tie(session, caller, [load_id], now)
    if not tie.may_split(load, load.path or (), now):
        raise _missing()
    return load


def _require_teller(tie: Tie, load: Row[Any], told: ToldSplit, at: datetime, *, is_scanned: bool) -> None:
    is_own = tie.caller.person_id == told.steward_id
    # Who made it and scanned a crate had it in hand, whatever else was told of it by now.
    if not (is_own and is_scanned) and not tie.may_split(load, load.path or (), at):
        raise _missing()
    if load.form != Form.BULK:
        raise Conflict("dispatch.load_not_bulk", "Only a load in bulk is split")
    place = Resource(path=loads_domain.area_path(load.path or (), load.zone_id, load.community_id))
    if not is_own and not access.may(tie.caller, Action.HAND_OVER, place):
        raise _refused(Fault("/steward_id", "dispatch.not_the_splitter"), "A split is told by who made it")


async def _is_known(session: AsyncSession, load: Row[Any], told: ToldSplit) -> bool:
    for known in await queries.find_splits(session, load_id=load.load_id, split_id=told.split_id):
        if known.split_id != told.split_id:
            raise Conflict("dispatch.load_already_split", "The load is split already")
        if known.load_id != load.load_id or known.told != told.content:
            raise _reused()
        return True
    return False


def _share(load: Row[Any], told: ToldSplit, promises: Sequence[Promise]) -> Sharing:
    if load.rule not in sharing.RULES:
        fault = Fault("", "dispatch.rule_unknown", {"rule": load.rule})
        raise Conflict(fault.code, "The group's goods are shared by a rule not known here", faults=[fault])
    if faults := refusals.find_faults(promises, told.losses, told.portions):
        is_unbalanced = any(fault.code == refusals.UNBALANCED for fault in faults)
        code = refusals.UNBALANCED if is_unbalanced else faults[0].code
        raise Rejected(code, "The split cannot be so", faults=faults)
    return domain.settle(promises, told.losses, told.portions, rule=load.rule, seed=load.seed)


async def _find_circumstances(
    session: AsyncSession, load: Row[Any], steward_id: UUID, at: datetime
) -> Circumstances:
    standing = await crew_queries.find_standing(session, {(steward_id, at)})
    return Circumstances(
        at=at,
        zone_class=places_domain.class_at(load, at),
        community_id=load.community_id,
        clearance=standing.get((steward_id, at)),
        duties=await crew_queries.find_duties(session, steward_id, since=at),
    )


def _refused(fault: Fault, title: str) -> Rejected:
    return Rejected(fault.code, title, faults=[fault])


def _reused() -> Conflict:
    return Conflict("dispatch.split_id_reused", "This id is another split's")


def _missing() -> NotFound:
    return NotFound("kit.not_found", "Nothing is found here")
