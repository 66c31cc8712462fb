"""Reads, writes and locks of orders as they live: decisions, quotas, the clock's rows, what is counted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.orders import Form
from services.contracts.values import GivenLine, LineFailure
from services.orders.intake.acceptance import WANTED
from services.orders.intake.life import Order, OrderStatus, Used
from services.orders.intake.shortages import Shortage

GIVEN = TypeAdapter(tuple[GivenLine, ...])
FAILURES = TypeAdapter(tuple[LineFailure, ...])
SHORTAGES = TypeAdapter(tuple[Shortage, ...])

COLUMNS = """
    order_id, household_id, building_id, community_id, zone_id, incident_id, slot_id, group_id, rule_id,
    day, units, status, sequence, lines::text AS lines, given::text AS given, refusals::text AS refusals,
    shortages::text AS shortages,
    coalesce(
        (SELECT form FROM group_orders WHERE group_orders.group_id = orders.group_id), 'bagged'
    ) AS form
"""
LOCK_ORDERS = text(f"""
    SELECT {COLUMNS} FROM orders WHERE order_id = ANY(CAST(:order_ids AS uuid[]))
    ORDER BY order_id FOR UPDATE
""")  # noqa: S608 - the columns are written above
LOCK_PARTS = text(f"""
    SELECT {COLUMNS} FROM orders WHERE group_id = :group_id AND status <> 'cancelled'
    ORDER BY order_id FOR UPDATE
""")  # noqa: S608 - the columns are written above
CLAIM_OVERDUE = text(f"""
    SELECT {COLUMNS} FROM orders WHERE status = 'placed' AND decide_by <= :now
    ORDER BY decide_by LIMIT :limit FOR UPDATE SKIP LOCKED
""")  # noqa: S608 - the columns are written above
# Without an order of their own: that would sort all that is left for each batch, and no lock is waited for.
CLAIM_UNDECIDED = text(f"""
    SELECT {COLUMNS} FROM orders
    WHERE status = 'placed' AND group_id IS NULL AND slot_id IN (
        SELECT slot_id FROM slots
        WHERE status = 'closed' AND told_at IS NULL AND incident_id IS NOT NULL
    )
    LIMIT :limit FOR UPDATE SKIP LOCKED
""")  # noqa: S608 - the columns are written above
PUT_OFF = text("""
    UPDATE orders SET decide_by = :until, is_delayed = true WHERE order_id = ANY(CAST(:order_ids AS uuid[]))
""")
WRITE = text("""
    UPDATE orders SET status = given.status, sequence = given.sequence, given = given.goods::jsonb,
           refusals = given.refusals::jsonb, shortages = given.shortages::jsonb, decide_by = NULL,
           decided_at = coalesce(decided_at, CAST(:now AS timestamptz))
    FROM unnest(
        CAST(:order_ids AS uuid[]), CAST(:statuses AS text[]), CAST(:sequences AS bigint[]),
        CAST(:given AS text[]), CAST(:refusals AS text[]), CAST(:shortages AS text[])
    ) AS given (order_id, status, sequence, goods, refusals, shortages)
    WHERE orders.order_id = given.order_id
""")
RENUMBER = text("""
    UPDATE orders SET sequence = given.sequence
    FROM unnest(CAST(:order_ids AS uuid[]), CAST(:sequences AS bigint[])) AS given (order_id, sequence)
    WHERE orders.order_id = given.order_id
""")
# Locked in key order first: an update that joins takes its locks in whatever order the plan likes.
GIVE_BACK_QUOTAS = text("""
    WITH given AS (
        SELECT household_id, rule_id, day, sum(orders) AS orders, sum(units) AS units
        FROM unnest(
            CAST(:household_ids AS uuid[]), CAST(:rule_ids AS uuid[]), CAST(:days AS date[]),
            CAST(:orders AS integer[]), CAST(:units AS integer[])
        ) AS row (household_id, rule_id, day, orders, units)
        GROUP BY household_id, rule_id, day
    ), locked AS MATERIALIZED (
        SELECT household_id, rule_id, day, given.orders, given.units
        FROM household_quotas JOIN given USING (household_id, rule_id, day)
        ORDER BY household_id, rule_id, day FOR UPDATE OF household_quotas
    )
    UPDATE household_quotas AS quota
    SET orders = quota.orders - locked.orders, units = quota.units - locked.units
    FROM locked
    WHERE quota.household_id = locked.household_id AND quota.rule_id = locked.rule_id
      AND quota.day = locked.day
""")
GIVE_BACK_SLOTS = text("""
    WITH given AS (
        SELECT slot_id, count(*) AS orders FROM unnest(CAST(:slot_ids AS uuid[])) AS row (slot_id)
        GROUP BY slot_id
    ), locked AS MATERIALIZED (
        SELECT slot_id, given.orders FROM slots JOIN given USING (slot_id)
        ORDER BY slot_id FOR UPDATE OF slots
    )
    UPDATE slots AS slot SET taken = slot.taken - locked.orders
    FROM locked WHERE slot.slot_id = locked.slot_id
""")
CLAIM_SLOTS = text("""
    SELECT slot_id, zone_id, incident_id FROM slots
    WHERE told_at IS NULL AND incident_id IS NOT NULL AND cut_off_at <= :now
      AND NOT EXISTS (SELECT FROM orders WHERE orders.slot_id = slots.slot_id AND status = 'placed')
    ORDER BY cut_off_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")
COUNT_SLOTS = text("""
    SELECT slot_id, count(*) FILTER (WHERE status = 'placed') AS placed,
           count(*) FILTER (WHERE status IN ('confirmed', 'fulfilled', 'lost')) AS confirmed
    FROM orders WHERE slot_id = ANY(CAST(:slot_ids AS uuid[])) GROUP BY slot_id
""")
CLOSE_SLOTS = text("""
    UPDATE slots SET status = 'closed', told_at = :now, sequence = sequence + 1
    WHERE slot_id = ANY(CAST(:slot_ids AS uuid[])) RETURNING slot_id, sequence
""")
IS_TOLD = text("SELECT told_at IS NOT NULL FROM slots WHERE slot_id = :slot_id")
FIND_CUT_OFF = text("""
    SELECT coalesce(the_group.cut_off_at, slot.cut_off_at)
    FROM slots AS slot LEFT JOIN group_orders AS the_group ON the_group.group_id = CAST(:group_id AS uuid)
    WHERE slot.slot_id = :slot_id
""")


@dataclass(frozen=True, slots=True)
class ClosedSlot:
    """A slot of which all is decided."""

    slot_id: UUID
    zone_id: UUID
    incident_id: UUID


async def lock_orders(session: AsyncSession, order_ids: Iterable[UUID]) -> Mapping[UUID, Order]:
    """Lock orders in key order and return those that there are."""
    found = await session.execute(LOCK_ORDERS, {"order_ids": sorted(set(order_ids))})
    return {row.order_id: _order_of(row) for row in found}


async def lock_parts(session: AsyncSession, group_id: UUID) -> list[Order]:
    """Lock a group's parts, but those that were taken back, and return them in key order."""
    return [_order_of(row) for row in await session.execute(LOCK_PARTS, {"group_id": group_id})]


async def claim_overdue(session: AsyncSession, now: datetime, *, limit: int) -> list[Order]:
    """Lock orders past their time of decision that nobody else works on, and return them."""
    return [_order_of(row) for row in await session.execute(CLAIM_OVERDUE, {"now": now, "limit": limit})]


async def claim_undecided(session: AsyncSession, *, limit: int) -> list[Order]:
    """Lock undecided orders of closed slots, but groups' parts, that nobody else works on; return them."""
    return [_order_of(row) for row in await session.execute(CLAIM_UNDECIDED, {"limit": limit})]


async def put_off(session: AsyncSession, orders: Sequence[Order], *, until: datetime) -> None:
    """Give orders more time, and let them show that they wait."""
    await session.execute(PUT_OFF, {"order_ids": [order.order_id for order in orders], "until": until})


async def write_orders(session: AsyncSession, orders: Sequence[Order], now: datetime) -> None:
    """Write what locked orders have become."""
    await session.execute(
        WRITE,
        {
            "now": now,
            "order_ids": [order.order_id for order in orders],
            "statuses": [order.status for order in orders],
            "sequences": [order.sequence for order in orders],
            "given": [GIVEN.dump_json(order.given).decode() for order in orders],
            "refusals": [FAILURES.dump_json(order.refusals).decode() for order in orders],
            "shortages": [SHORTAGES.dump_json(order.shortages).decode() for order in orders],
        },
    )


async def renumber(session: AsyncSession, orders: Sequence[Order]) -> None:
    """Write only the sequences of locked orders: something was said again."""
    numbers = {
        "order_ids": [order.order_id for order in orders], "sequences": [order.sequence for order in orders],
    }  # fmt: skip
    await session.execute(RENUMBER, numbers)


async def give_back(session: AsyncSession, orders: Sequence[Order]) -> None:
    """Give back the quotas and the slots that orders have taken, in this order, each in key order."""
    await give_back_quotas(session, [(order, order.used) for order in orders])
    await session.execute(GIVE_BACK_SLOTS, {"slot_ids": [order.slot_id for order in orders]})


async def give_back_quotas(session: AsyncSession, freed: Sequence[tuple[Order, Used]]) -> None:
    """Give back so much of what each order had taken of its household's quota."""
    await session.execute(
        GIVE_BACK_QUOTAS,
        {
            "household_ids": [order.household_id for order, _ in freed],
            "rule_ids": [order.rule_id for order, _ in freed],
            "days": [order.day for order, _ in freed],
            "orders": [used.orders for _, used in freed],
            "units": [used.units for _, used in freed],
        },
    )


async def close_slots(
    session: AsyncSession, now: datetime, *, limit: int
) -> list[tuple[ClosedSlot, int, int]]:
    """Close slots past their cut-off of which every order is decided; return each, confirmed and sequence."""
    claimed = await session.execute(CLAIM_SLOTS, {"now": now, "limit": limit})
    slots = {row.slot_id: ClosedSlot(*row) for row in claimed}
    # Counted by a new statement: it sees what was committed before the locks were got.
    found = await session.execute(COUNT_SLOTS, {"slot_ids": list(slots)})
    counts = {row.slot_id: row for row in found}
    decided = {
        slot_id: counts[slot_id].confirmed if slot_id in counts else 0
        for slot_id in slots
        if slot_id not in counts or not counts[slot_id].placed
    }
    closed = await session.execute(CLOSE_SLOTS, {"slot_ids": list(decided), "now": now})
    return [(slots[row.slot_id], decided[row.slot_id], row.sequence) for row in closed]


async def get_cut_off(session: AsyncSession, order: Order) -> datetime:
    """Return until when an order can be taken back: its group's cut-off if it is a part, else its slot's."""
    asked = {"slot_id": order.slot_id, "group_id": order.group_id}
    moment: datetime = (await session.execute(FIND_CUT_OFF, asked)).scalar_one()
    return moment


async def is_told(session: AsyncSession, slot_id: UUID) -> bool:
    """Say whether the others have been told how many orders of a slot are confirmed."""
    return bool((await session.execute(IS_TOLD, {"slot_id": slot_id})).scalar_one())


def _order_of(row: Row[Any]) -> Order:
    rest = {name: getattr(row, name) for name in SAME}
    return Order(
        **rest,
        status=OrderStatus(row.status),
        form=Form(row.form),
        lines=WANTED.validate_json(row.lines),
        given=GIVEN.validate_json(row.given),
        refusals=FAILURES.validate_json(row.refusals),
        shortages=SHORTAGES.validate_json(row.shortages),
    )


SAME = ("order_id", "household_id", "building_id", "community_id", "zone_id", "incident_id", "slot_id",
        "group_id", "rule_id", "day", "units", "sequence")  # fmt: skip
