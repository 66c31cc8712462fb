"""Every SELECT and lock of supply. Whoever changes a zone's assignments holds the zone's row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.values import OutletKind

OUTLETS_OF_ZONES = text("""
    SELECT zone_id, outlet_id, kind, rank, accepted_orders FROM assignments
    WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) AND status = 'accepted'
    ORDER BY zone_id, rank
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyingOutlet:
    """An outlet that accepted to supply a zone: so many orders a day; the lowest rank is asked first."""

    outlet_id: UUID
    kind: OutletKind
    rank: int
    capacity_orders: int


async def outlets_of_zone(
    session: AsyncSession, zone_ids: Iterable[UUID]
) -> Mapping[UUID, tuple[SupplyingOutlet, ...]]:
    """Return the outlets of each zone in rank order, also of a closed zone; none for an unknown one."""
    wanted = set(zone_ids)
    rows = await session.execute(OUTLETS_OF_ZONES, {"zone_ids": sorted(wanted)})
    found: dict[UUID, list[SupplyingOutlet]] = {zone_id: [] for zone_id in wanted}
    for row in rows:
        outlet = SupplyingOutlet(
            outlet_id=row.outlet_id,
            kind=OutletKind(row.kind),
            rank=row.rank,
            capacity_orders=row.accepted_orders,
        )
        found[row.zone_id].append(outlet)
    return {zone_id: tuple(outlets) for zone_id, outlets in found.items()}
