"""Orders by their clients' own names for them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.values import WantedLine
from services.orders.intake.acceptance import WANTED

FIND_NAMED = text("""
    SELECT client, external_id, order_id, household_id, slot_id, group_id, status, lines::text AS lines
    FROM orders
    JOIN unnest(CAST(:clients AS text[]), CAST(:names AS text[])) AS asked (client, external_id)
      USING (client, external_id)
""")


class Name(NamedTuple):
    """A client's own name for an order."""

    client: str
    external_id: str


@dataclass(frozen=True, slots=True)
class Named:
    """The order that a client has given a name before."""

    order_id: UUID
    household_id: UUID
    slot_id: UUID
    group_id: UUID | None
    status: str
    lines: tuple[WantedLine, ...]


async def find_named(session: AsyncSession, names: Collection[Name]) -> Mapping[Name, Named]:
    """Return the orders that clients have named so before."""
    asked = {"clients": [name.client for name in names], "names": [name.external_id for name in names]}
    return {
        Name(row.client, row.external_id): Named(
            order_id=row.order_id,
            household_id=row.household_id,
            slot_id=row.slot_id,
            group_id=row.group_id,
            status=row.status,
            lines=WANTED.validate_json(row.lines),
        )
        for row in await session.execute(FIND_NAMED, asked)
    }
