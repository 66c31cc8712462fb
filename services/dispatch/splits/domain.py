"""How a bulk load is shared out at the gate: units in = portions + losses, to the gram. Pure.

What is left of an offer in whole units goes to the households by the group's published rule, none of them
more than it was promised; what is left over below one unit is an offcut.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from services.contracts import sharing
from services.contracts.values import Point, ShortLine
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

    def __hash__(self) -> int:
        """Return what tells it from the load's other promises: all its fields would take long."""
        return hash((self.portion_id, self.line, self.offer_id))


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
        """Return what makes two tellings the same, as it is kept.

        The place is left out, as of a hand-over: a device that tells it again may know by then where it is.
        """
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
    return {
        offer_id: Item(
            offer_id=offer_id,
            product_id=wanting[0].product_id,
            name=wanting[0].name,
            grams=wanting[0].grams,
            units=sum(promise.quantity for promise in wanting),
        )
        for offer_id, wanting in _by_offer(promises).items()
    }


def settle(
    promises: Sequence[Promise],
    losses: Sequence[Loss],
    portions: Sequence[ToldPortion] | None,
    *,
    rule: str,
    seed: str,
) -> Sharing:
    """Return what a split without faults came to; where no portions are told, they are shared by the rule."""
    ruled = share_by_rule(promises, losses, rule=rule, seed=seed)
    given = ruled if portions is None else _as_told(promises, portions)
    booked = _book(promises, losses, given)
    units = {promise.offer_id: promise.grams for promise in promises}
    is_honest = all(loss.grams < units[loss.offer_id] for loss in booked if loss.reason is LossReason.OFFCUT)
    return Sharing(given, booked, is_by_rule=given == ruled and is_honest)


def share_by_rule(
    promises: Iterable[Promise], losses: Iterable[Loss], *, rule: str, seed: str
) -> dict[Promise, int]:
    """Return what each promise gets, by the published rule, of what is left in whole units."""
    lost = grams_lost(losses)
    given: dict[Promise, int] = {}
    for offer_id, wanting in _by_offer(promises).items():
        if not lost[offer_id]:
            given |= {promise: promise.quantity for promise in wanting}
            continue
        asked: Counter[UUID] = Counter()
        for promise in wanting:
            asked[promise.household_id] += promise.quantity
        # What was lost has a mass.
        grams = wanting[0].grams
        left = (grams * asked.total() - lost[offer_id]) // grams
        shared = sharing.RULES[rule](asked, left, seed=seed, product_id=wanting[0].product_id)
        given |= _deal(wanting, shared, whose=lambda promise: promise.household_id)
    return given


def short_lines(given: Mapping[Promise, int]) -> dict[UUID, tuple[ShortLine, ...]]:
    """Return the lines of each portion that got less than was promised, in their order."""
    found: dict[UUID, list[ShortLine]] = {}
    short = [promise for promise, quantity in given.items() if quantity < promise.quantity]
    for promise in sorted(short, key=lambda promise: (promise.portion_id, promise.line, promise.offer_id)):
        line = ShortLine(
            line=promise.line,
            product_id=promise.product_id,
            offer_id=promise.offer_id,
            promised=promise.quantity,
            given=given[promise],
        )
        found.setdefault(promise.portion_id, []).append(line)
    return {portion_id: tuple(lines) for portion_id, lines in found.items()}


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


def _by_offer(promises: Iterable[Promise]) -> dict[UUID, list[Promise]]:
    found: dict[UUID, list[Promise]] = {}
    for promise in promises:
        found.setdefault(promise.offer_id, []).append(promise)
    return dict(sorted(found.items()))


def _as_told(promises: Iterable[Promise], portions: Iterable[ToldPortion]) -> dict[Promise, int]:
    told: dict[UUID, Counter[UUID]] = {}
    for portion in portions:
        for offer_id, quantity in portion.lines:
            told.setdefault(offer_id, Counter())[portion.portion_id] += quantity
    given: dict[Promise, int] = {}
    for offer_id, wanting in _by_offer(promises).items():
        units = told.get(offer_id, Counter())
        given |= _deal(wanting, units, whose=lambda promise: promise.portion_id)
    return given


def _deal(
    promises: Iterable[Promise], units: Mapping[UUID, int], *, whose: Callable[[Promise], UUID]
) -> dict[Promise, int]:
    left = Counter(units)
    given = {}
    for promise in sorted(promises, key=lambda promise: (promise.portion_id, promise.line)):
        given[promise] = min(promise.quantity, left[whose(promise)])
        left[whose(promise)] -= given[promise]
    return given


def _book(
    promises: Iterable[Promise], losses: Sequence[Loss], given: Mapping[Promise, int]
) -> tuple[Loss, ...]:
    booked: Counter[tuple[UUID, LossReason]] = Counter()
    for loss in losses:
        booked[loss.offer_id, loss.reason] += loss.grams
    lost = grams_lost(losses)
    in_portions: Counter[UUID] = Counter()
    for promise, quantity in given.items():
        in_portions[promise.offer_id] += promise.grams * quantity
    for offer_id, item in items_of(promises).items():
        booked[offer_id, LossReason.OFFCUT] += item.in_g - in_portions[offer_id] - lost[offer_id]
    return tuple(
        Loss(offer_id, reason, grams) for (offer_id, reason), grams in sorted(booked.items()) if grams
    )
