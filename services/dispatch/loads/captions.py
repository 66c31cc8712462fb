"""SQL of labels: what is known of load units for whoever handles them, in the order of packing."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.orders import Form
from services.dispatch.loads.label import Caption

# Crates, then door by door, buildings by the first number in their names. A household's bag of a bulk load
# is counted among those of its portion that hold something.
FIND = text("""
    WITH known AS (
        SELECT load_unit_id, loads.load_id, loads.zone_id, loads.community_id, loads.outlet_id, form, pieces,
               withdrawn_at, load_units.portion_id, load_units.number, load_units.grams, lines,
               portions.building_id, coalesce(areas.title, communities.title, '') AS community,
               coalesce(buildings.title, '') AS building,
               form = 'bulk' AND load_units.portion_id IS NOT NULL AS is_portioned,
               form = 'bagged' OR jsonb_array_length(lines) > 0 AS is_filled
        FROM loads JOIN load_units USING (load_id)
        LEFT JOIN portions ON portions.portion_id = load_units.portion_id
        LEFT JOIN communities USING (zone_id, community_id)
        LEFT JOIN areas ON areas.area_id = loads.community_id
        LEFT JOIN areas AS buildings ON buildings.area_id = portions.building_id
        WHERE (CAST(:load_id AS uuid) IS NULL OR loads.load_id = :load_id)
          AND (CAST(:slot_id AS uuid) IS NULL OR loads.slot_id = :slot_id)
          AND (CAST(:outlet_id AS uuid) IS NULL OR loads.outlet_id = :outlet_id)
    ), placed AS (
        SELECT *,
               count(*) FILTER (WHERE is_filled) OVER (PARTITION BY portion_id ORDER BY number) AS nth,
               count(*) FILTER (WHERE is_filled) OVER (PARTITION BY portion_id) AS bags,
               row_number() OVER (
                   ORDER BY community, community_id, building_id IS NOT NULL,
                       CAST(substring(building FROM '[0-9]+') AS numeric), building, building_id,
                       load_id, number
               ) AS place
        FROM known
    )
    SELECT *, (
        SELECT title FROM outlets WHERE outlets.outlet_id = placed.outlet_id
        ORDER BY is_assigned DESC, zone_id LIMIT 1
    ) AS outlet
    FROM placed
    WHERE (CAST(:load_unit_id AS uuid) IS NULL OR load_unit_id = :load_unit_id)
      AND (is_filled OR load_unit_id = :load_unit_id)
      AND (withdrawn_at IS NULL OR CAST(:slot_id AS uuid) IS NULL)
      AND is_portioned = ANY(CAST(:portioned AS boolean[]))
      AND (CAST(:zone_ids AS uuid[]) IS NULL OR zone_id = ANY(CAST(:zone_ids AS uuid[])))
      AND (CAST(:after AS uuid) IS NULL
           OR place > (SELECT place FROM placed WHERE load_unit_id = :after))
    ORDER BY place LIMIT :limit
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Whose labels are wanted: of a load, one unit of it, or what an outlet packs for a slot.

    `portioned` says whether households' bags of bulk loads are among them (True), and whether all else is
    (False). Of a slot, what was withdrawn is left out.
    """

    load_id: UUID | None = None
    load_unit_id: UUID | None = None
    slot_id: UUID | None = None
    outlet_id: UUID | None = None
    zone_ids: tuple[UUID, ...] | None = None
    portioned: tuple[bool, ...] = (False,)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of what is wanted: so many, after a unit; after one that is not among it there are none."""

    limit: int
    after: UUID | None = None


async def find(session: AsyncSession, wanted: Wanted, part: Part) -> Sequence[Caption]:
    """Return a part of what the wanted labels say, in order."""
    rows = await session.execute(FIND, {**asdict(wanted), **asdict(part)})
    return [_caption_of(row) for row in rows]


def _caption_of(row: Row[Any]) -> Caption:
    return Caption(
        load_unit_id=row.load_unit_id,
        form=Form(row.form),
        community=row.community,
        building=row.building,
        outlet=row.outlet or "",
        number=row.nth if row.is_portioned else row.number,
        pieces=row.bags if row.is_portioned else row.pieces,
        grams=row.grams,
        portion_id=row.portion_id,
        contents=[(line["name"], line["quantity"]) for line in row.lines],
    )
