"""Every statement about offers; rows are locked in the order of their ids."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.prices.domain import Deal
from services.catalog.prices.scopes import Asked, Judged, Target
from services.catalog.stock.offers.domain import Listing, Offer

LOCK_OF_OUTLET = text("""
    SELECT * FROM offers WHERE outlet_id = :outlet_id AND plu = ANY(CAST(:plus AS text[]))
    ORDER BY offer_id FOR NO KEY UPDATE
""")
DEALS = text("""
    SELECT offer_id, sold_on, sale_fen, purchase_fen, recorded_at, vouched_by IS NOT NULL AS is_vouched
    FROM offer_deals
    WHERE offer_id = ANY(CAST(:offer_ids AS uuid[]))
""")
ZONES_OF = text("""
    SELECT outlet_id, zone_id FROM assignments
    WHERE outlet_id = ANY(CAST(:outlet_ids AS uuid[])) AND status = 'accepted'
""")
WRITE = text("""
    INSERT INTO offers (
        offer_id, outlet_id, plu, product_id, name, grams, purchase_fen, price_fen, cap_fen, is_blocked,
        judged_epoch, judged_at, judged_until, judged_category, judged_kind, judged_zones
    )
    SELECT offer_id, outlet_id, plu, product_id, name, grams, purchase_fen, price_fen, cap_fen, is_blocked,
           epoch, :now, until, category, :kind, CAST(:zones AS uuid[])
    FROM unnest(
        CAST(:offer_id AS uuid[]), CAST(:outlet_id AS uuid[]), CAST(:plu AS text[]),
        CAST(:product_id AS uuid[]), CAST(:name AS text[]), CAST(:grams AS integer[]),
        CAST(:purchase_fen AS integer[]), CAST(:price_fen AS integer[]), CAST(:cap_fen AS bigint[]),
        CAST(:is_blocked AS boolean[]), CAST(:epoch AS bigint[]), CAST(:until AS date[]),
        CAST(:category AS text[])
    ) AS row (offer_id, outlet_id, plu, product_id, name, grams, purchase_fen, price_fen, cap_fen,
              is_blocked, epoch, until, category)
    ORDER BY offer_id
    ON CONFLICT (offer_id) DO UPDATE SET
        product_id = excluded.product_id, name = excluded.name, grams = excluded.grams,
        purchase_fen = excluded.purchase_fen, price_fen = excluded.price_fen, cap_fen = excluded.cap_fen,
        is_blocked = excluded.is_blocked, judged_epoch = excluded.judged_epoch,
        judged_at = excluded.judged_at, judged_until = excluded.judged_until,
        judged_category = excluded.judged_category, judged_kind = excluded.judged_kind,
        judged_zones = excluded.judged_zones
""")
WRITE_DEALS = text("""
    INSERT INTO offer_deals (offer_id, sold_on, sale_fen, purchase_fen, recorded_at, vouched_by)
    SELECT offer_id, sold_on, sale_fen, purchase_fen, :now, :vouched_by
    FROM unnest(
        CAST(:offer_ids AS uuid[]), CAST(:days AS date[]), CAST(:sales AS integer[]),
        CAST(:purchases AS integer[])
    ) AS row (offer_id, sold_on, sale_fen, purchase_fen)
    ON CONFLICT (offer_id, sold_on, sale_fen, purchase_fen) DO UPDATE SET vouched_by = excluded.vouched_by
    WHERE offer_deals.vouched_by IS NULL AND excluded.vouched_by IS NOT NULL
""")
OPEN_STOCK = text("""
    INSERT INTO stock (offer_id) SELECT unnest(CAST(:offer_ids AS uuid[])) ON CONFLICT DO NOTHING
""")
# Each arm has its index; what changed longer ago than a day is judged when it is next sold.
FIND_STALE = text("""
    SELECT offer_id FROM (
        (SELECT offer_id FROM offers WHERE judged_epoch < :epoch ORDER BY judged_epoch, offer_id LIMIT :limit)
        UNION
        (SELECT offer_id FROM offers WHERE judged_until <= :day LIMIT :limit)
        UNION
        (SELECT offer_id FROM products JOIN offers USING (product_id)
         WHERE category_since > CAST(:now AS timestamptz) - interval '1 day' AND category <> judged_category
         LIMIT :limit)
        UNION
        (SELECT offer_id FROM assignments JOIN offers USING (outlet_id)
         WHERE status = 'accepted' AND answered_at > CAST(:now AS timestamptz) - interval '1 day'
           AND NOT zone_id = ANY(judged_zones)
         LIMIT :limit)
    ) AS stale
    LIMIT :limit
""")
LOCK_TO_JUDGE = text("""
    SELECT offers.*, products.category, outlets.kind AS outlet_kind
    FROM offers JOIN products USING (product_id) JOIN outlets USING (outlet_id)
    WHERE offer_id = ANY(CAST(:offer_ids AS uuid[]))
    ORDER BY offer_id FOR NO KEY UPDATE OF offers
""")
WRITE_JUDGED = text("""
    UPDATE offers SET
        cap_fen = row.cap_fen, is_blocked = row.is_blocked, judged_epoch = row.epoch, judged_at = :now,
        judged_until = row.until, judged_category = row.category, judged_kind = row.kind,
        judged_zones = coalesce(
            (SELECT array_agg(DISTINCT zone_id) FROM assignments
             WHERE assignments.outlet_id = offers.outlet_id AND status = 'accepted'),
            CAST('{}' AS uuid[])
        )
    FROM unnest(
        CAST(:offer_id AS uuid[]), CAST(:cap_fen AS bigint[]), CAST(:is_blocked AS boolean[]),
        CAST(:epoch AS bigint[]), CAST(:until AS date[]), CAST(:category AS text[]), CAST(:kind AS text[])
    ) AS row (offer_id, cap_fen, is_blocked, epoch, until, category, kind)
    WHERE offers.offer_id = row.offer_id
""")
LIST = text("""
    SELECT offers.*, on_hand, reserved, counted_at FROM offers JOIN stock USING (offer_id)
    WHERE outlet_id = :outlet_id AND (CAST(:after AS uuid) IS NULL OR offer_id > CAST(:after AS uuid))
    ORDER BY offer_id LIMIT :limit
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An offer as it is written, with the judgement that it stands under."""

    offer: Offer
    judged: Judged
    category: str


async def lock_of_outlet(session: AsyncSession, outlet_id: UUID, plus: Sequence[str]) -> dict[str, Offer]:
    """Lock an outlet's offers of these PLUs and return them, each with every deal stated of it."""
    rows = await session.execute(LOCK_OF_OUTLET, {"outlet_id": outlet_id, "plus": list(plus)})
    found = rows.mappings().all()
    deals = await _find_deals(session, [row["offer_id"] for row in found])
    return {
        row["plu"]: Offer(
            offer_id=row["offer_id"],
            listing=_read_listing(row, deals[row["offer_id"]]),
            is_blocked=row["is_blocked"],
        )
        for row in found
    }


async def find_zones(session: AsyncSession, outlet_ids: Iterable[UUID]) -> Mapping[UUID, frozenset[UUID]]:
    """Return the zones that each outlet supplies."""
    zones: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for row in await session.execute(ZONES_OF, {"outlet_ids": sorted(set(outlet_ids))}):
        zones[row.outlet_id].add(row.zone_id)
    return defaultdict(frozenset, {outlet_id: frozenset(found) for outlet_id, found in zones.items()})


async def write(  # noqa: PLR0913 - what the rows of one outlet share
    session: AsyncSession,
    offers: Sequence[Written],
    *,
    outlet_id: UUID,
    kind: str,
    zones: Iterable[UUID],
    now: datetime,
) -> None:
    """Insert or replace an outlet's offers, keep their deals and give each new one an empty shelf."""
    if not offers:
        return
    columns: dict[str, Any] = {
        name: [getattr(one.offer.listing, name) for one in offers]
        for name in ("plu", "product_id", "name", "grams", "purchase_fen", "price_fen")
    }
    columns |= _judged_columns(offers) | {"outlet_id": [outlet_id] * len(offers)}
    await session.execute(WRITE, {**columns, "kind": kind, "zones": sorted(zones), "now": now})
    deals = {(one.offer.offer_id, deal) for one in offers for deal in one.offer.listing.deals}
    await write_deals(session, deals, vouched_by=None, now=now)
    await session.execute(OPEN_STOCK, {"offer_ids": sorted(columns["offer_id"])})


async def write_deals(
    session: AsyncSession, deals: Collection[tuple[UUID, Deal]], *, vouched_by: str | None, now: datetime
) -> None:
    """Keep deals of offers; one that is known stays as it was recorded, and gains who vouches for it."""
    await session.execute(
        WRITE_DEALS,
        {
            "offer_ids": [offer_id for offer_id, _ in deals],
            "days": [deal.sold_on for _, deal in deals],
            "sales": [deal.sale_fen for _, deal in deals],
            "purchases": [deal.purchase_fen for _, deal in deals],
            "vouched_by": vouched_by,
            "now": now,
        },
    )


async def find_stale(
    session: AsyncSession, *, epoch: int, day: date, limit: int, now: datetime
) -> list[UUID]:
    """Return up to `limit` offers that were judged under what does not bind any more."""
    asked = {"epoch": epoch, "day": day, "limit": limit, "now": now}
    return list((await session.execute(FIND_STALE, asked)).scalars())


async def lock_to_judge(session: AsyncSession, offer_ids: Sequence[UUID]) -> list[tuple[Offer, Asked]]:
    """Lock offers in the order of their ids, each with what is to be judged of it."""
    rows = (await session.execute(LOCK_TO_JUDGE, {"offer_ids": list(offer_ids)})).mappings().all()
    deals = await _find_deals(session, [row["offer_id"] for row in rows])
    zones = await find_zones(session, (row["outlet_id"] for row in rows))
    found = []
    for row in rows:
        listing = _read_listing(row, deals[row["offer_id"]])
        target = Target(
            product_id=row["product_id"],
            category=row["category"],
            outlet_kind=row["outlet_kind"],
            zone_ids=zones[row["outlet_id"]],
        )
        offer = Offer(offer_id=row["offer_id"], listing=listing, is_blocked=row["is_blocked"])
        asked = Asked(
            offer_id=row["offer_id"],
            outlet_id=row["outlet_id"],
            plu=row["plu"],
            target=target,
            item=listing.item,
            price_fen=listing.price_fen,
        )
        found.append((offer, asked))
    return found


async def write_judged(
    session: AsyncSession, judged: Sequence[tuple[Asked, Judged]], *, now: datetime
) -> None:
    """Write what a new judgement makes of offers that are locked."""
    await session.execute(
        WRITE_JUDGED,
        {
            "offer_id": [asked.offer_id for asked, _ in judged],
            "cap_fen": [made.cap_fen for _, made in judged],
            "is_blocked": [not made.decision.is_allowed for _, made in judged],
            "epoch": [made.epoch for _, made in judged],
            "until": [made.until for _, made in judged],
            "category": [asked.target.category for asked, _ in judged],
            "kind": [asked.target.outlet_kind for asked, _ in judged],
            "now": now,
        },
    )


async def list_offers(
    session: AsyncSession, outlet_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[RowMapping]:
    """Return up to `limit` offers of an outlet with their shelves, oldest first."""
    asked = {"outlet_id": outlet_id, "after": after, "limit": limit}
    return (await session.execute(LIST, asked)).mappings().all()


async def _find_deals(session: AsyncSession, offer_ids: Sequence[UUID]) -> Mapping[UUID, tuple[Deal, ...]]:
    deals: defaultdict[UUID, tuple[Deal, ...]] = defaultdict(tuple)
    for row in await session.execute(DEALS, {"offer_ids": list(offer_ids)}):
        deals[row.offer_id] += (Deal(*row[1:]),)
    return deals


def _read_listing(row: RowMapping, deals: tuple[Deal, ...]) -> Listing:
    named = ("plu", "product_id", "name", "grams", "purchase_fen", "price_fen")
    return Listing(**{name: row[name] for name in named}, deals=deals)


def _judged_columns(offers: Sequence[Written]) -> dict[str, Any]:
    return {
        "offer_id": [one.offer.offer_id for one in offers],
        "cap_fen": [one.judged.cap_fen for one in offers],
        "is_blocked": [one.offer.is_blocked for one in offers],
        "epoch": [one.judged.epoch for one in offers],
        "until": [one.judged.until for one in offers],
        "category": [one.category for one in offers],
    }
