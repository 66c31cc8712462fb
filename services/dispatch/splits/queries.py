"""SQL of splits: the load that is split, what was promised of it, what its bags hold."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.loads import contents
from services.dispatch.rows import to_json
from services.dispatch.splits.bags import Bags
from services.dispatch.splits.domain import Promise

FIND_LOAD = """
    SELECT loads.*, zones.zone_class, zones.former_class, zones.class_since, zones.path, manifests.rule,
           manifests.seed
    FROM loads LEFT JOIN zones USING (zone_id) LEFT JOIN manifests USING (group_id)
    WHERE load_id = :load_id
"""
# As weak a lock as a hand-over's: the one waits for the other.
LOCK_LOAD = text(f"{FIND_LOAD} FOR NO KEY UPDATE OF loads")
FIND = text("SELECT * FROM splits WHERE split_id = CAST(:split_id AS uuid) OR load_id = :load_id")
FIND_LOSSES = text("SELECT * FROM split_losses WHERE split_id = :split_id ORDER BY offer_id, reason")
FIND_BREACH = text("SELECT breach_id FROM breaches WHERE split_id = :split_id")
# What it is carried in up to the gate; its bags come to be there.
FIND_CRATES = text("SELECT load_unit_id FROM load_units WHERE load_id = :load_id AND portion_id IS NULL")
FIND_PORTIONS = text("""
    SELECT portions.*, manifest_parts.lines
    FROM portions JOIN manifest_parts USING (order_id)
    WHERE load_id = :load_id ORDER BY portions.building_id, portions.household_id, portion_id
""")
FIND_BAGS = text("""
    SELECT load_unit_id, portion_id, lines FROM load_units
    WHERE load_id = :load_id AND portion_id IS NOT NULL ORDER BY number
""")
INSERT = text("""
    INSERT INTO splits (split_id, load_id, steward_id, lat, lon, occurred_at, reckoned_at, clock_doubtful,
                        recorded_at, recorded_by, told, in_g, portions_g, loss_g, is_breach, is_degraded)
    VALUES (:split_id, :load_id, :steward_id, :lat, :lon, :occurred_at, :reckoned_at, :clock_doubtful,
            :recorded_at, :recorded_by, CAST(:told AS jsonb), :in_g, :portions_g, :loss_g, :is_breach,
            :is_degraded)
    ON CONFLICT DO NOTHING
    RETURNING split_id
""")
INSERT_LOSSES = text("""
    INSERT INTO split_losses (split_id, offer_id, product_id, reason, grams)
    SELECT :split_id, row.* FROM jsonb_to_recordset(CAST(:losses AS jsonb)) AS row (
        offer_id uuid, product_id uuid, reason text, grams bigint
    )
""")
MARK = text("UPDATE loads SET split_at = :at, split_by = :steward_id WHERE load_id = :load_id")
REFILL = text("""
    UPDATE load_units SET grams = row.grams, lines = row.lines
    FROM jsonb_to_recordset(CAST(:bags AS jsonb)) AS row (load_unit_id uuid, grams bigint, lines jsonb)
    WHERE load_units.load_unit_id = row.load_unit_id
""")
# Whatever was told of its door before: a portion in which nothing was is not delivered.
SHORTEN = text("""
    UPDATE portions SET sequence = sequence + 1, is_empty = row.is_empty,
        delivered_at = CASE WHEN NOT row.is_empty THEN delivered_at END
    FROM unnest(CAST(:portion_ids AS uuid[]), CAST(:empty AS boolean[])) AS row (portion_id, is_empty)
    WHERE portions.portion_id = row.portion_id
    RETURNING portions.portion_id, sequence
""")


async def find_load(session: AsyncSession, load_id: UUID) -> Row[Any] | None:
    """Return a load with its zone and its group's rule, None where there is none."""
    return (await session.execute(text(FIND_LOAD), {"load_id": load_id})).one_or_none()


async def lock_load(session: AsyncSession, load_id: UUID) -> Row[Any] | None:
    """Hold a load until the transaction ends, None where there is none."""
    return (await session.execute(LOCK_LOAD, {"load_id": load_id})).one_or_none()


async def find_crates(session: AsyncSession, load_id: UUID) -> list[UUID]:
    """Return what a load in bulk is carried in."""
    return list((await session.execute(FIND_CRATES, {"load_id": load_id})).scalars())


async def find_splits(
    session: AsyncSession, *, load_id: UUID, split_id: UUID | None = None
) -> Sequence[Row[Any]]:
    """Return the split of a load, and whatever was recorded under an id."""
    return (await session.execute(FIND, {"split_id": split_id, "load_id": load_id})).all()


async def find_losses(session: AsyncSession, split_id: UUID) -> Sequence[Row[Any]]:
    """Return what was lost in a split."""
    return (await session.execute(FIND_LOSSES, {"split_id": split_id})).all()


async def find_breach(session: AsyncSession, split_id: UUID) -> UUID | None:
    """Return the breach that a split was, None where it was none."""
    return (await session.execute(FIND_BREACH, {"split_id": split_id})).scalar_one_or_none()


async def find_portions(
    session: AsyncSession, load_id: UUID, outlet_id: UUID
) -> list[tuple[Row[Any], list[Promise]]]:
    """Return a load's portions, door by door, each with what was promised of this outlet's goods."""
    rows = await session.execute(FIND_PORTIONS, {"load_id": load_id})
    return [(row, _promises_of(row, outlet_id)) for row in rows]


async def find_bags(session: AsyncSession, load_id: UUID) -> Bags:
    """Return what each portion's bags hold, in the order in which they were packed."""
    found: Bags = {}
    for row in await session.execute(FIND_BAGS, {"load_id": load_id}):
        lines = [contents.line_of(line) for line in row.lines]
        found.setdefault(row.portion_id, []).append((row.load_unit_id, lines))
    return found


async def insert_split(session: AsyncSession, split: Mapping[str, object]) -> bool:
    """Record a split; False where its id is another's."""
    return (await session.execute(INSERT, split)).one_or_none() is not None


async def insert_losses(
    session: AsyncSession, split_id: UUID, losses: Sequence[Mapping[str, object]]
) -> None:
    """Record what was lost."""
    await session.execute(INSERT_LOSSES, {"split_id": split_id, "losses": to_json(losses)})


async def mark_split(session: AsyncSession, load_id: UUID, at: datetime, steward_id: UUID) -> None:
    """Write that a load is split."""
    await session.execute(MARK, {"load_id": load_id, "at": at, "steward_id": steward_id})


async def refill(session: AsyncSession, bags: Sequence[Mapping[str, object]]) -> None:
    """Write what bags hold now."""
    await session.execute(REFILL, {"bags": to_json(bags)})


async def shorten(session: AsyncSession, portions: Mapping[UUID, bool]) -> dict[UUID, int]:
    """Write of portions that they got less, and whether nothing at all; return their sequences."""
    given = {"portion_ids": list(portions), "empty": list(portions.values())}
    return {row.portion_id: row.sequence for row in await session.execute(SHORTEN, given)}


def _promises_of(row: Row[Any], outlet_id: UUID) -> list[Promise]:
    promises: dict[tuple[int, UUID], Promise] = {}
    for line in (contents.line_of(each) for each in row.lines if each["outlet_id"] == str(outlet_id)):
        known = promises.get((line.line, line.offer_id))
        promises[line.line, line.offer_id] = Promise(
            portion_id=row.portion_id,
            household_id=row.household_id,
            line=line.line,
            product_id=line.product_id,
            offer_id=line.offer_id,
            name=line.name,
            grams=line.grams,
            quantity=line.quantity + (known.quantity if known else 0),
        )
    return list(promises.values())
