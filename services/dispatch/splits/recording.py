"""What a split leaves in the database and tells the others. Callers own the transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.dispatch import PortionShortened
from services.contracts.values import ShortLine
from services.dispatch.crew import domain as crew_domain
from services.dispatch.crew import queries as crew_queries
from services.dispatch.loads import contents
from services.dispatch.loads import queries as loads_queries
from services.dispatch.relay import queries as relay_queries
from services.dispatch.relay.parties import Reason
from services.dispatch.splits import bags, domain, queries
from services.dispatch.splits.domain import Sharing, ToldSplit
from services.kit import outbox
from services.kit.event import Event
from services.kit.ids import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A split with what it came to, the moment that counts, and why it is a breach."""

    told: ToldSplit
    outcome: Sharing
    at: datetime
    clock_doubtful: bool
    reasons: Sequence[Reason]


async def keep(session: AsyncSession, load: Row[Any], split: Judged, now: datetime, *, by: str) -> bool:
    """Write a split, what was lost in it, and its breach; False where its id is another's."""
    told, outcome = split.told, split.outcome
    row = {
        "split_id": told.split_id,
        "load_id": load.load_id,
        "steward_id": told.steward_id,
        "lat": told.place.lat if told.place else None,
        "lon": told.place.lon if told.place else None,
        "occurred_at": told.occurred_at,
        "reckoned_at": split.at,
        "clock_doubtful": split.clock_doubtful,
        "recorded_at": now,
        "recorded_by": by,
        "told": json.dumps(told.content),
        "in_g": outcome.in_g,
        "portions_g": outcome.portions_g,
        "loss_g": outcome.loss_g,
        "is_breach": bool(split.reasons),
        "is_degraded": crew_domain.is_degraded(await crew_queries.find_beats(session), now),
    }
    if not await queries.insert_split(session, row):
        return False
    products = {promise.offer_id: promise.product_id for promise in outcome.given}
    losses = [{**asdict(loss), "product_id": products[loss.offer_id]} for loss in outcome.losses]
    await queries.insert_losses(session, told.split_id, losses)
    await queries.mark_split(session, load.load_id, split.at, told.steward_id)
    if split.reasons:
        breach = {
            "breach_id": new_id(),
            "split_id": told.split_id,
            "incident_id": load.incident_id,
            "zone_id": load.zone_id,
            "person_ids": [told.steward_id],
            "reasons": [{"person_id": each.person_id, "code": each.code} for each in split.reasons],
        }
        await relay_queries.open_breaches(session, [breach], now)
    return True


async def shorten(
    session: AsyncSession, load: Row[Any], portions: Sequence[Row[Any]], outcome: Sharing, at: datetime
) -> None:
    """Take what is missing out of the bags, and tell whose portions it was missing from."""
    short = domain.short_lines(outcome.given)
    if not short:
        return
    packing = await loads_queries.get_packing(session, at)
    await _refill(session, load.load_id, short, bag_g=packing.bag_g)
    filled = {promise.portion_id for promise, quantity in outcome.given.items() if quantity}
    empty = {portion_id: portion_id not in filled for portion_id in short}
    sequences = await queries.shorten(session, empty)
    said: list[tuple[Event, int]] = [
        (
            PortionShortened(
                portion_id=row.portion_id,
                order_id=row.order_id,
                incident_id=load.incident_id,
                household_id=row.household_id,
                found_at=at,
                lines=short[row.portion_id],
                is_empty=empty[row.portion_id],
            ),
            sequences[row.portion_id],
        )
        for row in portions
        if row.portion_id in short
    ]
    await outbox.add_all(session, said)


async def _refill(
    session: AsyncSession, load_id: UUID, short: Mapping[UUID, Sequence[ShortLine]], *, bag_g: int
) -> None:
    held_by = await queries.find_bags(session, load_id)
    rows: list[dict[str, object]] = []
    for portion_id, lines in short.items():
        held = held_by[portion_id]
        left = bags.refill([each for _, each in held], lines, bag_g=bag_g)
        rows.extend(
            {
                "load_unit_id": load_unit_id,
                "grams": sum(line.quantity * line.grams for line in kept),
                "lines": [contents.line_row(line) for line in kept],
            }
            for (load_unit_id, _), kept in zip(held, left, strict=True)
        )
    await queries.refill(session, rows)
