"""SQL of manifests: what was said of a group, and the parts that are gathered until it is packed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.orders import GroupDecided
from services.dispatch.rows import to_json
from services.kit.event import Arrived

STUB = text("""
    INSERT INTO manifests (group_id)
    SELECT group_id FROM unnest(CAST(:group_ids AS uuid[])) AS row (group_id) ORDER BY group_id
    ON CONFLICT DO NOTHING
""")
# In key order. Whoever brings a part and whoever brings the word meet here: the later of them sees both.
LOCK = text("""
    SELECT FROM manifests WHERE group_id = ANY(CAST(:group_ids AS uuid[]))
    ORDER BY group_id FOR NO KEY UPDATE
""")
HEAR = text("""
    INSERT INTO manifests (group_id, decided_sequence, confirmed, rule, seed)
    SELECT * FROM jsonb_to_recordset(CAST(:words AS jsonb)) AS row (
        group_id uuid, sequence bigint, confirmed integer, rule text, seed text
    )
    ORDER BY group_id
    ON CONFLICT (group_id) DO UPDATE SET
        decided_sequence = excluded.decided_sequence, confirmed = excluded.confirmed,
        rule = excluded.rule, seed = excluded.seed
    WHERE manifests.decided_sequence < excluded.decided_sequence
""")
KEEP = text("""
    INSERT INTO manifest_parts (order_id, group_id, incident_id, zone_id, slot_id, community_id, building_id,
                                household_id, confirmed_at, lines)
    SELECT * FROM jsonb_to_recordset(CAST(:parts AS jsonb)) AS row (
        order_id uuid, group_id uuid, incident_id uuid, zone_id uuid, slot_id uuid, community_id uuid,
        building_id uuid, household_id uuid, confirmed_at timestamptz, lines jsonb
    )
    ORDER BY order_id
    ON CONFLICT DO NOTHING
""")
MARK_READY = text("""
    UPDATE manifests SET is_ready = counted.is_ready
    FROM (
        SELECT group_id, confirmed <= (
            SELECT count(*) FROM manifest_parts WHERE manifest_parts.group_id = manifests.group_id
        ) AS is_ready
        FROM manifests WHERE group_id = ANY(CAST(:group_ids AS uuid[])) AND confirmed IS NOT NULL
    ) AS counted
    WHERE manifests.group_id = counted.group_id AND manifests.is_ready <> counted.is_ready
""")
# Any of them: one that cannot be packed must not stand before the others.
CLAIM = text("""
    UPDATE manifests SET packed_at = :now
    WHERE group_id = (
        SELECT group_id FROM manifests WHERE is_ready AND packed_at IS NULL
        ORDER BY random() LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
    )
    RETURNING group_id
""")
# A part that was ended is counted, for its group's word has counted it, and not packed.
LIST_PARTS = text("""
    SELECT manifest_parts.* FROM manifest_parts JOIN carried_orders USING (order_id)
    WHERE group_id = :group_id AND confirmed_sequence > ended_sequence
      AND (CAST(:after AS uuid) IS NULL OR order_id > :after)
    ORDER BY order_id LIMIT :limit
""")


async def hear(session: AsyncSession, arrivals: Sequence[Arrived[GroupDecided]]) -> None:
    """Write the newest word on each group; its manifest is held until the transaction ends."""
    words = [
        {
            **arrived.event.model_dump(include={"group_id", "confirmed", "rule", "seed"}),
            "sequence": arrived.sequence,
        }
        for arrived in arrivals
    ]
    await session.execute(HEAR, {"words": to_json(words)})


async def keep_parts(session: AsyncSession, parts: Sequence[Mapping[str, object]]) -> None:
    """Keep parts, each once, beside their manifests, which are held until the transaction ends."""
    given = {"group_ids": sorted({part["group_id"] for part in parts})}  # type: ignore[type-var]
    await session.execute(STUB, given)
    await session.execute(LOCK, given)
    await session.execute(KEEP, {"parts": to_json(parts)})


async def mark_ready(session: AsyncSession, group_ids: Iterable[UUID]) -> None:
    """Mark those manifests ready that have their word and all their parts; the caller holds them."""
    await session.execute(MARK_READY, {"group_ids": sorted(set(group_ids))})


async def claim_ready(session: AsyncSession, now: datetime) -> UUID | None:
    """Mark one that is ready packed, and hold it until the transaction ends; None where none waits."""
    return (await session.execute(CLAIM, {"now": now})).scalar_one_or_none()


async def list_parts(
    session: AsyncSession, group_id: UUID, *, limit: int, after: UUID | None
) -> Sequence[Row[Any]]:
    """Return so many parts of a group, without those that were ended."""
    given = {"group_id": group_id, "limit": limit, "after": after}
    return (await session.execute(LIST_PARTS, given)).all()
