"""What groups can be asked. Callers own the transaction; a group is always locked before its parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import sharing
from services.contracts.orders import Form, GroupLocked
from services.contracts.values import TallyLine
from services.kit import outbox
from services.kit.errors import Conflict, Fault, Rejected
from services.kit.ids import new_id
from services.orders.groups import closing, domain, pricing, queries
from services.orders.groups.domain import BelowMinimum, Ending, GroupStatus
from services.orders.groups.tables import GroupOrderRow
from services.orders.intake import acceptance, deciding
from services.orders.intake.life import Turn

log = structlog.get_logger()

ENDED = Counter("groups_ended_total", "Groups by how their cut-off ended", ["ending"])

# Each may have thousands of parts, and all of one are one transaction.
BATCH = 1
SEED_BYTES = 16
REASONS: Mapping[Ending, str] = {
    Ending.CANCEL: "orders.group_below_minimum",
    Ending.TOO_VARIED: "orders.group_too_varied",
}


class GroupRejected(Rejected):
    """The group cannot be as its leader wants it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        codes = {fault.code for fault in faults}
        code = codes.pop() if len(codes) == 1 else "orders.group_rejected"
        super().__init__(code, TITLES.get(code, "The group cannot be as it is asked for"), faults=faults)


TITLES: Mapping[str, str] = {
    "orders.slot_unknown": "The community's zone has no such slot",
    "orders.channels_closed": "The zone takes no orders now",
    "orders.zone_closed": "The zone is closed and takes no more orders",
    "orders.cut_off_out_of_range": "The cut-off lies in the past or not before the slot's",
}


class GroupClosed(Conflict):
    """The group's cut-off has passed."""

    def __init__(self, *, status: str) -> None:
        code = "orders.group_closed"
        super().__init__(
            code, "The group takes no more changes", faults=[Fault("", code, {"status": status})]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGroup:
    """A group as its leader opens it."""

    leader: str
    community_id: UUID
    slot_id: UUID
    minimum: int
    cut_off_at: datetime
    below_minimum: BelowMinimum
    extend_to: datetime | None
    form: Form


async def open_group(session: AsyncSession, wanted: NewGroup, now: datetime) -> UUID:
    """Open a group for a community and return its id; raise with every reason why it cannot be."""
    slot = await queries.find_slot(session, wanted.slot_id, community_id=wanted.community_id)
    if slot is None or not slot.is_of_community:
        raise GroupRejected([Fault("/slot_id", "orders.slot_unknown")])
    if await queries.is_zone_closed(session, slot.zone_id):
        raise GroupRejected([Fault("/slot_id", "orders.zone_closed")])
    faults = [] if slot.is_open else [Fault("/slot_id", "orders.channels_closed")]
    faults += domain.find_cut_off_faults(
        wanted.cut_off_at, extend_to=wanted.extend_to, after=now, before=slot.cut_off_at
    )
    if faults:
        raise GroupRejected(faults)
    group_id = new_id()
    await queries.insert_group(
        session,
        {
            "group_id": group_id,
            "leader": wanted.leader,
            "community_id": wanted.community_id,
            "zone_id": slot.zone_id,
            "incident_id": slot.incident_id,
            "slot_id": wanted.slot_id,
            "minimum": wanted.minimum,
            "cut_off_at": wanted.cut_off_at,
            "below_minimum": wanted.below_minimum,
            "extend_to": wanted.extend_to,
            "form": wanted.form,
            "opened_at": now,
        },
    )
    return group_id


async def move_cut_off(session: AsyncSession, group_id: UUID, cut_off_at: datetime, *, now: datetime) -> None:
    """Move an open group's cut-off: to no moment that has passed, and before the slot's."""
    group = await queries.get_group(session, group_id, lock=True)
    if group.status != GroupStatus.OPEN or now >= group.cut_off_at:
        raise GroupClosed(status=group.status)
    before = await queries.get_slot_cut_off(session, group.slot_id)
    extend_to = None if group.was_extended else group.extend_to
    faults = domain.find_cut_off_faults(cut_off_at, extend_to=extend_to, after=now, before=before)
    if faults:
        raise GroupRejected(faults)
    await queries.set_cut_off(session, group_id, cut_off_at)


async def end_due(session: AsyncSession, now: datetime) -> int:
    """Let groups past their cut-off lock, run on once, or end without goods, as their leaders stated."""
    groups = await queries.claim_due(session, now, limit=BATCH)
    if not groups:
        return 0
    ids = [group.group_id for group in groups]
    households = await queries.count_parts(session, ids)
    tallies = await queries.tally_parts(session, ids)
    for group in groups:
        count, tally = households.get(group.group_id, 0), tallies.get(group.group_id, ())
        ending = domain.end_at_cut_off(
            households=count,
            products=len({line.product_id for line in tally}),
            minimum=group.minimum,
            below=BelowMinimum(group.below_minimum),
            was_extended=group.was_extended,
        )
        ENDED.labels(ending).inc()
        log.info("group.ended", group_id=str(group.group_id), ending=ending, households=count)
        match ending:
            case Ending.LOCK:
                await _lock(session, group, tally, households=count, now=now)
            case Ending.EXTEND:
                await queries.extend(session, group.group_id)
            case _:
                await closing.refuse(session, group, REASONS[ending], Turn.GROUP_REFUSED, now)
    return len(groups)


async def refuse_overdue(session: AsyncSession, now: datetime) -> int:
    """Refuse groups that got no answer in time; while the bus is away they are put off, and show it."""
    policy = await acceptance.get_policy(session, now)
    is_away = await deciding.is_stalled(session, policy)
    due = deciding.due_by(policy, now, is_away=is_away)
    groups = await queries.claim_overdue(session, due, limit=BATCH)
    if not groups:
        return 0
    if is_away:
        await queries.put_off(session, groups, until=now + policy.put_off)
        return len(groups)
    for group in groups:
        await closing.refuse(session, group, "orders.decision_overdue", Turn.DECISION_OVERDUE, now)
    return len(groups)


async def _lock(
    session: AsyncSession,
    group: GroupOrderRow,
    wanted: tuple[TallyLine, ...],
    *,
    households: int,
    now: datetime,
) -> None:
    tally = pricing.narrow_tally(wanted, most=domain.MOST_PRODUCTS)
    policy = await acceptance.get_policy(session, now)
    sequence = await queries.lock_for_decision(
        session,
        group.group_id,
        tally,
        now=now,
        decide_by=now + policy.decide_within,
        # Of the lock's own moment: whoever had known it could have chosen whom to send, or when.
        seed=token_hex(SEED_BYTES),
        rule=sharing.RULE,
        households=households,
    )
    locked = GroupLocked(
        group_id=group.group_id,
        zone_id=group.zone_id,
        slot_id=group.slot_id,
        incident_id=group.incident_id,
        households=households,
        tally=tally,
    )
    await outbox.add(session, locked, sequence=sequence)
