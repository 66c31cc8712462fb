"""What hand-overs prove and what they make of a load. Pure: the same set in any order gives the same."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from services.contracts.dispatch import Leg
from services.contracts.values import ZoneClass
from services.dispatch.crew.domain import CrewClearance, is_cleared
from services.dispatch.loads.marks import PIN_TRIES, Marks
from services.kit.errors import Fault

# A device's clock may be so much ahead of ours (promises.md P15).
CLOCKS_APART: Final = timedelta(minutes=5)


class ProofKind(StrEnum):
    """What shows that goods changed hands."""

    QR = "qr"
    PIN = "pin"
    PHOTO = "photo"


# At the door also the household's word counts, or a picture of the bag before it.
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
    is_breach: bool = False

    @property
    def place_in_chain(self) -> tuple[int, datetime, UUID]:
        """Return what orders a unit's hand-overs: the leg, then the device's clock, then the id."""
        return self.leg, self.occurred_at, self.hand_over_id

    def is_same_as(self, other: "HandOver") -> bool:
        """Say whether two notes are of the same event, however each was judged."""
        return (self.load_unit_id, self.giver_id, self.taker_id, self.place_in_chain) == (
            other.load_unit_id,
            other.giver_id,
            other.taker_id,
            other.place_in_chain,
        )


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


@dataclass(frozen=True, slots=True)
class Moments:
    """When a load was first touched, and when the last of its units passed each leg."""

    touched_at: datetime | None
    passages: Mapping[Leg, HandOver]
    breached: AbstractSet[Leg]

    def at(self, leg: Leg) -> datetime | None:
        """Return when all of the load had passed a leg."""
        return self.passages[leg].occurred_at if leg in self.passages else None


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


def moments_of(load_unit_ids: AbstractSet[UUID], hand_overs: Sequence[HandOver]) -> Moments:
    """Return what a load's hand-overs make of it.

    A unit passes a leg when it is first handed over there; a load when its last unit has. The legs may come
    in any order: what is at its door is delivered, though its way there is told later.
    """
    passages = {}
    for leg in Leg:
        first: dict[UUID, HandOver] = {}
        for each in custody_of(hand_overs):
            if each.leg is leg:
                first.setdefault(each.load_unit_id, each)
        if load_unit_ids and load_unit_ids <= first.keys():
            passages[leg] = max(first.values(), key=lambda each: each.place_in_chain)
    return Moments(
        touched_at=min((each.occurred_at for each in hand_overs), default=None),
        passages=passages,
        breached={each.leg for each in hand_overs if each.is_breach},
    )


def find_uncleared(
    hand_over: HandOver,
    clearances: Mapping[UUID, CrewClearance],
    *,
    zone_class: ZoneClass,
    outlet_id: UUID,
) -> list[UUID]:
    """Return who touched the goods uncleared when it occurred; shop and household are not asked."""
    match hand_over.leg:
        case Leg.PICK_UP:
            carriers = {hand_over.giver_id, hand_over.taker_id} - {outlet_id}
        case Leg.GATE:
            carriers = {hand_over.giver_id, hand_over.taker_id}
        case Leg.DOOR:
            carriers = {hand_over.giver_id}
    return sorted(
        person_id
        for person_id in carriers
        if not is_cleared(clearances.get(person_id), zone_class, hand_over.occurred_at)
    )


def find_time_fault(pointer: str, occurred_at: datetime, now: datetime) -> Fault | None:
    """Name a moment that no clock a little ahead of ours can explain."""
    if occurred_at <= now + CLOCKS_APART:
        return None
    return Fault(f"{pointer}/occurred_at", "dispatch.occurred_in_future", {"now": now.isoformat()})


def find_proof_fault(pointer: str, proof: Proof, hand_over: HandOver, against: Evidence) -> Fault | None:
    """Name what is wrong with a proof; a wrong PIN is added to the evidence, and five spend the PIN."""
    if proof.kind not in ALLOWED[hand_over.leg]:
        return Fault(f"{pointer}/proof/kind", "dispatch.proof_not_allowed", {"leg": int(hand_over.leg)})
    value = proof.value or ""
    match proof.kind:
        case ProofKind.PHOTO:
            missing = proof.photo_sha256 is None
            return Fault(f"{pointer}/proof/photo_sha256", "dispatch.photo_missing") if missing else None
        case ProofKind.QR:
            proven = against.marks.is_label_of(hand_over.load_unit_id, value)
            return None if proven else Fault(f"{pointer}/proof/value", "dispatch.proof_wrong")
    if len(against.wrong_pins) >= PIN_TRIES:
        return Fault(f"{pointer}/proof/kind", "dispatch.pin_tries_spent")
    if against.marks.is_pin_of(against.portion_id, value):
        return None
    against.wrong_pins.add(against.marks.digest_of_try(against.portion_id, value))
    left = PIN_TRIES - len(against.wrong_pins)
    return Fault(f"{pointer}/proof/value", "dispatch.proof_wrong", {"tries_left": left})
