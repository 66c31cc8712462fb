"""The shelves and the picking of zones, read and locked: always picking before stock, each in key order."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.stock.holds.domain import Place, Shelf
from services.catalog.stock.holds.moves import OnHand
from services.kit import crash_points

FIND = text("""
    SELECT offer_id, outlet_id, product_id, offers.name, grams, price_fen, is_blocked, judged_zones,
           (judged_epoch < :epoch OR judged_until <= :day OR judged_category <> category
            OR judged_kind <> outlets.kind) IS TRUE AS is_stale
    FROM offers JOIN products USING (product_id) JOIN outlets USING (outlet_id)
    WHERE product_id = ANY(CAST(:product_ids AS uuid[])) AND outlet_id = ANY(CAST(:outlet_ids AS uuid[]))
    ORDER BY price_fen, offer_id
""")
# NO KEY: a commitment that refers to a shelf need not wait for who changes what is on it, nor he for it.
LOCK_STOCK = text("""
    SELECT offer_id, on_hand, reserved, counted_at FROM stock
    WHERE offer_id = ANY(CAST(:offer_ids AS uuid[])) ORDER BY offer_id FOR NO KEY UPDATE
""")
# The guard is the last line: nothing can be promised that is not free, whoever asks.
PROMISE = text("""
    UPDATE stock SET reserved = reserved + row.units
    FROM unnest(CAST(:offer_ids AS uuid[]), CAST(:units AS integer[])) AS row (offer_id, units)
    WHERE stock.offer_id = row.offer_id AND stock.on_hand - stock.reserved >= row.units
""")
GIVE_BACK = text("""
    UPDATE stock SET reserved = reserved - row.units
    FROM unnest(CAST(:offer_ids AS uuid[]), CAST(:units AS integer[])) AS row (offer_id, units)
    WHERE stock.offer_id = row.offer_id
""")
LEAVE = text("""
    UPDATE stock SET on_hand = on_hand - row.units
    FROM unnest(CAST(:offer_ids AS uuid[]), CAST(:units AS integer[])) AS row (offer_id, units)
    WHERE stock.offer_id = row.offer_id
""")
OPEN_PICKING = text("""
    INSERT INTO picking (zone_id, outlet_id, day)
    SELECT zone_id, outlet_id, day FROM unnest(
        CAST(:zone_ids AS uuid[]), CAST(:outlet_ids AS uuid[]), CAST(:days AS date[])
    ) AS row (zone_id, outlet_id, day)
    ORDER BY zone_id, outlet_id, day ON CONFLICT DO NOTHING
""")
LOCK_PICKING = text("""
    SELECT picking.* FROM picking JOIN unnest(
        CAST(:zone_ids AS uuid[]), CAST(:outlet_ids AS uuid[]), CAST(:days AS date[])
    ) AS row (zone_id, outlet_id, day) USING (zone_id, outlet_id, day)
    ORDER BY zone_id, outlet_id, day FOR NO KEY UPDATE OF picking
""")
WRITE_PICKING = text("""
    UPDATE picking SET taken = taken + row.orders
    FROM unnest(
        CAST(:zone_ids AS uuid[]), CAST(:outlet_ids AS uuid[]), CAST(:days AS date[]),
        CAST(:orders AS integer[])
    ) AS row (zone_id, outlet_id, day, orders)
    WHERE (picking.zone_id, picking.outlet_id, picking.day) = (row.zone_id, row.outlet_id, row.day)
""")


class Oversold(Exception):
    """More was to be promised than is free: the decision did not see what the database sees."""


async def find_offers(
    session: AsyncSession,
    *,
    product_ids: Iterable[UUID],
    outlet_ids: Iterable[UUID],
    epoch: int,
    day: date,
) -> Sequence[RowMapping]:
    """Return these outlets' offers of products, blocked ones too, the cheapest first."""
    asked = {
        "product_ids": sorted(set(product_ids)),
        "outlet_ids": sorted(set(outlet_ids)),
        "epoch": epoch,
        "day": day,
    }
    return (await session.execute(FIND, asked)).mappings().all()


async def lock_free(session: AsyncSession, offer_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Lock shelves and return the units of each that are not promised."""
    rows = await session.execute(LOCK_STOCK, {"offer_ids": sorted(set(offer_ids))})
    return {row.offer_id: max(0, row.on_hand - row.reserved) for row in rows}


async def lock_on_hand(session: AsyncSession, offer_ids: Iterable[UUID]) -> dict[UUID, OnHand]:
    """Lock shelves and return what is on them."""
    rows = await session.execute(LOCK_STOCK, {"offer_ids": sorted(set(offer_ids))})
    return {row.offer_id: OnHand(on_hand=row.on_hand, counted_at=row.counted_at) for row in rows}


async def promise(session: AsyncSession, units: Mapping[UUID, int]) -> None:
    """Promise units of shelves that are locked; raise `Oversold` where they are not free."""
    if units:
        done = await session.execute(PROMISE, _units(units))
        if getattr(done, "rowcount", -1) != len(units):
            raise Oversold
        await crash_points.reach("stock.changed")


async def give_back(session: AsyncSession, units: Mapping[UUID, int]) -> None:
    """Take back what was promised of shelves that are locked."""
    if units:
        await session.execute(GIVE_BACK, _units(units))
        await crash_points.reach("stock.changed")


async def leave(session: AsyncSession, units: Mapping[UUID, int]) -> None:
    """Take units off shelves that are locked."""
    if units:
        await session.execute(LEAVE, _units(units))


async def lock_picking(session: AsyncSession, places: Iterable[Place]) -> dict[Place, int]:
    """Lock what outlets pick for zones on days and return how many orders each has taken."""
    asked = _places(places)
    await session.execute(OPEN_PICKING, asked)
    rows = await session.execute(LOCK_PICKING, asked)
    return {(row.zone_id, row.outlet_id, row.day): row.taken for row in rows}


async def change_picking(session: AsyncSession, orders: Counter[Place]) -> None:
    """Add orders to what outlets pick, or take them back, locking in key order."""
    if not orders:
        return
    asked = _places(orders)
    await session.execute(LOCK_PICKING, asked)
    await session.execute(WRITE_PICKING, {**asked, "orders": [orders[place] for place in sorted(orders)]})


def shelves_by_outlet(offers: Iterable[RowMapping]) -> dict[tuple[UUID, UUID], tuple[Shelf, ...]]:
    """Return the sellable ones of `offers` by outlet and product, in the order given."""
    found: defaultdict[tuple[UUID, UUID], list[Shelf]] = defaultdict(list)
    for row in offers:
        if not row["is_blocked"]:
            shelf = Shelf(**{name: row[name] for name in Shelf.__slots__})
            found[shelf.outlet_id, shelf.product_id].append(shelf)
    return {key: tuple(shelves) for key, shelves in found.items()}


def _units(units: Mapping[UUID, int]) -> dict[str, Any]:
    return {"offer_ids": list(units), "units": list(units.values())}


def _places(places: Iterable[Place]) -> dict[str, Any]:
    ordered = sorted(places)
    return {
        "zone_ids": [zone_id for zone_id, _, _ in ordered],
        "outlet_ids": [outlet_id for _, outlet_id, _ in ordered],
        "days": [day for _, _, day in ordered],
    }
