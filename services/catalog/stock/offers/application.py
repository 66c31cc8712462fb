"""What can be asked of offers. Callers own the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.market import market_day
from services.catalog.outlets import queries as ledger
from services.catalog.prices import application as prices
from services.catalog.prices import queries as rules
from services.catalog.prices.domain import Deal
from services.catalog.prices.scopes import Asked, Judged, Target
from services.catalog.products import queries as products
from services.catalog.stock.offers import domain, queries
from services.catalog.stock.offers.domain import Listing, Offer, Outcome, Settled
from services.catalog.stock.offers.queries import Written
from services.kit.errors import NotFound
from services.kit.ids import new_id

log = structlog.get_logger()

REJUDGED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What became of one listing; `code` says why it was refused."""

    plu: str
    outcome: Outcome
    offer: Offer | None = None
    code: str | None = None
    refusal: Judged | None = None
    unused_deals: int = 0


async def list_goods(
    session: AsyncSession, outlet_id: UUID, wanted: Sequence[Listing], now: datetime
) -> list[Listed]:
    """List an outlet's goods, or change what is listed; one that is refused leaves the others alone."""
    # The outlet's own row: of two listings of one shop at once the second waits.
    outlet = await ledger.lock_outlet(session, outlet_id)
    if outlet is None:
        raise NotFound("catalog.outlet_unknown", "There is no such outlet")
    categories = await products.find_categories(session, {listing.product_id for listing in wanted})
    standing = await queries.lock_of_outlet(session, outlet_id, [listing.plu for listing in wanted])
    zones = (await queries.find_zones(session, [outlet_id]))[outlet_id]
    unlistable = domain.find_unlistable(wanted, known=categories, standing=standing)

    kind = outlet.facts.kind.value
    judging = _Judging(session, outlet_id, kind, zones, categories, now)
    todo = {
        place: _with_earlier_deals(listing, standing)
        for place, listing in enumerate(wanted)
        if place not in unlistable
    }
    settled = await _settle_all(todo, standing, judging)

    written = [
        Written(offer=one.offer, judged=one.judged, category=categories[one.offer.listing.product_id])
        for one in settled.values()
        if one.offer and one.judged
    ]
    await queries.write(session, written, outlet_id=outlet_id, kind=kind, zones=zones, now=now)
    return [_tell(listing, settled.get(place), unlistable.get(place)) for place, listing in enumerate(wanted)]


async def vouch_for_deals(
    session: AsyncSession, outlet_id: UUID, deals: Sequence[tuple[str, Deal]], *, by: str, now: datetime
) -> list[UUID | None]:
    """Enter past deals of an outlet's items (by PLU) in the regulator's name, and judge these anew.

    Returns the offer of each; None where the outlet has no such item.
    """
    if await ledger.lock_outlet(session, outlet_id) is None:
        raise NotFound("catalog.outlet_unknown", "There is no such outlet")
    standing = await queries.lock_of_outlet(session, outlet_id, sorted({plu for plu, _ in deals}))
    known = {(standing[plu].offer_id, deal) for plu, deal in deals if plu in standing}
    await queries.write_deals(session, known, vouched_by=by, now=now)
    await rejudge(session, sorted({offer_id for offer_id, _ in known}), now)
    return [standing[plu].offer_id if plu in standing else None for plu, _ in deals]


async def rejudge_stale(session: AsyncSession, now: datetime) -> int:
    """Judge again a batch of offers whose rules have changed; return how many."""
    epoch = await rules.get_epoch(session)
    stale = await queries.find_stale(
        session, epoch=epoch, day=market_day(now), limit=REJUDGED_AT_ONCE, now=now
    )
    await rejudge(session, stale, now)
    return len(stale)


async def rejudge(session: AsyncSession, offer_ids: Sequence[UUID], now: datetime) -> None:
    """Judge offers again by what binds now: above its cap an offer is blocked, below it is free again."""
    if not offer_ids:
        return
    locked = await queries.lock_to_judge(session, offer_ids)
    asked = [one for _, one in locked]
    judged = await prices.judge(session, asked, occasion="rejudging", now=now)
    await queries.write_judged(session, list(zip(asked, judged, strict=True)), now=now)
    for (offer, one), made in zip(locked, judged, strict=True):
        if offer.is_blocked == made.decision.is_allowed:
            log.info("offer.rejudged", offer_id=str(one.offer_id), is_blocked=not offer.is_blocked)


@dataclass(frozen=True, slots=True)
class _Judging:
    session: AsyncSession
    outlet_id: UUID
    kind: str
    zones: frozenset[UUID]
    categories: Mapping[UUID, str]
    now: datetime

    async def judge(self, listings: Sequence[tuple[UUID, Listing]]) -> list[Judged]:
        asked = [
            Asked(
                offer_id=offer_id,
                outlet_id=self.outlet_id,
                plu=listing.plu,
                target=Target(
                    product_id=listing.product_id,
                    category=self.categories[listing.product_id],
                    outlet_kind=self.kind,
                    zone_ids=self.zones,
                ),
                item=listing.item,
                price_fen=listing.price_fen,
            )
            for offer_id, listing in listings
        ]
        return await prices.judge(self.session, asked, occasion="listing", now=self.now)


async def _settle_all(
    todo: Mapping[int, Listing], standing: Mapping[str, Offer], judging: _Judging
) -> dict[int, Settled]:
    ids = {
        place: standing[listing.plu].offer_id if listing.plu in standing else new_id()
        for place, listing in todo.items()
    }
    judged = await judging.judge([(ids[place], listing) for place, listing in todo.items()])
    verdicts = dict(zip(todo, judged, strict=True))

    kept = {
        place: kept
        for place, listing in todo.items()
        if not verdicts[place].decision.is_allowed
        and (kept := domain.find_standing_price(listing, standing.get(listing.plu)))
    }
    kept_judged = await judging.judge([(ids[place], listing) for place, listing in kept.items()])
    fallbacks = dict(zip(kept, zip(kept.values(), kept_judged, strict=True), strict=True))
    return {
        place: domain.settle(
            listing,
            verdicts[place],
            standing=standing.get(listing.plu),
            fallback=fallbacks.get(place),
            new_id=ids[place],
        )
        for place, listing in todo.items()
    }


def _with_earlier_deals(listing: Listing, standing: Mapping[str, Offer]) -> Listing:
    before = standing.get(listing.plu)
    return domain.with_deals(listing, before.listing.deals if before else ())


def _tell(listing: Listing, settled: Settled | None, code: str | None) -> Listed:
    if settled is None:
        return Listed(plu=listing.plu, outcome=Outcome.REFUSED, code=code)
    verdict = settled.refusal or settled.judged
    return Listed(
        plu=listing.plu,
        outcome=settled.outcome,
        offer=settled.offer,
        code="catalog.price_above_cap" if settled.refusal else None,
        refusal=settled.refusal,
        unused_deals=len(verdict.decision.unused_deals) if verdict else 0,
    )
