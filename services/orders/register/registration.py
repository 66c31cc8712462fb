"""An import of households, judged item by item. Pure; what names a household passes through, unsealed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.orders.register.planting import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A household as it is given, in a building named by its id or by its code."""

    external_id: str
    building_id: UUID | None
    building_code: str | None
    persons: int
    # What is sealed: the address within the building and who to ask for.
    personal: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Building:
    """A building with its path from the root, itself last, its community before it."""

    area_id: UUID
    path: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """A household that is registered already."""

    household_id: UUID
    building_id: UUID
    is_erased: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """An item with its outcome; a refused one has no household, and the field that is at fault."""

    outcome: Outcome
    household_id: UUID | None = None
    building: Building | None = None
    field: str = ""
    code: str = ""


def judge(
    item: Registration,
    standing: Standing | None,
    places: Mapping[UUID | str, Building],
    *,
    new_id: UUID,
    reaches: Callable[[tuple[UUID, ...]], bool],
) -> Registered:
    """Say where a household is registered, or why it cannot be; if it changed at all is seen at its seal."""
    field = "building_id" if item.building_id else "building_code"
    building = places.get(item.building_id or item.building_code or "")
    if building is None:
        return _refuse(field, "orders.building_unknown")
    before = places[standing.building_id] if standing else building
    if not (reaches(building.path) and reaches(before.path)):
        return _refuse(field, "kit.forbidden")
    if standing and standing.is_erased:
        # A file kept elsewhere must not bring back who asked to be forgotten.
        return _refuse("external_id", "orders.household_erased")
    return Registered(
        outcome=Outcome.UPDATED if standing else Outcome.CREATED,
        household_id=standing.household_id if standing else new_id,
        building=building,
    )


def refuse_repeated(wanted: Sequence[Registration], judged: Sequence[Registered]) -> list[Registered]:
    """Refuse every item after the first that has the same external id."""
    seen: set[str] = set()
    outcomes = []
    for item, each in zip(wanted, judged, strict=True):
        repeated = item.external_id in seen
        outcomes.append(_refuse("external_id", "orders.external_id_repeated") if repeated else each)
        seen.add(item.external_id)
    return outcomes


def as_unchanged(registered: Registered) -> Registered:
    """Return the item as one that changes nothing."""
    return replace(registered, outcome=Outcome.UNCHANGED)


def _refuse(field: str, code: str) -> Registered:
    return Registered(outcome=Outcome.REFUSED, field=field, code=code)
