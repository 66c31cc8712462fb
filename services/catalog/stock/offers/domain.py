"""How a listing stands: the price only if it is lawful, the cost always, for that is a fact."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from services.catalog.prices.domain import Deal, Item
from services.catalog.prices.scopes import Judged


class Outcome(StrEnum):
    """What became of one listing."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """An outlet's offer of a product: one sale unit of so many grams at a price."""

    plu: str
    product_id: UUID
    name: str
    grams: int
    purchase_fen: int
    price_fen: int
    deals: tuple[Deal, ...] = ()

    @property
    def item(self) -> Item:
        """Return what a price rule looks at."""
        return Item(grams=self.grams, purchase_fen=self.purchase_fen, deals=self.deals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A listing that stands; blocked, it is neither shown nor sold."""

    offer_id: UUID
    listing: Listing
    is_blocked: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """What becomes of a listing: the offer to write with its judgement, and the refusal if there is one."""

    outcome: Outcome
    offer: Offer | None
    judged: Judged | None
    refusal: Judged | None = None


def with_deals(listing: Listing, earlier: Iterable[Deal]) -> Listing:
    """Return the listing with every deal that was ever stated of it."""
    return replace(listing, deals=tuple({*earlier, *listing.deals}))


def find_standing_price(wanted: Listing, standing: Offer | None) -> Listing | None:
    """Return the standing price at the new cost: what is to be judged where a new price is refused.

    None where there is nothing to compare: no listing stands, or it is of another sale unit.
    """
    if standing is None:
        return None
    before = standing.listing
    if before.grams != wanted.grams:
        return None
    return replace(before, purchase_fen=wanted.purchase_fen, deals=wanted.deals)


def settle(
    wanted: Listing,
    judged: Judged,
    *,
    standing: Offer | None,
    fallback: tuple[Listing, Judged] | None,
    new_id: UUID,
) -> Settled:
    """Take a lawful price; else keep the old price at the new cost, blocked if that too is above its cap.

    A falling cost breaks a margin rule without any price rise (domain.md §2), so refusing the new listing
    must not keep the old cost alive.
    """
    if judged.decision.is_allowed:
        offer = Offer(offer_id=standing.offer_id if standing else new_id, listing=wanted, is_blocked=False)
        return Settled(_compare(standing, offer), offer, judged)
    if standing is None or fallback is None:
        return Settled(Outcome.REFUSED, None, None, judged)
    kept, kept_judged = fallback
    offer = Offer(offer_id=standing.offer_id, listing=kept, is_blocked=not kept_judged.decision.is_allowed)
    return Settled(Outcome.REFUSED, offer, kept_judged, judged)


def find_unlistable(
    wanted: Sequence[Listing], *, known: Container[UUID], standing: Mapping[str, Offer]
) -> dict[int, str]:
    """Return the places of listings that cannot be judged at all, each with its code.

    A PLU keeps its product: what is promised under it would otherwise become another thing.
    """
    refused: dict[int, str] = {}
    named: set[str] = set()
    for place, listing in enumerate(wanted):
        before = standing.get(listing.plu)
        if listing.plu in named:
            refused[place] = "catalog.plu_repeated"
        elif listing.product_id not in known:
            refused[place] = "catalog.product_unknown"
        elif before and before.listing.product_id != listing.product_id:
            refused[place] = "catalog.plu_taken"
        named.add(listing.plu)
    return refused


def _compare(standing: Offer | None, offer: Offer) -> Outcome:
    if standing is None:
        return Outcome.CREATED
    same = replace(standing.listing, deals=()) == replace(offer.listing, deals=())
    same = same and set(standing.listing.deals) == set(offer.listing.deals)
    return Outcome.UNCHANGED if same and not standing.is_blocked else Outcome.UPDATED
