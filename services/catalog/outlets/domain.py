"""What makes an outlet an emergency outlet. Pure; `today` is the town's own date."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from services.contracts.values import OutletKind, Point
from services.kit.errors import Fault

NO_END: Final = date.max


class Risk(StrEnum):
    """How likely an outlet is to be closed or to spread what closed the zone."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class LicenceKind(StrEnum):
    """What an outlet may be licensed for: trade, food, drugs (营业, 食品经营, 药品经营)."""

    BUSINESS = "business"
    FOOD = "food"
    DRUG = "drug"


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence as the outlet shows it; one without an end is long-term (长期)."""

    kind: LicenceKind
    number: str
    valid_to: date | None

    def is_valid_on(self, day: date) -> bool:
        """Say whether the licence holds on `day`, its last day included."""
        return day <= (self.valid_to or NO_END)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the ledger says of an outlet."""

    external_id: str
    name: str
    kind: OutletKind
    position: Point
    scale_m2: int
    capacity_orders: int
    reserve_person_days: int
    licences: tuple[Licence, ...]
    risk: Risk


@dataclass(frozen=True, slots=True)
class LicencePolicy:
    """A licence that outlets of a kind need, and the law that says so; dated data, never a constant."""

    outlet_kind: OutletKind
    licence_kind: LicenceKind
    legal_ref: str


def find_unmet(
    outlet: Facts, policies: Iterable[LicencePolicy], *, has_pledge: bool, today: date
) -> tuple[Fault, ...]:
    """Return every requirement that an outlet does not meet today; none means that it qualifies."""
    unmet = [
        fault
        for policy in policies
        if policy.outlet_kind is outlet.kind
        and (fault := _licence_fault(outlet.licences, policy, today)) is not None
    ]
    if not has_pledge:
        unmet.append(Fault("/pledge", "catalog.pledge_missing"))
    if outlet.risk is Risk.HIGH:
        unmet.append(Fault("/risk", "catalog.risk_high"))
    if outlet.capacity_orders == 0:
        unmet.append(Fault("/capacity_orders", "catalog.capacity_missing"))
    return tuple(unmet)


def qualified_until(outlet: Facts, policies: Iterable[LicencePolicy]) -> date:
    """Return the last day on which a qualified outlet still has every licence that its kind needs."""
    return min(
        (
            _last_day(outlet.licences, policy.licence_kind)
            for policy in policies
            if policy.outlet_kind is outlet.kind
        ),
        default=NO_END,
    )


def find_repeated(licences: Sequence[Licence]) -> tuple[int, ...]:
    """Return the places of licences that stand in the list before."""
    seen: set[tuple[LicenceKind, str]] = set()
    repeated = []
    for place, licence in enumerate(licences):
        if (licence.kind, licence.number) in seen:
            repeated.append(place)
        seen.add((licence.kind, licence.number))
    return tuple(repeated)


def _licence_fault(licences: Iterable[Licence], policy: LicencePolicy, today: date) -> Fault | None:
    held = [licence for licence in licences if licence.kind is policy.licence_kind]
    facts: dict[str, object] = {"licence_kind": policy.licence_kind, "legal_ref": policy.legal_ref}
    if not held:
        return Fault("/licences", "catalog.licence_missing", facts)
    if any(licence.is_valid_on(today) for licence in held):
        return None
    last = _last_day(held, policy.licence_kind)
    return Fault("/licences", "catalog.licence_expired", facts | {"valid_to": last})


def _last_day(licences: Iterable[Licence], kind: LicenceKind) -> date:
    return max(licence.valid_to or NO_END for licence in licences if licence.kind is kind)
