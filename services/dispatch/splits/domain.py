"""How a bulk load is shared out at the gate: units in = portions + losses, to the gram. Pure.

What is left of an offer in whole units goes to the households by the group's published rule, none of them
more than it was promised; what is left over below one unit is an offcut.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from services.contracts import sharing
from services.contracts.values import Point, ShortLine
from services.dispatch.loads.domain import UnitLine
from services.dispatch.loads.marks import Marks


class LossReason(StrEnum):
    """What became of goods that are in no portion."""

    MISSING = "missing"
    SPOILED = "spoiled"
    DAMAGED = "damaged"
    OFFCUT = "offcut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """So many sale units of an offer for one household; `grams` is the mass of one. One for each line."""

    portion_id: UUID
    household_id: UUID
    line: int
    product_id: UUID
    offer_id: UUID
    name: str
    grams: int
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """All of one offer in a load."""

    offer_id: UUID
    product_id: UUID
    name: str
    grams: int
    units: int

    @property
    def in_g(self) -> int:
        """Return what came in."""
        return self.grams * self.units


@dataclass(frozen=True, slots=True)
class Loss:
    """So many grams of an offer that are in no portion."""

    offer_id: UUID
    reason: LossReason
    grams: int


@dataclass(frozen=True, slots=True)
class ToldPortion:
    """What a steward says to have put together for a household: units by offer."""

    portion_id: UUID
    lines: tuple[tuple[UUID, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldSplit:
    """A split as a device tells it; without portions, the goods are shared here."""

    split_id: UUID
    load_id: UUID
    steward_id: UUID
    occurred_at: datetime
    # The label of one of the load's crates, as it was scanned.
    scanned: str
    place: Point | None
    losses: tuple[Loss, ...]
    portions: tuple[ToldPortion, ...] | None

    @property
    def content(self) -> dict[str, object]:
        """Return what makes two tellings the same, as it is kept."""
        losses = sorted([str(loss.offer_id), loss.reason, loss.grams] for loss in self.losses)
        portions = sorted(
            [str(each.portion_id), sorted([str(offer_id), units] for offer_id, units in each.lines)]
            for each in self.portions or ()
        )
        return {
            "steward_id": str(self.steward_id),
            "occurred_at": self.occurred_at.astimezone(UTC).isoformat(),
            "losses": losses,
            "portions": None if self.portions is None else portions,
        }


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a split came to: what each promise got, and all that was lost."""

    given: Mapping[Promise, int]
    losses: tuple[Loss, ...]
    is_by_rule: bool

    @property
    def in_g(self) -> int:
        """Return what came in."""
        return sum(promise.grams * promise.quantity for promise in self.given)

    @property
    def portions_g(self) -> int:
        """Return what is in the portions."""
        return sum(promise.grams * quantity for promise, quantity in self.given.items())

    @property
    def loss_g(self) -> int:
        """Return what is in none."""
        return sum(loss.grams for loss in self.losses)


def items_of(promises: Iterable[Promise]) -> dict[UUID, Item]:
    """Return how much of each offer there is, in the offers' order."""
    found: dict[UUID, Item] = {}
    for promise in sorted(promises, key=lambda promise: promise.offer_id):
        known = found.get(promise.offer_id)
        found[promise.offer_id] = Item(
            offer_id=promise.offer_id,
            product_id=promise.product_id,
            name=promise.name,
            grams=promise.grams,
            units=promise.quantity + (known.units if known else 0),
        )
    return found


def settle(
    promises: Sequence[Promise],
    losses: Sequence[Loss],
    portions: Sequence[ToldPortion] | None,
    *,
    seed: str,
) -> Sharing:
    """Return what a split without faults came to; where no portions are told, they are shared by the rule."""
    ruled = share_by_rule(promises, losses, seed=seed)
    given = ruled if portions is None else _as_told(promises, portions)
    booked = _book(promises, losses, given)
    units = {promise.offer_id: promise.grams for promise in promises}
    is_honest = all(loss.grams < units[loss.offer_id] for loss in booked if loss.reason is LossReason.OFFCUT)
    return Sharing(given, booked, is_by_rule=given == ruled and is_honest)


def share_by_rule(promises: Sequence[Promise], losses: Iterable[Loss], *, seed: str) -> dict[Promise, int]:
    """Return what each promise gets of what is left in whole units."""
    lost = grams_lost(losses)
    given: dict[Promise, int] = {}
    for offer_id, item in items_of(promises).items():
        wanting = [promise for promise in promises if promise.offer_id == offer_id]
        left = (item.in_g - lost[offer_id]) // item.grams if item.grams else item.units
        asked: Counter[UUID] = Counter()
        for promise in wanting:
            asked[promise.household_id] += promise.quantity
        shared = sharing.share(asked, left, seed=seed, product_id=item.product_id)
        given |= _deal(wanting, shared, whose=lambda promise: promise.household_id)
    return given


def short_lines(given: Mapping[Promise, int]) -> dict[UUID, tuple[ShortLine, ...]]:
    """Return the lines of each portion that got less than was promised, in their order."""
    found: dict[UUID, list[ShortLine]] = {}
    for promise in sorted(given, key=lambda promise: (promise.portion_id, promise.line, promise.offer_id)):
        if given[promise] < promise.quantity:
            line = ShortLine(
                line=promise.line,
                product_id=promise.product_id,
                offer_id=promise.offer_id,
                promised=promise.quantity,
                given=given[promise],
            )
            found.setdefault(promise.portion_id, []).append(line)
    return {portion_id: tuple(lines) for portion_id, lines in found.items()}


def take_out(bags: Sequence[Sequence[UnitLine]], short: Iterable[ShortLine]) -> list[list[UnitLine]]:
    """Return what is in a portion's bags without what is missing: the last bags are emptied first."""
    missing = {(line.line, line.offer_id): line.promised - line.given for line in short}
    left: list[list[UnitLine]] = []
    for bag in reversed(bags):
        kept = []
        for line in bag:
            taken = min(line.quantity, missing.get((line.line, line.offer_id), 0))
            if taken:
                missing[line.line, line.offer_id] -= taken
            if taken < line.quantity:
                kept.append(replace(line, quantity=line.quantity - taken))
        left.append(kept)
    return left[::-1]


def is_scan(scanned: str, crates: Iterable[UUID], marks: Marks) -> bool:
    """Say whether a scanned text is the label of one of these crates; all of them are held against it."""
    return sum(marks.is_label_of(crate, scanned) for crate in crates) > 0


def grams_lost(losses: Iterable[Loss]) -> Counter[UUID]:
    """Return how much of each offer is in no portion."""
    lost: Counter[UUID] = Counter()
    for loss in losses:
        lost[loss.offer_id] += loss.grams
    return lost


def units_of(portion: ToldPortion) -> Counter[UUID]:
    """Return how much of each offer a portion is said to hold."""
    units: Counter[UUID] = Counter()
    for offer_id, quantity in portion.lines:
        units[offer_id] += quantity
    return units


def _as_told(promises: Sequence[Promise], portions: Iterable[ToldPortion]) -> dict[Promise, int]:
    told = {portion.portion_id: units_of(portion) for portion in portions}
    given: dict[Promise, int] = {}
    for offer_id in items_of(promises):
        wanting = [promise for promise in promises if promise.offer_id == offer_id]
        units = {portion_id: lines[offer_id] for portion_id, lines in told.items()}
        given |= _deal(wanting, units, whose=lambda promise: promise.portion_id)
    return given


def _deal(
    promises: Iterable[Promise], units: Mapping[UUID, int], *, whose: Callable[[Promise], UUID]
) -> dict[Promise, int]:
    left = dict(units)
    given = {}
    for promise in sorted(promises, key=lambda promise: (promise.portion_id, promise.line)):
        given[promise] = min(promise.quantity, left[whose(promise)])
        left[whose(promise)] -= given[promise]
    return given


def _book(
    promises: Sequence[Promise], losses: Iterable[Loss], given: Mapping[Promise, int]
) -> tuple[Loss, ...]:
    booked: Counter[tuple[UUID, LossReason]] = Counter()
    for loss in losses:
        booked[loss.offer_id, loss.reason] += loss.grams
    lost = grams_lost(losses)
    for offer_id, item in items_of(promises).items():
        in_portions = sum(
            promise.grams * quantity for promise, quantity in given.items() if promise.offer_id == offer_id
        )
        booked[offer_id, LossReason.OFFCUT] += item.in_g - in_portions - lost[offer_id]
    return tuple(
        Loss(offer_id, reason, grams) for (offer_id, reason), grams in sorted(booked.items()) if grams
    )
