"""Every change of supply's rows; the caller holds the zones' rows of `supplies`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.supply.domain import Ask, Assignment, Figures, Status
from services.contracts.values import OutletKind
from services.kit.ids import new_id

BEGIN = text("""
    INSERT INTO supplies (zone_id) SELECT zone_id FROM unnest(CAST(:zone_ids AS uuid[])) AS row (zone_id)
    ORDER BY zone_id ON CONFLICT DO NOTHING
""")
DROP_NEEDS = text("DELETE FROM zone_needs WHERE zone_id = ANY(CAST(:zone_ids AS uuid[]))")
INSERT_NEEDS = text("""
    INSERT INTO zone_needs (zone_id, kind, place, needed_orders)
    SELECT * FROM unnest(
        CAST(:zone_ids AS uuid[]), CAST(:kinds AS text[]), CAST(:places AS integer[]),
        CAST(:orders AS integer[])
    )
""")
INSERT_ASKS = text("""
    INSERT INTO assignments (assignment_id, zone_id, outlet_id, kind, rank, status, asked_orders, distance_m,
                             pin_reason, asked_at, answer_by)
    SELECT assignment_id, zone_id, outlet_id, kind, rank, 'asked', orders, distance_m, pin_reason, :now,
           :answer_by
    FROM unnest(
        CAST(:assignment_ids AS uuid[]), CAST(:zone_ids AS uuid[]), CAST(:outlet_ids AS uuid[]),
        CAST(:kinds AS text[]), CAST(:ranks AS integer[]), CAST(:orders AS integer[]),
        CAST(:distances AS integer[]), CAST(:reasons AS text[])
    ) AS row (assignment_id, zone_id, outlet_id, kind, rank, orders, distance_m, pin_reason)
""")
CHANGE = text("""
    UPDATE assignments SET status = row.status
    FROM unnest(CAST(:assignment_ids AS uuid[]), CAST(:statuses AS text[])) AS row (assignment_id, status)
    WHERE assignments.assignment_id = row.assignment_id
""")
ANSWER = text("""
    UPDATE assignments SET status = :status, accepted_orders = :accepted_orders,
                           refusal_reason = :refusal_reason, answered_at = :now
    WHERE assignment_id = :assignment_id
""")
END_ASKS = text("""
    UPDATE assignments SET status = 'ended'
    WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) AND status = 'asked'
""")
FORGET = text("UPDATE supplies SET due_at = NULL WHERE zone_id = ANY(CAST(:zone_ids AS uuid[]))")
LOOK_AGAIN = text("""
    UPDATE supplies SET due_at = row.due_at
    FROM unnest(CAST(:zone_ids AS uuid[]), CAST(:dues AS timestamptz[])) AS row (zone_id, due_at)
    WHERE supplies.zone_id = row.zone_id
""")
STATE = text("""
    UPDATE supplies SET stated = CAST(row.stated AS jsonb), sequence = sequence + 1,
                        supplied_at = coalesce(supplied_at, :now)
    FROM unnest(CAST(:zone_ids AS uuid[]), CAST(:words AS text[])) AS row (zone_id, stated)
    WHERE supplies.zone_id = row.zone_id
    RETURNING supplies.zone_id, sequence
""")
INSERT_POLICY = text("""
    INSERT INTO supply_policies (policy_id, answer_seconds, look_again_seconds, persons_per_100_households,
                                 surcharge_permille, legal_ref, valid_from, stated_by)
    VALUES (:policy_id, :answer_seconds, :look_again_seconds, :persons_per_100_households,
            :surcharge_permille, :legal_ref, :valid_from, :stated_by)
    ON CONFLICT (valid_from) DO NOTHING
    RETURNING policy_id
""")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an outlet said to what it was asked."""

    status: Status
    accepted_orders: int | None = None
    refusal_reason: str | None = None


async def insert_policy(
    session: AsyncSession, figures: Figures, *, legal_ref: str, valid_from: datetime, stated_by: str
) -> UUID | None:
    """Write figures and return their id; None where others are valid from the same moment."""
    values = {"policy_id": new_id(), "legal_ref": legal_ref, "valid_from": valid_from, "stated_by": stated_by}
    made = await session.execute(INSERT_POLICY, values | asdict(figures))
    return made.scalar_one_or_none()


async def begin(session: AsyncSession, needs: Mapping[UUID, Mapping[OutletKind, int]]) -> None:
    """Write what zones need, in place of what they needed before."""
    await session.execute(BEGIN, {"zone_ids": list(needs)})
    await session.execute(DROP_NEEDS, {"zone_ids": list(needs)})
    flat = [
        (zone_id, kind, place, orders)
        for zone_id, kinds in needs.items()
        for place, (kind, orders) in enumerate(kinds.items())
    ]
    await session.execute(
        INSERT_NEEDS,
        {
            "zone_ids": [zone_id for zone_id, *_ in flat],
            "kinds": [kind for _, kind, _, _ in flat],
            "places": [place for _, _, place, _ in flat],
            "orders": [orders for *_, orders in flat],
        },
    )


async def insert_asks(
    session: AsyncSession, asks: Sequence[Ask], *, answer_seconds: int, now: datetime
) -> dict[tuple[UUID, UUID], Assignment]:
    """Ask outlets, and return their assignments by zone and outlet."""
    answer_by = now + timedelta(seconds=answer_seconds)
    made = {
        (ask.zone_id, ask.outlet_id): Assignment(
            assignment_id=new_id(),
            outlet_id=ask.outlet_id,
            kind=ask.kind,
            rank=ask.rank,
            status=Status.ASKED,
            asked_orders=ask.orders,
            accepted_orders=None,
            answer_by=answer_by,
        )
        for ask in asks
    }
    if not asks:
        return made
    await session.execute(
        INSERT_ASKS,
        {
            "assignment_ids": [one.assignment_id for one in made.values()],
            "zone_ids": [ask.zone_id for ask in asks],
            "outlet_ids": [ask.outlet_id for ask in asks],
            "kinds": [ask.kind for ask in asks],
            "ranks": [ask.rank for ask in asks],
            "orders": [ask.orders for ask in asks],
            "distances": [ask.distance_m for ask in asks],
            "reasons": [ask.pin_reason for ask in asks],
            "now": now,
            "answer_by": answer_by,
        },
    )
    return made


async def change(session: AsyncSession, changed: Mapping[UUID, Status]) -> None:
    """Write what assignments have become by the clock or by the ledger."""
    if changed:
        await session.execute(CHANGE, {"assignment_ids": list(changed), "statuses": list(changed.values())})


async def answer(session: AsyncSession, assignment_id: UUID, said: Answer, *, now: datetime) -> None:
    """Write what an outlet answered."""
    await session.execute(
        ANSWER,
        {
            "assignment_id": assignment_id,
            "status": said.status,
            "accepted_orders": said.accepted_orders,
            "refusal_reason": said.refusal_reason,
            "now": now,
        },
    )


async def end_asks(session: AsyncSession, zone_ids: Sequence[UUID]) -> None:
    """End what is asked for zones, and look at them no more."""
    await session.execute(END_ASKS, {"zone_ids": zone_ids})
    await session.execute(FORGET, {"zone_ids": zone_ids})


async def look_again(session: AsyncSession, dues: Mapping[UUID, datetime]) -> None:
    """Write when each zone is looked at again."""
    await session.execute(LOOK_AGAIN, {"zone_ids": list(dues), "dues": list(dues.values())})


async def state(
    session: AsyncSession, words: Mapping[UUID, Mapping[str, Any]], *, now: datetime
) -> dict[UUID, int]:
    """Write what is said of zones' supplies and return each one's sequence."""
    if not words:
        return {}
    rows = await session.execute(
        STATE,
        {
            "zone_ids": list(words),
            "words": [orjson.dumps(word).decode() for word in words.values()],
            "now": now,
        },
    )
    return {row.zone_id: row.sequence for row in rows}
