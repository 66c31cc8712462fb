"""Reads, writes and locks of acceptance: quotas, slots, groups' windows, new orders."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.values import WantedLine
from services.orders.intake.domain import Accepted, GroupWindow, NewOrder, Quota, QuotaKey, Rule, Slot

WANTED = TypeAdapter(tuple[WantedLine, ...])

FIND_POLICY = text("""
    SELECT decide_within_seconds, put_off_seconds, stalled_after_seconds, time_zone FROM intake_policies
    WHERE valid_from <= :now AND (valid_to IS NULL OR :now < valid_to) ORDER BY valid_from DESC LIMIT 1
""")
# Shared: parts of a group need not wait for each other, only for its leader and its clock.
LOCK_WINDOWS = text("""
    SELECT group_id, community_id, slot_id, cut_off_at, status FROM group_orders
    WHERE group_id = ANY(CAST(:group_ids AS uuid[])) ORDER BY group_id FOR SHARE
""")
FIND_MEMBERS = text("""
    SELECT group_id, household_id FROM orders
    WHERE group_id = ANY(CAST(:group_ids AS uuid[])) AND household_id = ANY(CAST(:household_ids AS uuid[]))
      AND status NOT IN ('cancelled', 'refused')
""")
FIND_RULES = text("""
    SELECT slot_id, rule.rule_id, rule.orders, rule.units,
           (starts_at AT TIME ZONE CAST(:time_zone AS text))::date AS day
    FROM slots CROSS JOIN LATERAL (
        SELECT rule_id, orders, units FROM quota_rules
        WHERE zone_id = slots.zone_id AND valid_from <= :now AND (valid_to IS NULL OR :now < valid_to)
        ORDER BY valid_from DESC, rule_id LIMIT 1
    ) AS rule
    WHERE slot_id = ANY(CAST(:slot_ids AS uuid[]))
""")
# In key order: of two that make the same rows the second waits for the first, never both.
MAKE_QUOTAS = text("""
    INSERT INTO household_quotas (household_id, rule_id, day, limit_orders, limit_units)
    SELECT * FROM unnest(
        CAST(:household_ids AS uuid[]), CAST(:rule_ids AS uuid[]), CAST(:days AS date[]),
        CAST(:orders AS integer[]), CAST(:units AS integer[])
    ) AS given (household_id, rule_id, day, orders, units)
    ORDER BY household_id, rule_id, day ON CONFLICT DO NOTHING
""")
LOCK_QUOTAS = text("""
    SELECT quota.* FROM household_quotas AS quota
    JOIN unnest(CAST(:household_ids AS uuid[]), CAST(:rule_ids AS uuid[]), CAST(:days AS date[]))
      AS asked (household_id, rule_id, day) USING (household_id, rule_id, day)
    ORDER BY household_id, rule_id, day FOR UPDATE OF quota
""")
TAKE_QUOTAS = text("""
    UPDATE household_quotas AS quota SET orders = given.orders, units = given.units
    FROM unnest(
        CAST(:household_ids AS uuid[]), CAST(:rule_ids AS uuid[]), CAST(:days AS date[]),
        CAST(:orders AS integer[]), CAST(:units AS integer[])
    ) AS given (household_id, rule_id, day, orders, units)
    WHERE quota.household_id = given.household_id AND quota.rule_id = given.rule_id
      AND quota.day = given.day
""")
SLOTS = """
    SELECT slot.slot_id, slot.zone_id, slot.incident_id, slot.cut_off_at, slot.capacity, slot.taken,
           slot.status = 'open' AND zone.status = 'open' AS is_open,
           -- Whoever waited for the slot sees what became of it, but not yet of its zone.
           zone.status = 'closed' OR slot.status = 'closed' AND slot.told_at IS NULL AS is_zone_closed,
           ARRAY(SELECT community_id FROM zone_communities WHERE zone_id = slot.zone_id) AS community_ids
    FROM slots AS slot JOIN zones AS zone USING (zone_id)
"""
LOCK_SLOTS = text(f"""{SLOTS}
    WHERE slot_id = ANY(CAST(:slot_ids AS uuid[])) ORDER BY slot_id FOR UPDATE OF slot
""")
LIST_SIBLINGS = text(f"""{SLOTS}
    WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) AND NOT slot_id = ANY(CAST(:slot_ids AS uuid[]))
""")
TAKE_SLOTS = text("""
    UPDATE slots AS slot SET taken = given.taken
    FROM unnest(CAST(:slot_ids AS uuid[]), CAST(:taken AS integer[])) AS given (slot_id, taken)
    WHERE slot.slot_id = given.slot_id
""")
INSERT = text("""
    INSERT INTO orders (order_id, household_id, building_id, community_id, zone_id, incident_id, slot_id,
                        group_id, channel, client, external_id, rule_id, day, units, lines, status, placed_at,
                        decide_by, sequence)
    SELECT order_id, household_id, building_id, community_id, zone_id, incident_id, slot_id, group_id,
           channel, client, external_id, rule_id, day, units, lines::jsonb, 'placed', :now,
           CASE WHEN group_id IS NULL THEN CAST(:decide_by AS timestamptz) END,
           CASE WHEN group_id IS NULL THEN 1 ELSE 0 END
    FROM unnest(
        CAST(:order_ids AS uuid[]), CAST(:household_ids AS uuid[]), CAST(:building_ids AS uuid[]),
        CAST(:community_ids AS uuid[]), CAST(:zone_ids AS uuid[]), CAST(:incident_ids AS uuid[]),
        CAST(:slot_ids AS uuid[]), CAST(:group_ids AS uuid[]), CAST(:channels AS text[]),
        CAST(:clients AS text[]), CAST(:external_ids AS text[]), CAST(:rule_ids AS uuid[]),
        CAST(:days AS date[]), CAST(:units AS integer[]), CAST(:lines AS text[])
    ) AS given (order_id, household_id, building_id, community_id, zone_id, incident_id, slot_id, group_id,
                channel, client, external_id, rule_id, day, units, lines)
""")


@dataclass(frozen=True, slots=True)
class Policy:
    """The clock's rules in force: when an order must be decided, and when that is put off."""

    decide_within: timedelta
    put_off: timedelta
    stalled_after: timedelta
    # Whose days are the days of quotas.
    time_zone: str


async def get_policy(session: AsyncSession, now: datetime) -> Policy:
    """Return the policy in force."""
    row = (await session.execute(FIND_POLICY, {"now": now})).one()
    return Policy(
        decide_within=timedelta(seconds=row.decide_within_seconds),
        put_off=timedelta(seconds=row.put_off_seconds),
        stalled_after=timedelta(seconds=row.stalled_after_seconds),
        time_zone=row.time_zone,
    )


async def lock_windows(session: AsyncSession, group_ids: Iterable[UUID]) -> Mapping[UUID, GroupWindow]:
    """Return what groups say of their parts; they change no more before this transaction ends."""
    found = await session.execute(LOCK_WINDOWS, {"group_ids": sorted(set(group_ids))})
    return {
        row.group_id: GroupWindow(
            group_id=row.group_id,
            community_id=row.community_id,
            slot_id=row.slot_id,
            cut_off_at=row.cut_off_at,
            is_open=row.status == "open",
        )
        for row in found
    }


async def find_members(
    session: AsyncSession, group_ids: Iterable[UUID], household_ids: Iterable[UUID]
) -> set[tuple[UUID, UUID]]:
    """Return which of the households have a living part in which of the groups."""
    asked = {"group_ids": sorted(group_ids), "household_ids": sorted(set(household_ids))}
    return {(row.group_id, row.household_id) for row in await session.execute(FIND_MEMBERS, asked)}


async def find_rules(
    session: AsyncSession, slot_ids: Iterable[UUID], *, policy: Policy, now: datetime
) -> Mapping[UUID, Rule]:
    """Return, for each slot, the quota rule in force in its zone."""
    asked = {"slot_ids": sorted(slot_ids), "now": now, "time_zone": policy.time_zone}
    return {
        row.slot_id: Rule(row.rule_id, row.day, Quota(row.orders, row.units))
        for row in await session.execute(FIND_RULES, asked)
    }


async def make_quotas(session: AsyncSession, quotas: Mapping[QuotaKey, Quota]) -> None:
    """Make the quotas that households do not have yet."""
    await session.execute(
        MAKE_QUOTAS,
        {
            **_columns(quotas),
            "orders": [quota.limit_orders for quota in quotas.values()],
            "units": [quota.limit_units for quota in quotas.values()],
        },
    )


async def lock_quotas(session: AsyncSession, keys: Collection[QuotaKey]) -> Mapping[QuotaKey, Quota]:
    """Lock quotas in key order and return them."""
    found = await session.execute(LOCK_QUOTAS, _columns(keys))
    return {
        QuotaKey(row.household_id, row.rule_id, row.day): Quota(
            row.limit_orders, row.limit_units, row.orders, row.units
        )
        for row in found
    }


async def write_quotas(session: AsyncSession, quotas: Mapping[QuotaKey, Quota]) -> None:
    """Write what is used of quotas that this transaction has locked."""
    await session.execute(
        TAKE_QUOTAS,
        {
            **_columns(quotas),
            "orders": [quota.orders for quota in quotas.values()],
            "units": [quota.units for quota in quotas.values()],
        },
    )


async def lock_slots(
    session: AsyncSession, slot_ids: Iterable[UUID], rules: Mapping[UUID, Rule]
) -> dict[UUID, Slot]:
    """Lock slots in key order and return them, each with the rule of its zone."""
    found = await session.execute(LOCK_SLOTS, {"slot_ids": sorted(slot_ids)})
    return {row.slot_id: _slot_of(row, rules) for row in found}


async def list_siblings(session: AsyncSession, slots: Mapping[UUID, Slot]) -> dict[UUID, Slot]:
    """Return the other slots of the zones of these, unlocked: good enough to name one that has room."""
    asked = {"slot_ids": list(slots), "zone_ids": list({slot.zone_id for slot in slots.values()})}
    return {row.slot_id: _slot_of(row, {}) for row in await session.execute(LIST_SIBLINGS, asked)}


async def write_slots(session: AsyncSession, slots: Iterable[Slot]) -> None:
    """Write what is taken of slots that this transaction has locked; the hottest rows, so they come last."""
    rows = list(slots)
    given = {"slot_ids": [slot.slot_id for slot in rows], "taken": [slot.taken for slot in rows]}
    await session.execute(TAKE_SLOTS, given)


async def insert_orders(
    session: AsyncSession, accepted: Sequence[Accepted], *, now: datetime, decide_by: datetime
) -> None:
    """Write accepted orders; a group's part waits for the group's decision, not for the clock of its own."""
    orders: list[NewOrder] = [each.order for each in accepted]
    await session.execute(
        INSERT,
        {
            "now": now,
            "decide_by": decide_by,
            "order_ids": [order.order_id for order in orders],
            "household_ids": [order.household_id for order in orders],
            "building_ids": [each.home.building_id for each in accepted],
            "community_ids": [each.home.community_id for each in accepted],
            "zone_ids": [each.slot.zone_id for each in accepted],
            "incident_ids": [each.slot.incident_id for each in accepted],
            "slot_ids": [each.slot.slot_id for each in accepted],
            "group_ids": [order.group_id for order in orders],
            "channels": [order.channel for order in orders],
            "clients": [order.client for order in orders],
            "external_ids": [order.external_id for order in orders],
            "rule_ids": [each.quota_key.rule_id for each in accepted],
            "days": [each.quota_key.day for each in accepted],
            "units": [order.units for order in orders],
            "lines": [WANTED.dump_json(order.lines).decode() for order in orders],
        },
    )


def _columns(keys: Iterable[QuotaKey]) -> dict[str, list[Any]]:
    ordered = list(keys)
    return {
        "household_ids": [key.household_id for key in ordered],
        "rule_ids": [key.rule_id for key in ordered],
        "days": [key.day for key in ordered],
    }


def _slot_of(row: Row[Any], rules: Mapping[UUID, Rule]) -> Slot:
    return Slot(
        slot_id=row.slot_id,
        zone_id=row.zone_id,
        incident_id=row.incident_id,
        rule=rules.get(row.slot_id),
        community_ids=frozenset(row.community_ids),
        cut_off_at=row.cut_off_at,
        capacity=row.capacity,
        taken=row.taken,
        is_open=row.is_open,
        is_zone_closed=row.is_zone_closed,
    )
