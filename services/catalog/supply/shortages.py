"""What zones turned out to be short of; whoever refuses for it leaves a row here, and supply asks at once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.supply.domain import Short
from services.contracts.values import OutletKind

log = structlog.get_logger()

SHORTAGES: Final = Counter(
    "supply_shortages_total",
    "Households that got nothing, or less, by kind of outlet and reason",
    ["kind", "code"],
)
OUT_OF_STOCK: Final = "catalog.out_of_stock"

# Who is refused again and again is short once: a need is not raised by trying.
NOTE = text("""
    INSERT INTO shortages (zone_id, kind, wanted_by, code, orders)
    SELECT * FROM unnest(
        CAST(:zone_ids AS uuid[]), CAST(:kinds AS text[]), CAST(:wanted_by AS uuid[]),
        CAST(:codes AS text[]), CAST(:orders AS integer[])
    )
    ON CONFLICT DO NOTHING
""")
SEE = text("""
    WITH seen AS (
        UPDATE shortages SET is_seen = true WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) AND NOT is_seen
        RETURNING zone_id, kind, code, orders
    )
    SELECT zone_id, kind, code, sum(orders) AS orders FROM seen GROUP BY zone_id, kind, code
    ORDER BY zone_id, kind, code
""")
# A kind needs what was promised of it and did not do, and what was short beside.
RAISE_NEEDS = text("""
    UPDATE zone_needs SET needed_orders = greatest(needed_orders, short.orders + found.orders)
    FROM (
        SELECT zone_id, kind, sum(orders) AS orders FROM shortages
        WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) GROUP BY zone_id, kind
    ) AS short CROSS JOIN LATERAL (
        SELECT coalesce(sum(accepted_orders), 0) AS orders FROM assignments
        WHERE (assignments.zone_id, assignments.kind) = (short.zone_id, short.kind) AND status = 'accepted'
    ) AS found
    WHERE (zone_needs.zone_id, zone_needs.kind) = (short.zone_id, short.kind)
""")
FIND = text("""
    SELECT zone_id, kind, sum(orders) AS orders,
           coalesce(sum(orders) FILTER (WHERE code = :dry), 0) AS of_stock
    FROM shortages WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) GROUP BY zone_id, kind
""")
SETTLE = text("DELETE FROM shortages WHERE (zone_id, kind) = (:zone_id, :kind) AND is_seen")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Shortage:
    """So many orders that outlets of a kind could not serve; by a household, or a group of them."""

    zone_id: UUID
    kind: OutletKind
    wanted_by: UUID
    code: str
    orders: int


async def note(session: AsyncSession, short: Collection[Shortage]) -> None:
    """Let supply know what was short; it asks as soon as this is committed."""
    if not short:
        return
    rows = sorted(short)
    await session.execute(
        NOTE,
        {
            "zone_ids": [one.zone_id for one in rows],
            "kinds": [one.kind for one in rows],
            "wanted_by": [one.wanted_by for one in rows],
            "codes": [one.code for one in rows],
            "orders": [one.orders for one in rows],
        },
    )


async def raise_needs(session: AsyncSession, zone_ids: Sequence[UUID]) -> None:
    """Count what was short of zones, whose rows the caller has locked, to what they need; say so once."""
    seen = (await session.execute(SEE, {"zone_ids": list(zone_ids)})).all()
    for row in seen:
        SHORTAGES.labels(row.kind, row.code).inc(row.orders)
        log.warning(
            "zone.short", zone_id=str(row.zone_id), kind=row.kind, code=row.code, orders=int(row.orders)
        )
    if seen:
        await session.execute(RAISE_NEEDS, {"zone_ids": sorted({row.zone_id for row in seen})})


async def find(session: AsyncSession, zone_ids: Iterable[UUID]) -> Mapping[UUID, Mapping[OutletKind, Short]]:
    """Return what zones are short of, until an outlet of the kind accepts."""
    found: dict[UUID, dict[OutletKind, Short]] = {zone_id: {} for zone_id in zone_ids}
    for row in await session.execute(FIND, {"zone_ids": list(found), "dry": OUT_OF_STOCK}):
        found[row.zone_id][OutletKind(row.kind)] = Short(orders=int(row.orders), of_stock=int(row.of_stock))
    return found


async def settle(session: AsyncSession, zone_id: UUID, kind: OutletKind) -> None:
    """Forget what an acceptance answers; whoever is short of the kind after it is short anew."""
    await session.execute(SETTLE, {"zone_id": zone_id, "kind": kind})
