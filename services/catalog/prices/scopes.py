"""Which rules bind which offer: a rule's scope, and a book that finds by product, category or neither."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from services.catalog.prices.domain import Item, PriceDecision, Rule

Key = tuple[UUID | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a rule is about; a part that is not stated leaves the rule wider."""

    zone_id: UUID | None = None
    category: str | None = None
    product_id: UUID | None = None
    outlet_kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is judged: an outlet's offer of a product, and the zones that the outlet supplies."""

    product_id: UUID
    category: str
    outlet_kind: str
    zone_ids: frozenset[UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A price to be judged: whose offer of what."""

    offer_id: UUID
    outlet_id: UUID
    plu: str
    target: Target
    item: Item
    price_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A price judged under the rules of `epoch`; on the day `until` other rules are valid."""

    decision: PriceDecision
    epoch: int
    until: date | None

    @property
    def cap_fen(self) -> int | None:
        """Return the cap, None where no rule binds."""
        return self.decision.cap.cap_fen if self.decision.cap else None


@dataclass(frozen=True, slots=True)
class ScopedRule:
    """A rule with its scope."""

    scope: Scope
    rule: Rule

    def covers(self, target: Target) -> bool:
        """Say whether the rule is about `target`: in every part that its scope states."""
        scope = self.scope
        return (
            (scope.product_id is None or scope.product_id == target.product_id)
            and (scope.category is None or scope.category == target.category)
            and (scope.outlet_kind is None or scope.outlet_kind == target.outlet_kind)
            and (scope.zone_id is None or scope.zone_id in target.zone_ids)
        )


class RuleBook:
    """Rules found by what they are about, so that a decision's cost does not grow with all of them."""

    def __init__(self, rules: Iterable[ScopedRule]) -> None:
        pages: defaultdict[Key, list[ScopedRule]] = defaultdict(list)
        for scoped in rules:
            pages[scoped.scope.product_id, scoped.scope.category].append(scoped)
        self._pages: Mapping[Key, list[ScopedRule]] = dict(pages)

    def rules_for(self, target: Target) -> tuple[Rule, ...]:
        """Return every rule that is about `target`, valid on whatever day."""
        keys: tuple[Key, ...] = (
            (None, None),
            (None, target.category),
            (target.product_id, None),
            (target.product_id, target.category),
        )
        return tuple(
            scoped.rule for key in keys for scoped in self._pages.get(key, ()) if scoped.covers(target)
        )


def next_change(rules: Sequence[Rule], *, after: date) -> date | None:
    """Return the first later day on which another set of `rules` is valid; None if there is none."""
    begins = [rule.valid_from for rule in rules]
    ends = [rule.valid_to for rule in rules if rule.valid_to is not None and rule.valid_to < date.max]
    days = begins + [day + timedelta(days=1) for day in ends]
    return min((day for day in days if day > after), default=None)
