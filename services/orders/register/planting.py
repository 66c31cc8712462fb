"""An import of areas, judged item by item: what is planted, what changes, what cannot be and why. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from services.contracts.orders import AreaLevel
from services.contracts.values import Point
from services.orders.register.domain import Area, BrokenTree, paths_of

RANK: Mapping[AreaLevel, int] = {level: rank for rank, level in enumerate(AreaLevel)}


class Outcome(StrEnum):
    """What became of an item of an import."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An area as it is given: the code is its name among those who plan."""

    code: str
    title: str
    level: AreaLevel
    parent_code: str | None
    gate: Point | None
    head_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An area that stands already."""

    area_id: UUID
    wanted: Wanted
    path: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An item with its outcome; a refused one has no area, and the field that is at fault."""

    outcome: Outcome
    area_id: UUID | None = None
    path: tuple[UUID, ...] = ()
    field: str = ""
    code: str = ""


def judge(
    wanted: Sequence[Wanted],
    standing: Mapping[str, Node],
    *,
    new_ids: Iterable[UUID],
    reaches: Callable[[tuple[UUID, ...]], bool],
) -> list[Judged]:
    """Judge a batch; parents stand already or come in the same batch, in any order.

    A refused parent refuses what would grow on it. A new root needs no reach: nobody's area is touched.
    """
    levels = _levels_of(wanted, standing)
    refused = {
        place: fault for place, item in enumerate(wanted) if (fault := _fault_of(item, levels, standing))
    }
    for place in _repeated(wanted):
        refused[place] = ("code", "orders.code_repeated")
    ids = {code: node.area_id for code, node in standing.items()}
    fresh = iter(new_ids)
    for place, item in enumerate(wanted):
        if place not in refused and item.code not in ids:
            ids[item.code] = next(fresh)
    paths = _find_paths(wanted, standing, ids, refused)
    planted = {
        ids[item.code] for place, item in enumerate(wanted) if _is_new_root(place, item, standing, refused)
    }

    def may_touch(path: tuple[UUID, ...]) -> bool:
        return path[0] in planted or reaches(path)

    return [
        _judge_one(
            item,
            standing.get(item.code),
            refused.get(place),
            paths.get(ids[item.code]) if item.code in ids else None,
            may_touch,
        )
        for place, item in enumerate(wanted)
    ]


def _judge_one(
    item: Wanted,
    node: Node | None,
    fault: tuple[str, str] | None,
    path: tuple[UUID, ...] | None,
    may_touch: Callable[[tuple[UUID, ...]], bool],
) -> Judged:
    if fault:
        return Judged(outcome=Outcome.REFUSED, field=fault[0], code=fault[1])
    if path is None:
        return Judged(outcome=Outcome.REFUSED, field="parent_code", code=BrokenTree.code)
    if not may_touch(path):
        return Judged(outcome=Outcome.REFUSED, field="code", code="kit.forbidden")
    outcome = Outcome.CREATED
    if node:
        outcome = Outcome.UNCHANGED if node.wanted == item else Outcome.UPDATED
    return Judged(outcome=outcome, area_id=path[-1], path=path)


def _levels_of(wanted: Sequence[Wanted], standing: Mapping[str, Node]) -> Mapping[str, AreaLevel]:
    # Of a code given twice the first counts: the later ones are refused.
    levels = {item.code: item.level for item in reversed(wanted)}
    return {**levels, **{code: node.wanted.level for code, node in standing.items()}}


def _fault_of(
    item: Wanted, levels: Mapping[str, AreaLevel], standing: Mapping[str, Node]
) -> tuple[str, str] | None:
    node = standing.get(item.code)
    if node and (node.wanted.level, node.wanted.parent_code) != (item.level, item.parent_code):
        return "parent_code", "orders.area_moved"
    parent = levels.get(item.parent_code) if item.parent_code else None
    if (
        item.level is AreaLevel.BUILDING
        and parent is not AreaLevel.COMMUNITY
        and (parent or not item.parent_code)
    ):
        return "parent_code", "orders.building_without_community"
    if parent and RANK[parent] >= RANK[item.level]:
        return "level", "orders.level_not_below"
    return None


def _repeated(wanted: Sequence[Wanted]) -> list[int]:
    seen: set[str] = set()
    repeated = []
    for place, item in enumerate(wanted):
        if item.code in seen:
            repeated.append(place)
        seen.add(item.code)
    return repeated


def _find_paths(
    wanted: Sequence[Wanted],
    standing: Mapping[str, Node],
    ids: Mapping[str, UUID],
    refused: Mapping[int, object],
) -> Mapping[UUID, tuple[UUID, ...]]:
    """Return the path of every area that hangs in the tree; a stray one has none."""
    new = {
        ids[item.code]: Area(ids[item.code], _parent_of(item, ids))
        for place, item in enumerate(wanted)
        if place not in refused and item.code not in standing
    }
    # What stands is given as bare nodes, so that only the new ones can be strays.
    trunk = [
        Area(area_id, node.path[place - 1] if place else None)
        for node in standing.values()
        for place, area_id in enumerate(node.path)
    ]
    try:
        found = paths_of([*trunk, *new.values()])
    except BrokenTree as broken:
        found = paths_of([*trunk, *(area for area in new.values() if area.area_id not in broken.area_ids)])
    return found


def _parent_of(item: Wanted, ids: Mapping[str, UUID]) -> UUID | None:
    if item.parent_code is None:
        return None
    # An unknown parent must not look like a root: the area's own id makes it a stray.
    return ids.get(item.parent_code, ids[item.code])


def _is_new_root(
    place: int, item: Wanted, standing: Mapping[str, Node], refused: Mapping[int, object]
) -> bool:
    return item.parent_code is None and item.code not in standing and place not in refused
