"""The statement behind a menu."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.menu.domain import MenuLine

# The highest price, so that whichever outlet gives can only be cheaper; the least grams, so that none gives
# less; the cap is that of the offer whose price is shown.
LINES = text("""
    SELECT products.product_id, products.name, products.unit_name, products.category,
           min(offers.grams) AS grams, max(offers.price_fen) AS price_fen,
           (array_agg(offers.cap_fen ORDER BY offers.price_fen DESC, offers.cap_fen NULLS LAST))[1]
               AS cap_fen,
           sum(greatest(0, stock.on_hand - stock.reserved)) AS available
    FROM (
        SELECT DISTINCT outlet_id FROM assignments WHERE zone_id = :zone_id AND status = 'accepted'
    ) AS supplying
    JOIN offers USING (outlet_id) JOIN products USING (product_id) JOIN stock USING (offer_id)
    WHERE NOT offers.is_blocked
    GROUP BY products.product_id
    ORDER BY products.category, products.name, products.product_id
""")


async def list_lines(session: AsyncSession, zone_id: UUID) -> tuple[MenuLine, ...]:
    """Return what a zone can order now; what is blocked is not among it."""
    rows = await session.execute(LINES, {"zone_id": zone_id})
    return tuple(MenuLine(**{**row, "available": int(row["available"])}) for row in rows.mappings())
