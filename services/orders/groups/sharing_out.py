"""What catalog grants a group is shared among its parts, and told. Callers own the transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.catalog import GroupGranted
from services.contracts.orders import Form, GroupDecided
from services.contracts.values import GivenLine, Grant, LineFailure
from services.kit import correlation, outbox
from services.kit.event import Arrived
from services.orders.groups import pricing, queries
from services.orders.groups.domain import GroupStatus, PartLine
from services.orders.groups.tables import GroupOrderRow
from services.orders.intake import deciding, ledger
from services.orders.intake.life import Order, OrderStatus, Turn

log = structlog.get_logger()


class UnknownGroup(Exception):
    """Somebody speaks of a group that never locked; a person has to look."""

    def __init__(self, *, group_id: UUID) -> None:
        super().__init__(str(group_id))


async def share_out(session: AsyncSession, arrivals: Sequence[Arrived[GroupGranted]], now: datetime) -> None:
    """Share what was granted among the parts; what comes after the clock is given back line by line."""
    groups = await queries.lock_groups(session, [arrived.event.reservation_id for arrived in arrivals])
    for arrived in arrivals:
        group = groups.get(arrived.event.reservation_id)
        if group is None or group.seed is None:
            raise UnknownGroup(group_id=arrived.event.reservation_id)
        if group.status == GroupStatus.DECIDED or group.grants is not None:
            continue
        parts = await ledger.lock_parts(session, group.group_id)
        # All that is said of the group and its parts answers the same word of catalog's.
        keys = [group.group_id, *(part.order_id for part in parts)]
        with correlation.bind({str(key): arrived.correlation_id for key in keys}):
            await _share(session, group, parts, arrived.event.grants, now)


async def restate(session: AsyncSession, group_ids: Iterable[UUID]) -> None:
    """Say again what was decided about the goods of groups; what is undecided is left to its clock."""
    groups = await queries.lock_groups(session, group_ids)
    if not groups:
        return
    await deciding.restate(session, await queries.list_given_parts(session, groups))
    await _tell(session, [group for group in groups.values() if group.status == GroupStatus.DECIDED])


async def _share(
    session: AsyncSession,
    group: GroupOrderRow,
    parts: Sequence[Order],
    grants: Sequence[Grant],
    now: datetime,
) -> None:
    assert group.seed is not None  # noqa: S101 - asked before
    lines = [
        PartLine(
            order_id=part.order_id,
            household_id=part.household_id,
            line=line.line,
            product_id=line.product_id,
            quantity=line.quantity,
            seen_price_fen=line.seen_price_fen,
        )
        for part in parts
        for line in part.lines
    ]
    shares, given = pricing.share_out(lines, grants, seed=group.seed)
    if group.status == GroupStatus.REFUSED:
        # The clock was faster: each part says which of the group's goods it lets go.
        await queries.end(session, group.group_id, GroupStatus.REFUSED, grants=grants)
        await deciding.let_go(session, [(part, given[part.order_id]) for part in parts], now)
        return
    await queries.end(session, group.group_id, GroupStatus.DECIDED, grants=grants)
    failures = pricing.failures_of(shares, grants)
    decided = [_decide(part, failures[part.order_id], given[part.order_id]) for part in parts]
    await deciding.settle(session, {part.order_id: part for part in parts}, decided, now)
    await _tell(session, [group])
    log.info("group.shared", group_id=str(group.group_id), parts=len(parts), without=_count_refused(decided))


async def _tell(session: AsyncSession, groups: Sequence[GroupOrderRow]) -> None:
    """Say of locked groups, each at its next sequence, how many of their parts were confirmed.

    The number is final: a part is taken back before its group's cut-off, or never.
    """
    ids = [group.group_id for group in groups]
    confirmed, sequences = await queries.count_confirmed(session, ids), await queries.number(session, ids)
    told = [
        (_decided_of(group, confirmed.get(group.group_id, 0)), sequences[group.group_id]) for group in groups
    ]
    await outbox.add_all(session, told)


def _decided_of(group: GroupOrderRow, confirmed: int) -> GroupDecided:
    assert group.seed is not None  # noqa: S101 - it came with the lock, as its rule
    assert group.rule is not None  # noqa: S101
    return GroupDecided(
        group_id=group.group_id,
        zone_id=group.zone_id,
        slot_id=group.slot_id,
        community_id=group.community_id,
        incident_id=group.incident_id,
        form=Form(group.form),
        confirmed=confirmed,
        rule=group.rule,
        seed=group.seed,
    )


def _decide(part: Order, failures: Sequence[LineFailure], given: Sequence[GivenLine]) -> Order:
    turn = Turn.STOCK_RESERVED if given else Turn.STOCK_REFUSED
    return part.after(turn, given=given, refusals=failures)


def _count_refused(parts: Iterable[Order]) -> int:
    return sum(part.status is OrderStatus.REFUSED for part in parts)
