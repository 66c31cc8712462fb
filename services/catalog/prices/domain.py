"""Price rules: each gives a cap, the strictest binds, and every decision keeps what it was made from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Deal:
    """A real sale of an item: the reference of a margin rule. Prices in fen for one sale unit.

    The shop states it itself, so what counts is when it was recorded (None: just now), and whether the
    regulator vouches for it.
    """

    sold_on: date
    sale_fen: int
    purchase_fen: int
    recorded_at: datetime | None = field(default=None, compare=False)
    is_vouched: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One sale unit of an outlet's item; the purchase excludes transport, storage and selling cost."""

    grams: int
    purchase_fen: int
    deals: Sequence[Deal] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What every rule has: it is dated data of an authority, never a constant of ours."""

    rule_id: UUID
    version: int
    legal_ref: str
    valid_from: date
    valid_to: date | None = None

    def is_valid_on(self, day: date) -> bool:
        """Say whether the rule binds on `day`, the last day included."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class CeilingRule(Rule):
    """A ceiling price in fen per kilogram (价格法 art. 30)."""

    ceiling_fen_per_kg: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRateRule(Rule):
    """The margin rate may not exceed that of the last real deal on or before a date (国市监竞争〔2020〕21号).

    An item without such a deal may not exceed `default_rate`. `bound_at` is the rule's first confirmation:
    whoever states a deal after it knows what the deal would allow.
    """

    reference_date: date
    default_rate: Fraction
    bound_at: datetime

    def counts(self, deal: Deal) -> bool:
        """Say whether a deal was recorded before the rule bound, or the regulator vouches for it."""
        return deal.is_vouched or (deal.recorded_at is not None and deal.recorded_at < self.bound_at)


@dataclass(frozen=True, slots=True)
class Cap:
    """The highest lawful price of one sale unit under one rule, and the rate it was computed from."""

    rule: Rule
    cap_fen: int
    margin_rate: Fraction | None = None
    reference: Deal | None = None


@dataclass(frozen=True, slots=True)
class PriceDecision:
    """A price judged: the rule's version, its inputs and the computed cap are kept with the answer."""

    price_fen: int
    item: Item
    decided_for: date
    cap: Cap | None

    @property
    def is_allowed(self) -> bool:
        """Say whether the price may be listed and sold."""
        return self.cap is None or self.price_fen <= self.cap.cap_fen

    @property
    def unused_deals(self) -> tuple[Deal, ...]:
        """Return the deals that would be references of the binding rule, but were stated after it bound."""
        rule = self.cap.rule if self.cap else None
        if not isinstance(rule, MarginRateRule):
            return ()
        return tuple(
            deal for deal in self.item.deals if deal.sold_on <= rule.reference_date and not rule.counts(deal)
        )


def margin_rate(*, sale_fen: int, purchase_fen: int) -> Fraction:
    """Return (sale - purchase) / purchase, exactly; `purchase_fen` is above zero."""
    return Fraction(sale_fen - purchase_fen, purchase_fen)


def find_reference(deals: Iterable[Deal], *, on_or_before: date) -> Deal | None:
    """Return the last deal on or before a date; of one day's deals, that of the lowest rate."""
    earlier = [deal for deal in deals if deal.sold_on <= on_or_before]
    return max(earlier, key=lambda deal: (deal.sold_on, -_rate_of(deal)), default=None)


def cap_of(rule: Rule, item: Item) -> Cap:
    """Return what `rule` allows for one sale unit of `item`, rounded down to the fen."""
    match rule:
        case CeilingRule():
            return Cap(rule, rule.ceiling_fen_per_kg * item.grams // 1000)
        case MarginRateRule():
            counted = (deal for deal in item.deals if rule.counts(deal))
            reference = find_reference(counted, on_or_before=rule.reference_date)
            rate = _rate_of(reference) if reference else rule.default_rate
            return Cap(rule, int(item.purchase_fen * (1 + rate)), rate, reference)
        case _:
            raise NotImplementedError(f"no price rule of kind {type(rule).__name__}")


def strictest_cap(rules: Iterable[Rule], item: Item, *, on: date) -> Cap | None:
    """Return the lowest cap of the rules valid on a day; None where no rule binds."""
    caps = [cap_of(rule, item) for rule in rules if rule.is_valid_on(on)]
    return min(caps, key=lambda cap: cap.cap_fen, default=None)


def decide_price(price_fen: int, item: Item, rules: Iterable[Rule], *, on: date) -> PriceDecision:
    """Judge a price; to be asked again whenever the price, the cost or a rule changes."""
    return PriceDecision(price_fen, item, on, strictest_cap(rules, item, on=on))


def _rate_of(deal: Deal) -> Fraction:
    return margin_rate(sale_fen=deal.sale_fen, purchase_fen=deal.purchase_fen)
