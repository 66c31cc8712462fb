"""The rules of acceptance: who may order what, now. Pure; `now` is the transaction's own."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from itertools import chain
from typing import NamedTuple
from uuid import UUID

from services.contracts.values import WantedLine
from services.kit.errors import Fault
from services.orders.register.domain import Home


class Channel(StrEnum):
    """Who brought the order in; that it is a group's part its group_id tells."""

    RESIDENT = "resident"
    STEWARD = "steward"
    HOTLINE = "hotline"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order as it is asked for; a group's part takes its slot from the group.

    `client` is who sent it, within whose orders the external id is unique.
    """

    order_id: UUID
    household_id: UUID
    slot_id: UUID | None
    channel: Channel
    lines: tuple[WantedLine, ...]
    correlation_id: str
    client: str
    external_id: str | None = None
    group_id: UUID | None = None

    @property
    def units(self) -> int:
        """Return how many sale units the lines ask for."""
        return sum(line.quantity for line in self.lines)


class QuotaKey(NamedTuple):
    """Whose use of which rule, for which day of delivery."""

    household_id: UUID
    rule_id: UUID
    day: date


@dataclass(frozen=True, slots=True)
class Quota:
    """What one household may still order for a day."""

    limit_orders: int
    limit_units: int
    orders: int = 0
    units: int = 0

    def plus(self, *, units: int) -> "Quota":
        """Return the quota with one more order of so many units taken."""
        return replace(self, orders=self.orders + 1, units=self.units + units)


@dataclass(frozen=True, slots=True)
class Rule:
    """The quota rule in force for a slot: its day of delivery, and what it gives to a household."""

    rule_id: UUID
    day: date
    quota: Quota

    def key_of(self, household_id: UUID) -> QuotaKey:
        """Return the quota of a household by this rule."""
        return QuotaKey(household_id, self.rule_id, self.day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A delivery slot; its capacity is in household portions and None until dispatch has stated it.

    `community_ids` are its zone's communities.
    """

    slot_id: UUID
    zone_id: UUID
    incident_id: UUID | None
    rule: Rule | None
    community_ids: frozenset[UUID]
    cut_off_at: datetime
    capacity: int | None
    taken: int
    is_open: bool
    is_zone_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWindow:
    """What a group says of the parts it takes, and who has one."""

    group_id: UUID
    community_id: UUID
    slot_id: UUID
    cut_off_at: datetime
    is_open: bool
    household_ids: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a batch is judged by; `admit` hands back what quotas, slots and groups become."""

    homes: Mapping[UUID, Home]
    quotas: Mapping[QuotaKey, Quota]
    slots: Mapping[UUID, Slot]
    groups: Mapping[UUID, GroupWindow]
    now: datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    """An order that took its quota and its slot."""

    order: NewOrder
    home: Home
    slot: Slot

    @property
    def quota_key(self) -> QuotaKey:
        """Return the quota that the order took from."""
        assert self.slot.rule is not None  # noqa: S101 - no order is accepted without a rule
        return self.slot.rule.key_of(self.order.household_id)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An order that took nothing; every reason is named."""

    order: NewOrder
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Admission:
    """A batch decided: the outcomes in the order asked, and what the rows become."""

    outcomes: tuple[Accepted | Rejected, ...]
    quotas: Mapping[QuotaKey, Quota]
    slots: Mapping[UUID, Slot]

    @property
    def accepted(self) -> tuple[Accepted, ...]:
        """Return what was accepted, in the order asked."""
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Accepted))


def admit(wanted: Sequence[NewOrder], facts: Facts) -> Admission:
    """Decide a batch in the order given: an accepted order leaves less for those after it."""
    quotas, slots, groups = dict(facts.quotas), dict(facts.slots), dict(facts.groups)
    left = replace(facts, quotas=quotas, slots=slots, groups=groups)
    outcomes: list[Accepted | Rejected] = []
    for order in wanted:
        outcome = _judge(order, left)
        outcomes.append(outcome)
        if isinstance(outcome, Rejected):
            continue
        quotas[outcome.quota_key] = quotas[outcome.quota_key].plus(units=order.units)
        slots[outcome.slot.slot_id] = replace(outcome.slot, taken=outcome.slot.taken + 1)
        if order.group_id is not None:
            group = groups[order.group_id]
            groups[order.group_id] = replace(group, household_ids=group.household_ids | {order.household_id})
    return Admission(tuple(outcomes), quotas, slots)


def _judge(order: NewOrder, facts: Facts) -> Accepted | Rejected:
    home = facts.homes.get(order.household_id)
    if home is None:
        return Rejected(order, (Fault("/household_id", "orders.household_unknown"),))
    slot = facts.slots.get(order.slot_id) if order.slot_id else None
    # A slot of another zone is answered like one that does not exist: no oracle for what is sealed.
    if slot is None or home.community_id not in slot.community_ids:
        return Rejected(order, (Fault("/slot_id", "orders.slot_unknown"),))
    # For good: what else is wrong with the order, nobody can mend it here.
    if slot.is_zone_closed:
        return Rejected(order, (Fault("/slot_id", "orders.zone_closed"),))

    quota = facts.quotas.get(slot.rule.key_of(order.household_id)) if slot.rule else None
    faults = tuple(
        chain(
            _line_faults(order.lines),
            _group_faults(order, home, facts),
            _quota_faults(quota, order.units),
            _slot_faults(slot, facts, has_quota=quota is not None),
        )
    )
    return Rejected(order, faults) if faults else Accepted(order, home, slot)


def _line_faults(lines: Sequence[WantedLine]) -> Iterable[Fault]:
    seen: Counter[UUID] = Counter()
    for place, line in enumerate(lines):
        seen[line.product_id] += 1
        if seen[line.product_id] > 1:
            yield Fault(f"/lines/{place}/product_id", "orders.product_twice", {"product_id": line.product_id})


def _group_faults(order: NewOrder, home: Home, facts: Facts) -> Iterable[Fault]:
    if order.group_id is None:
        return
    group = facts.groups[order.group_id]
    if not group.is_open or facts.now >= group.cut_off_at:
        yield Fault("", "orders.group_closed", {"cut_off_at": group.cut_off_at})
    if home.community_id != group.community_id:
        yield Fault("/household_id", "orders.not_in_community")
    if order.household_id in group.household_ids:
        yield Fault("/household_id", "orders.already_in_group")
    # The group is one tally by product: what may come in its place is nobody's to say for all.
    for place, line in enumerate(order.lines):
        if line.substitutes:
            yield Fault(f"/lines/{place}/substitutes", "orders.substitutes_in_group")


def _quota_faults(quota: Quota | None, units: int) -> Iterable[Fault]:
    if quota is None:
        return
    if quota.orders + 1 > quota.limit_orders:
        facts = {"measure": "orders", "asked": 1, "available": quota.limit_orders - quota.orders}
        yield Fault("/household_id", "orders.quota_exceeded", facts)
    if quota.units + units > quota.limit_units:
        facts = {"measure": "units", "asked": units, "available": quota.limit_units - quota.units}
        yield Fault("/lines", "orders.quota_exceeded", facts)


def _slot_faults(slot: Slot, facts: Facts, *, has_quota: bool) -> Iterable[Fault]:
    if facts.now >= slot.cut_off_at:
        yield Fault("/slot_id", "orders.slot_closed", {"cut_off_at": slot.cut_off_at})
    elif not slot.is_open or slot.capacity is None or not has_quota:
        # No rule in force is no licence: what may be ordered has not been said.
        yield Fault("/slot_id", "orders.channels_closed")
    elif slot.taken >= slot.capacity:
        next_slot_id = _next_slot(slot, facts.slots.values())
        yield Fault("/slot_id", "orders.slot_full", {"next_slot_id": next_slot_id})


def _next_slot(full: Slot, slots: Iterable[Slot]) -> UUID | None:
    later = [
        slot
        for slot in slots
        if slot.zone_id == full.zone_id
        and slot.is_open
        and slot.cut_off_at > full.cut_off_at
        and slot.taken < (slot.capacity or 0)
    ]
    return min(later, key=lambda slot: (slot.cut_off_at, slot.slot_id)).slot_id if later else None
