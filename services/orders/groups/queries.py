"""Reads, writes and locks of groups; their parts are orders of intake."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from services.contracts.values import Grant, TallyLine
from services.kit.errors import NotFound
from services.orders.groups.domain import GroupStatus
from services.orders.groups.tables import GroupOrderRow
from services.orders.zones.tables import ZoneRow

TALLY = TypeAdapter(tuple[TallyLine, ...])
GRANTS = TypeAdapter(tuple[Grant, ...])
UNDECIDED = (GroupStatus.OPEN, GroupStatus.LOCKED)

INSERT = text("""
    INSERT INTO group_orders (group_id, leader, community_id, zone_id, incident_id, slot_id, minimum,
                              cut_off_at, below_minimum, extend_to, form, status, opened_at)
    VALUES (:group_id, :leader, :community_id, :zone_id, :incident_id, :slot_id, :minimum, :cut_off_at,
            :below_minimum, :extend_to, :form, 'open', :opened_at)
""")
# Shared: the slot is not closed before the group stands in it; orders of others are not held up for long.
LOCK_SLOT = text("""
    SELECT slot.zone_id, slot.incident_id, slot.cut_off_at,
           slot.status = 'open' AND zone.status = 'open' AS is_open,
           EXISTS (SELECT FROM zone_communities
                   WHERE zone_id = slot.zone_id AND community_id = :community_id) AS is_of_community
    FROM slots AS slot JOIN zones AS zone USING (zone_id)
    WHERE slot_id = :slot_id FOR SHARE OF slot
""")
IS_ZONE_CLOSED = text("SELECT status = 'closed' FROM zones WHERE zone_id = :zone_id")
FIND_SLOT_CUT_OFF = text("SELECT cut_off_at FROM slots WHERE slot_id = :slot_id")
COUNT_PARTS = text("""
    SELECT group_id, count(*) AS households FROM orders
    WHERE group_id = ANY(CAST(:group_ids AS uuid[])) AND status NOT IN ('cancelled', 'refused')
    GROUP BY group_id
""")
TALLY_PARTS = text("""
    SELECT group_id, line.product_id, sum(line.quantity) AS quantity, line.seen_price_fen
    FROM orders CROSS JOIN LATERAL jsonb_to_recordset(lines)
      AS line (product_id uuid, quantity integer, seen_price_fen integer)
    WHERE group_id = ANY(CAST(:group_ids AS uuid[])) AND status NOT IN ('cancelled', 'refused')
    GROUP BY group_id, line.product_id, line.seen_price_fen
    ORDER BY group_id, line.product_id, line.seen_price_fen
""")
SET_CUT_OFF = text("UPDATE group_orders SET cut_off_at = :cut_off_at WHERE group_id = :group_id")
EXTEND = text("""
    UPDATE group_orders SET cut_off_at = extend_to, was_extended = true WHERE group_id = :group_id
""")
LOCK = text("""
    UPDATE group_orders SET status = 'locked', locked_at = :now, decide_by = :decide_by, seed = :seed,
           rule = :rule, households = :households, tally = CAST(:tally AS jsonb), sequence = sequence + 1
    WHERE group_id = :group_id RETURNING sequence
""")
END = text("""
    UPDATE group_orders SET status = :status, decide_by = NULL,
           households = coalesce(households, CAST(:households AS integer)),
           grants = CAST(:grants AS jsonb)
    WHERE group_id = :group_id
""")
PUT_OFF = text("""
    UPDATE group_orders SET decide_by = :until, is_delayed = true
    WHERE group_id = ANY(CAST(:group_ids AS uuid[]))
""")
NUMBER = text("""
    UPDATE group_orders SET sequence = sequence + 1 WHERE group_id = ANY(CAST(:group_ids AS uuid[]))
    RETURNING group_id, sequence
""")
COUNT_CONFIRMED = text("""
    SELECT group_id, count(*) AS parts FROM orders
    WHERE group_id = ANY(CAST(:group_ids AS uuid[])) AND status IN ('confirmed', 'fulfilled', 'lost')
    GROUP BY group_id
""")
LIST_GIVEN_PARTS = text("""
    SELECT order_id FROM orders WHERE group_id = ANY(CAST(:group_ids AS uuid[])) AND given <> '[]'
""")
COUNT_BY_STATUS = text("""
    SELECT status, count(*) AS groups FROM group_orders WHERE incident_id = :incident_id GROUP BY status
""")


@dataclass(frozen=True, slots=True)
class SlotOfGroup:
    """What a slot says to a group that is to be opened in it."""

    zone_id: UUID
    incident_id: UUID | None
    cut_off_at: datetime
    is_open: bool
    is_of_community: bool


async def get_group(session: AsyncSession, group_id: UUID, *, lock: bool = False) -> GroupOrderRow:
    """Return a group, locked where it is to change; raise `NotFound` where there is none."""
    wanted = select(GroupOrderRow).where(GroupOrderRow.group_id == group_id)
    if lock:
        wanted = _locked(wanted)
    found = (await session.execute(wanted)).scalar_one_or_none()
    if found is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    return found


async def lock_groups(session: AsyncSession, group_ids: Iterable[UUID]) -> Mapping[UUID, GroupOrderRow]:
    """Lock groups in key order and return those that there are."""
    wanted = select(GroupOrderRow).where(col(GroupOrderRow.group_id).in_(set(group_ids)))
    locked = _locked(wanted.order_by(col(GroupOrderRow.group_id)))
    return {row.group_id: row for row in (await session.execute(locked)).scalars()}


async def list_groups(
    session: AsyncSession, community_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[GroupOrderRow]:
    """Return a page of a community's groups and one more."""
    wanted = select(GroupOrderRow).where(GroupOrderRow.community_id == community_id)
    if after:
        wanted = wanted.where(col(GroupOrderRow.group_id) > after)
    return (
        (await session.execute(wanted.order_by(col(GroupOrderRow.group_id)).limit(limit + 1))).scalars().all()
    )


async def claim_due(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[GroupOrderRow]:
    """Lock open groups past their cut-off that nobody else works on, and return them."""
    due = select(GroupOrderRow).where(GroupOrderRow.status == "open", col(GroupOrderRow.cut_off_at) <= now)
    claimed = due.order_by(col(GroupOrderRow.cut_off_at)).limit(limit).with_for_update(skip_locked=True)
    return (await session.execute(claimed)).scalars().all()


async def claim_overdue(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[GroupOrderRow]:
    """Lock groups past their time of decision that nobody else works on, and return them."""
    due = select(GroupOrderRow).where(GroupOrderRow.status == "locked", col(GroupOrderRow.decide_by) <= now)
    claimed = due.order_by(col(GroupOrderRow.decide_by)).limit(limit).with_for_update(skip_locked=True)
    return (await session.execute(claimed)).scalars().all()


async def claim_undecided(session: AsyncSession, *, limit: int) -> Sequence[GroupOrderRow]:
    """Lock undecided groups of closed zones that nobody else works on, and return them."""
    closed = select(ZoneRow.zone_id).where(ZoneRow.status == "closed")
    undecided = select(GroupOrderRow).where(
        col(GroupOrderRow.status).in_(UNDECIDED), col(GroupOrderRow.zone_id).in_(closed)
    )
    claimed = undecided.limit(limit).with_for_update(skip_locked=True)
    return (await session.execute(claimed)).scalars().all()


async def find_slot(session: AsyncSession, slot_id: UUID, *, community_id: UUID) -> SlotOfGroup | None:
    """Return a slot, kept from closing until this transaction ends; None where there is none."""
    asked = {"slot_id": slot_id, "community_id": community_id}
    row = (await session.execute(LOCK_SLOT, asked)).one_or_none()
    return SlotOfGroup(*row) if row else None


async def is_zone_closed(session: AsyncSession, zone_id: UUID) -> bool:
    """Say whether a zone takes no more groups for good, as it is once its slot is kept."""
    return bool((await session.execute(IS_ZONE_CLOSED, {"zone_id": zone_id})).scalar_one())


async def get_slot_cut_off(session: AsyncSession, slot_id: UUID) -> datetime:
    """Return a slot's cut-off."""
    moment: datetime = (await session.execute(FIND_SLOT_CUT_OFF, {"slot_id": slot_id})).scalar_one()
    return moment


async def insert_group(session: AsyncSession, group: Mapping[str, object]) -> None:
    """Write a new group."""
    await session.execute(INSERT, group)


async def count_parts(session: AsyncSession, group_ids: Iterable[UUID]) -> Mapping[UUID, int]:
    """Return how many households have a living part in each group; one without any is left out."""
    found = await session.execute(COUNT_PARTS, {"group_ids": list(group_ids)})
    return {row.group_id: row.households for row in found}


async def tally_parts(
    session: AsyncSession, group_ids: Iterable[UUID]
) -> Mapping[UUID, tuple[TallyLine, ...]]:
    """Return how much of each product each group wants by each price that was seen: never who wants it."""
    tallies: defaultdict[UUID, list[TallyLine]] = defaultdict(list)
    for row in await session.execute(TALLY_PARTS, {"group_ids": list(group_ids)}):
        line = TallyLine(product_id=row.product_id, quantity=row.quantity, seen_price_fen=row.seen_price_fen)
        tallies[row.group_id].append(line)
    return {group_id: tuple(tally) for group_id, tally in tallies.items()}


async def set_cut_off(session: AsyncSession, group_id: UUID, cut_off_at: datetime) -> None:
    """Set a locked group's cut-off."""
    await session.execute(SET_CUT_OFF, {"group_id": group_id, "cut_off_at": cut_off_at})


async def extend(session: AsyncSession, group_id: UUID) -> None:
    """Let a locked group run on to the moment that its leader stated."""
    await session.execute(EXTEND, {"group_id": group_id})


async def lock_for_decision(
    session: AsyncSession, group_id: UUID, tally: Sequence[TallyLine], **given: object
) -> int:
    """Close a group for its parts and return the sequence of its next event."""
    text_of = TALLY.dump_json(tuple(tally)).decode()
    locked = await session.execute(LOCK, {"group_id": group_id, "tally": text_of, **given})
    return int(locked.scalar_one())


async def end(
    session: AsyncSession,
    group_id: UUID,
    status: str,
    *,
    households: int | None = None,
    grants: Sequence[Grant] | None = None,
) -> None:
    """Write how a locked group has ended."""
    text_of = GRANTS.dump_json(tuple(grants)).decode() if grants is not None else None
    given = {"group_id": group_id, "status": status, "households": households, "grants": text_of}
    await session.execute(END, given)


async def put_off(session: AsyncSession, groups: Sequence[GroupOrderRow], *, until: datetime) -> None:
    """Give groups more time for their decision, and let them show that they wait."""
    await session.execute(PUT_OFF, {"group_ids": [group.group_id for group in groups], "until": until})


async def number(session: AsyncSession, group_ids: Iterable[UUID]) -> Mapping[UUID, int]:
    """Return the sequences of the next events of locked groups."""
    numbered = await session.execute(NUMBER, {"group_ids": list(group_ids)})
    return {row.group_id: row.sequence for row in numbered}


async def count_confirmed(session: AsyncSession, group_ids: Iterable[UUID]) -> Mapping[UUID, int]:
    """Return how many parts of each group were confirmed; one without any is left out."""
    found = await session.execute(COUNT_CONFIRMED, {"group_ids": list(group_ids)})
    return {row.group_id: row.parts for row in found}


async def list_given_parts(session: AsyncSession, group_ids: Iterable[UUID]) -> Sequence[UUID]:
    """Return the parts of groups to which goods fell, whatever has become of them."""
    return (await session.execute(LIST_GIVEN_PARTS, {"group_ids": list(group_ids)})).scalars().all()


async def count_by_status(session: AsyncSession, incident_id: UUID) -> Mapping[str, int]:
    """Return how many groups of an incident stand where."""
    found = await session.execute(COUNT_BY_STATUS, {"incident_id": incident_id})
    return {row.status: row.groups for row in found}


def _locked(wanted: SelectOfScalar[GroupOrderRow]) -> SelectOfScalar[GroupOrderRow]:
    # What was read before the lock is read anew with it.
    return wanted.with_for_update().execution_options(populate_existing=True)
