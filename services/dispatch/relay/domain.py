"""What hand-overs prove and what they make of a load. Pure: the same set in any order gives the same.

A device's moment is kept as it was told. What counts is the moment reckoned from it: nothing of a load can
have left before its order was confirmed, so a clock that says so is wrong. A little behind (`CLOCKS_APART`)
it is set to the confirmation; further behind it says nothing, and the moment of recording counts, marked
doubtful.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from services.contracts.dispatch import Leg
from services.contracts.orders import Form
from services.dispatch.loads.domain import UnitKind
from services.dispatch.loads.marks import PIN_TRIES, Marks
from services.kit.errors import Fault

# A device's clock may be so much ahead of ours (promises.md P15).
CLOCKS_APART: Final = timedelta(minutes=5)


class ProofKind(StrEnum):
    """What shows that goods changed hands."""

    QR = "qr"
    PIN = "pin"
    PHOTO = "photo"


# Who takes a unit from a person scans it. The label alone proves no door, for its giver carries it: there the
# household tells its PIN, or the giver scans the label and takes a picture of the bag before the door.
ALLOWED: Final[Mapping[Leg, frozenset[ProofKind]]] = {
    Leg.PICK_UP: frozenset({ProofKind.QR}),
    Leg.GATE: frozenset({ProofKind.QR}),
    Leg.DOOR: frozenset(ProofKind),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """One load unit that changed hands, as a device noted it."""

    hand_over_id: UUID
    load_unit_id: UUID
    leg: Leg
    giver_id: UUID
    taker_id: UUID
    occurred_at: datetime
    # The moment that counts, where it is not the device's own.
    reckoned_at: datetime | None = None
    clock_doubtful: bool = False
    is_breach: bool = False

    @property
    def people(self) -> tuple[UUID, UUID]:
        """Return who gave and who took."""
        return self.giver_id, self.taker_id

    @property
    def at(self) -> datetime:
        """Return the moment that counts."""
        return self.reckoned_at or self.occurred_at

    @property
    def place_in_chain(self) -> tuple[int, datetime, UUID]:
        """Return what orders a unit's hand-overs: the leg, then the moment that counts, then the id."""
        return self.leg, self.at, self.hand_over_id

    def is_same_as(self, other: "HandOver") -> bool:
        """Say whether two notes are of the same event, however each was judged."""
        return self.as_told == other.as_told

    @property
    def as_told(self) -> tuple[UUID, UUID, Leg, UUID, UUID, datetime]:
        """Return what the device said, before anything was reckoned or judged."""
        return (
            self.hand_over_id, self.load_unit_id, self.leg, self.giver_id, self.taker_id, self.occurred_at,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a device gives as proof; the value is a scanned text or six digits."""

    kind: ProofKind
    value: str | None = None
    photo_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What proofs are held against: the marks, and what was wrongly told for the portion so far."""

    marks: Marks
    portion_id: UUID
    wrong_pins: set[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a load is carried in, and by portion the bags that something is in; bagged, they are the same.

    What is carried of a load in bulk ends at the gate, where its bags come to be; those that the split has
    left empty are spare.
    """

    carried: frozenset[UUID]
    bags: Mapping[UUID, frozenset[UUID]]
    order_ids: tuple[UUID, ...]
    spare: Mapping[UUID, frozenset[UUID]] = field(default_factory=dict)
    split_at: datetime | None = None
    split_by: UUID | None = None

    @property
    def all_bags(self) -> frozenset[UUID]:
        """Return everything that is to reach a door."""
        return frozenset().union(*self.bags.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """How the last of a load passed a leg; a load that was split had come to its gate, told or not."""

    giver_id: UUID
    taker_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class Moments:
    """When a load was first touched, and when the last of its units passed each leg.

    `emptied_at` is when it turned out that there was nothing in it for any door.
    """

    touched_at: datetime | None
    passages: Mapping[Leg, Passage]
    breached: AbstractSet[Leg]
    emptied_at: datetime | None = None

    def at(self, leg: Leg) -> datetime | None:
        """Return when all of the load had passed a leg."""
        if leg in self.passages:
            return self.passages[leg].at
        return self.emptied_at if leg is Leg.DOOR else None

    def taker(self, leg: Leg) -> UUID | None:
        """Return who took what of the load passed a leg last; None: it has not passed."""
        return self.passages[leg].taker_id if leg in self.passages else None


def custody_of(hand_overs: Iterable[HandOver]) -> list[HandOver]:
    """Return the chain of custody of one unit, each hand-over once."""
    return sorted(
        {each.hand_over_id: each for each in hand_overs}.values(), key=lambda each: each.place_in_chain
    )


def holder_of(hand_overs: Iterable[HandOver]) -> UUID | None:
    """Return who has a unit; None: it was never handed over."""
    chain = custody_of(hand_overs)
    return chain[-1].taker_id if chain else None


def takers_of(hand_overs: Iterable[HandOver]) -> frozenset[UUID]:
    """Return everyone who ever had some of this in hand on its way."""
    return frozenset(each.taker_id for each in hand_overs if each.leg is not Leg.DOOR)


def holders_of(contents: Contents, hand_overs: Iterable[HandOver]) -> dict[UUID, UUID | None]:
    """Return who has each unit of a load; None: it is at the outlet, or is split and holds nothing any more.

    A bag that never changed hands is with who split its load, and until then with who has all of the crates.
    """
    chains: dict[UUID, list[HandOver]] = {}
    for each in hand_overs:
        chains.setdefault(each.load_unit_id, []).append(each)
    last = {load_unit_id: holder_of(chain) for load_unit_id, chain in chains.items()}
    carriers = {last.get(load_unit_id) for load_unit_id in contents.carried}
    at_gate = contents.split_by or (carriers.pop() if len(carriers) == 1 else None)
    carried = {each: None if contents.split_by else last.get(each) for each in contents.carried}
    return {**dict.fromkeys(contents.all_bags, at_gate), **last, **carried}


def moments_of(contents: Contents, hand_overs: Sequence[HandOver]) -> Moments:
    """Return what a load's hand-overs, and its split, make of it.

    A unit passes a leg when it is first handed over there; a load when its last unit has. The legs may come
    in any order: what is at its door is delivered, though its way there is told later.
    """
    split_at, split_by = contents.split_at, contents.split_by
    passing = {Leg.PICK_UP: contents.carried, Leg.GATE: contents.carried, Leg.DOOR: contents.all_bags}
    passages = {}
    for leg, wanted in passing.items():
        first = first_passages(hand_overs, leg)
        if wanted and wanted <= first.keys():
            last = max((first[each] for each in wanted), key=lambda each: each.place_in_chain)
            passages[leg] = Passage(giver_id=last.giver_id, taker_id=last.taker_id, at=last.at)
    if split_at and split_by:
        passages.setdefault(Leg.GATE, Passage(giver_id=split_by, taker_id=split_by, at=split_at))
    touches = [each.at for each in hand_overs]
    return Moments(
        touched_at=min([*touches, split_at] if split_at else touches, default=None),
        passages=passages,
        breached={
            each.leg for each in hand_overs if each.is_breach and each.load_unit_id in passing[each.leg]
        },
        emptied_at=None if contents.all_bags else split_at,
    )


def deliveries_of(
    bags: Mapping[UUID, AbstractSet[UUID]], hand_overs: Iterable[HandOver]
) -> dict[UUID, datetime]:
    """Return when those portions had reached their door of which every bag has."""
    first = first_passages(hand_overs, Leg.DOOR)
    return {
        portion_id: max(first[each].at for each in wanted)
        for portion_id, wanted in bags.items()
        if wanted and wanted <= first.keys()
    }


def first_passages(hand_overs: Iterable[HandOver], leg: Leg) -> dict[UUID, HandOver]:
    """Return the hand-over by which each unit passed a leg."""
    first: dict[UUID, HandOver] = {}
    for each in custody_of(each for each in hand_overs if each.leg is leg):
        first.setdefault(each.load_unit_id, each)
    return first


def reckon(hand_over: HandOver, *, confirmed_at: datetime, now: datetime) -> HandOver:
    """Return a hand-over of a load whose order was confirmed then, with the moment that counts."""
    at, is_doubtful = reckon_moment(hand_over.occurred_at, confirmed_at=confirmed_at, now=now)
    return replace(hand_over, reckoned_at=at, clock_doubtful=is_doubtful)


def reckon_moment(told: datetime, *, confirmed_at: datetime, now: datetime) -> tuple[datetime, bool]:
    """Return the moment that counts for what a device told, and whether its clock is doubtful."""
    if told >= confirmed_at - CLOCKS_APART:
        return max(told, confirmed_at), False
    return now, True


def find_time_fault(pointer: str, occurred_at: datetime, now: datetime) -> Fault | None:
    """Name a moment that no clock a little ahead of ours can explain."""
    if occurred_at <= now + CLOCKS_APART:
        return None
    return Fault(f"{pointer}/occurred_at", "dispatch.occurred_in_future", {"now": now.isoformat()})


def find_kind_fault(pointer: str, leg: Leg, kind: UnitKind, form: Form) -> Fault | None:
    """Name a unit that is not there on a leg: bulk is in crates up to the gate, and in bags from there."""
    is_bag = kind is UnitKind.HOUSEHOLD_BAG
    before_the_gate = is_bag and form is Form.BULK and leg is Leg.PICK_UP
    behind_the_gate = not is_bag and leg is Leg.DOOR
    if not (before_the_gate or behind_the_gate):
        return None
    return Fault(f"{pointer}/leg", "dispatch.unit_not_of_leg", {"leg": int(leg), "kind": kind})


def find_proof_fault(pointer: str, proof: Proof, hand_over: HandOver, against: Evidence) -> Fault | None:
    """Name what is wrong with a proof; a wrong PIN is added to the evidence, and five spend the PIN.

    A photo without a scan counts once the PIN is spent: then nothing else is left to a household that cannot
    read its PIN out and a bag whose label is gone.
    """
    if proof.kind not in ALLOWED[hand_over.leg]:
        return Fault(f"{pointer}/proof/kind", "dispatch.proof_not_allowed", {"leg": int(hand_over.leg)})
    if proof.kind is ProofKind.PIN:
        return _find_pin_fault(pointer, proof.value or "", against)
    left = PIN_TRIES - len(against.wrong_pins)
    if proof.kind is ProofKind.PHOTO and left > 0:
        return Fault(f"{pointer}/proof/kind", "dispatch.pin_tries_left", {"tries_left": left})
    if proof.kind is ProofKind.QR and not is_scan(proof, hand_over.load_unit_id, against.marks):
        return Fault(f"{pointer}/proof/value", "dispatch.proof_wrong")
    if hand_over.leg is Leg.DOOR and proof.photo_sha256 is None:
        return Fault(f"{pointer}/proof/photo_sha256", "dispatch.photo_missing")
    return None


def is_scan(proof: Proof, load_unit_id: UUID, marks: Marks) -> bool:
    """Say whether a proof is the unit's own label: whoever shows it had the unit in hand."""
    return proof.kind is ProofKind.QR and marks.is_label_of(load_unit_id, proof.value or "")


def _find_pin_fault(pointer: str, told: str, against: Evidence) -> Fault | None:
    if len(against.wrong_pins) >= PIN_TRIES:
        return Fault(f"{pointer}/proof/kind", "dispatch.pin_tries_spent")
    if against.marks.is_pin_of(against.portion_id, told):
        return None
    against.wrong_pins.add(against.marks.digest_of_try(against.portion_id, told))
    left = PIN_TRIES - len(against.wrong_pins)
    return Fault(f"{pointer}/proof/value", "dispatch.proof_wrong", {"tries_left": left})
