"""When a zone's channels open. Pure; times are arguments."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Quota:
    """What one household of a zone may order in a day."""

    orders: int
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """A steward's duty: which buildings, from when, until when (not included)."""

    building_ids: frozenset[UUID]
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What is still awaited before the channels can open."""

    awaits_supply: bool
    awaits_capacity: frozenset[UUID]
    awaits_steward: frozenset[UUID]

    @property
    def is_ready(self) -> bool:
        """Say whether nothing is awaited any more."""
        return not (self.awaits_supply or self.awaits_capacity or self.awaits_steward)


def find_unattended(
    building_ids: Iterable[UUID], duties: Iterable[Duty], *, now: datetime
) -> frozenset[UUID]:
    """Return the buildings without a steward on duty now."""
    attended = {
        building_id
        for duty in duties
        if duty.starts_at <= now < duty.ends_at
        for building_id in duty.building_ids
    }
    return frozenset(building_ids) - attended


def judge_readiness(
    *,
    is_supplied: bool,
    slot_ids: Iterable[UUID],
    stated_slot_ids: Iterable[UUID],
    unattended: Iterable[UUID],
    bare: Iterable[UUID],
) -> Readiness:
    """Say what is awaited: supply, each slot's capacity, a steward for each building not listed as bare."""
    return Readiness(
        awaits_supply=not is_supplied,
        awaits_capacity=frozenset(slot_ids) - frozenset(stated_slot_ids),
        awaits_steward=frozenset(unattended) - frozenset(bare),
    )


def find_slot_faults(
    slots: Iterable[tuple[datetime, datetime, datetime]], *, now: datetime
) -> Iterable[tuple[int, str, str]]:
    """Yield place, field and code of what is wrong with slots: cut-off, start, end in order, not all past."""
    for place, (cut_off_at, starts_at, ends_at) in enumerate(slots):
        if cut_off_at >= starts_at:
            yield place, "cut_off_at", "orders.cut_off_not_before_start"
        if starts_at >= ends_at:
            yield place, "ends_at", "orders.slot_without_length"
        elif ends_at <= now:
            yield place, "ends_at", "orders.slot_past"


def over_by(*, capacity: int | None, taken: int) -> int:
    """Return by how many portions a slot's taken exceeds a capacity that was lowered afterwards."""
    return max(0, taken - capacity) if capacity is not None else 0


def seconds_to_open(*, activated_at: datetime, opened_at: datetime) -> float:
    """Return the seconds from the commander's call to open channels (the field's best: 15 minutes)."""
    return (opened_at - activated_at).total_seconds()
