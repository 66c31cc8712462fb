"""What a pass must be, and what it allows. Pure.

Checked: the form of the number and of both division codes, one number one vehicle, one vehicle one route at
a time, the validity over the whole of a trip, the crew where the pass names one. Not checked: that a trip's
goods are of the pass's class and that its way lies between its origin and its destination. Those three are
kept and shown to who asks at a road block; no event tells the division of an outlet or of a gate, so nothing
here could hold a route against them.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from services.kit.errors import Fault

# 6 digits of the division that issued it (GB/T 2260, its provinces 11 to 82), then a serial of 6.
NUMBER: Final = re.compile(r"[1-8][1-9]\d{10}", re.ASCII)
CODE: Final = re.compile(r"[1-8][1-9]\d{4}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A vehicle's right to carry one class of goods on one route, in a time whose end is not included."""

    number: str
    vehicle_id: UUID
    goods_class: str
    origin_code: str
    destination_code: str
    valid_from: datetime
    valid_to: datetime
    crew: frozenset[UUID]

    def covers(self, starts_at: datetime, ends_at: datetime) -> bool:
        """Say whether the pass is valid for the whole of a time."""
        return self.valid_from <= starts_at and ends_at <= self.valid_to

    def admits(self, person_id: UUID) -> bool:
        """Say whether a person may drive under the pass; one without a crew names nobody and admits all."""
        return not self.crew or person_id in self.crew

    @property
    def route(self) -> tuple[str, str]:
        """Return where the pass leads from and to."""
        return self.origin_code, self.destination_code


def find_form_faults(pointer: str, wanted: Pass) -> list[Fault]:
    """Name what is wrong with a pass by itself."""
    faults = []
    if not NUMBER.fullmatch(wanted.number):
        faults.append(Fault(f"{pointer}/number", "dispatch.pass_number_malformed"))
    for field, code in (("origin_code", wanted.origin_code), ("destination_code", wanted.destination_code)):
        if not CODE.fullmatch(code):
            faults.append(Fault(f"{pointer}/{field}", "dispatch.division_code_malformed"))
    if wanted.valid_from >= wanted.valid_to:
        faults.append(Fault(f"{pointer}/valid_to", "dispatch.pass_validity_empty"))
    return faults


def find_clashes(pointer: str, wanted: Pass, others: Iterable[Pass]) -> list[Fault]:
    """Name what a pass contradicts: one number is one vehicle's, one vehicle has one route at a time."""
    faults = []
    for other in others:
        if other.number == wanted.number:
            if other.vehicle_id != wanted.vehicle_id:
                faults.append(Fault(f"{pointer}/number", "dispatch.pass_number_taken"))
            continue
        if other.vehicle_id == wanted.vehicle_id and _overlap(wanted, other):
            facts = {"valid_from": other.valid_from.isoformat(), "valid_to": other.valid_to.isoformat()}
            faults.append(Fault(f"{pointer}/plate", "dispatch.pass_overlaps", facts))
    return faults


def find_usable(passes: Iterable[Pass], starts_at: datetime, ends_at: datetime) -> Pass | None:
    """Return the pass of one vehicle that is valid for the whole of a time; None: it may not go."""
    usable = (each for each in passes if each.covers(starts_at, ends_at))
    return max(usable, key=lambda each: (each.valid_to, each.number), default=None)


def find_drivable(passes: Iterable[Pass], cleared: Collection[UUID]) -> list[Pass]:
    """Return the passes under which one of these people may drive.

    Where there is none, all: a plan that waits for its drivers is better than no plan.
    """
    known = list(passes)
    return [each for each in known if any(each.admits(person_id) for person_id in cleared)] or known


def _overlap(wanted: Pass, other: Pass) -> bool:
    return wanted.valid_from < other.valid_to and other.valid_from < wanted.valid_to
