"""Every statement about products."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.catalog.products.domain import Product, WantedProduct
from services.catalog.products.tables import ProductRow

COLUMNS = "product_id, external_id, name, unit_name, category, gtin, variety, grade"

# Imports are few and whole; two at once would meet in the unique indexes, so the second waits (1 s at most).
LOCK = text("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE")
FIND_NAMED = text(f"""
    SELECT {COLUMNS}, client FROM products
    WHERE client = :client AND external_id = ANY(CAST(:external_ids AS text[]))
       OR gtin = ANY(CAST(:gtins AS text[]))
       OR variety = ANY(CAST(:varieties AS text[]))
""")  # noqa: S608 - the columns are ours
WRITE = text(f"""
    INSERT INTO products ({COLUMNS}, client, category_since)
    SELECT {COLUMNS}, :client, CAST(:now AS timestamptz)
    FROM unnest(
        CAST(:product_id AS uuid[]), CAST(:external_id AS text[]), CAST(:name AS text[]),
        CAST(:unit_name AS text[]), CAST(:category AS text[]), CAST(:gtin AS text[]),
        CAST(:variety AS text[]), CAST(:grade AS text[])
    ) AS row ({COLUMNS})
    ON CONFLICT (product_id) DO UPDATE SET
        name = excluded.name, unit_name = excluded.unit_name, gtin = excluded.gtin,
        variety = excluded.variety, grade = excluded.grade, category = excluded.category,
        category_since = CASE WHEN products.category = excluded.category THEN products.category_since
                              ELSE excluded.category_since END
""")  # noqa: S608 - the columns are ours
FIND_CATEGORIES = text("""
    SELECT product_id, category FROM products WHERE product_id = ANY(CAST(:product_ids AS uuid[]))
""")


async def lock_products(session: AsyncSession) -> None:
    """Let no other import write until this transaction ends."""
    await session.execute(LOCK)


async def find_named(
    session: AsyncSession, wanted: Sequence[WantedProduct], *, client: str
) -> tuple[list[Product], list[Product]]:
    """Return the client's products named in `wanted`, and all others that share a GTIN or variety with it."""
    rows = await session.execute(
        FIND_NAMED,
        {
            "client": client,
            "external_ids": [one.external_id for one in wanted],
            "gtins": [one.gtin.zfill(14) for one in wanted if one.gtin],
            "varieties": [one.variety for one in wanted if one.variety],
        },
    )
    named = {one.external_id for one in wanted}
    own: list[Product] = []
    others: list[Product] = []
    for row in rows.mappings():
        product = Product(**{name: value for name, value in row.items() if name != "client"})
        (own if row["client"] == client and product.external_id in named else others).append(product)
    return own, others


async def write(session: AsyncSession, products: Sequence[Product], *, client: str, now: datetime) -> None:
    """Insert or replace `products`, each once."""
    if not products:
        return
    rows = [asdict(product) for product in products]
    columns: dict[str, object] = {name: [row[name] for row in rows] for name in rows[0]}
    await session.execute(WRITE, {**columns, "client": client, "now": now})


async def list_products(
    session: AsyncSession, *, after: UUID | None, limit: int, category: str | None
) -> Sequence[ProductRow]:
    """Return up to `limit` products in the order of their making."""
    asked = select(ProductRow).order_by(col(ProductRow.product_id)).limit(limit)
    if after:
        asked = asked.where(col(ProductRow.product_id) > after)
    if category is not None:
        asked = asked.where(col(ProductRow.category) == category)
    return (await session.execute(asked)).scalars().all()


async def find_categories(session: AsyncSession, product_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the category of each product that there is."""
    rows = await session.execute(FIND_CATEGORIES, {"product_ids": list(product_ids)})
    return {row.product_id: row.category for row in rows}
