"""What can be asked of products. Callers own the transaction."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.products import domain, queries
from services.catalog.products.domain import Imported, WantedProduct
from services.kit.ids import new_id

WRITTEN = (domain.Outcome.CREATED, domain.Outcome.UPDATED)


async def import_products(
    session: AsyncSession, wanted: Sequence[WantedProduct], *, client: str, now: datetime
) -> list[Imported]:
    """Create or change products by the client's external ids; one that is refused leaves the others alone."""
    await queries.lock_products(session)
    own, others = await queries.find_named(session, wanted, client=client)
    outcomes = domain.take_in(wanted, own=own, others=others, new_ids=[new_id() for _ in wanted])
    # Of one named twice in a batch the last word is written.
    written = {
        outcome.product.product_id: outcome.product
        for outcome in outcomes
        if outcome.product and outcome.outcome in WRITTEN
    }
    await queries.write(session, list(written.values()), client=client, now=now)
    return outcomes
