"""The tree of areas: city › district › street › community › compound › building. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from services.contracts.values import ZoneClass


@dataclass(frozen=True, slots=True)
class Area:
    """A node of the tree; its class is None where the parent's holds."""

    area_id: UUID
    parent_id: UUID | None
    zone_class: ZoneClass | None = None


@dataclass(frozen=True, slots=True)
class Home:
    """Where a household lives; the path leads from the root to the building."""

    household_id: UUID
    building_id: UUID
    community_id: UUID
    path: tuple[UUID, ...]


class BrokenTree(Exception):
    """Areas whose parent is unknown, or that are their own ancestor."""

    code = "orders.broken_tree"

    def __init__(self, *, area_ids: frozenset[UUID]) -> None:
        super().__init__(self.code)
        self.area_ids = area_ids


def paths_of(areas: Iterable[Area]) -> Mapping[UUID, tuple[UUID, ...]]:
    """Return each area's path from the root, itself last; raise `BrokenTree` naming every stray area."""
    nodes = {area.area_id: area for area in areas}
    paths: dict[UUID, tuple[UUID, ...]] = {}
    strays: set[UUID] = set()
    for area in nodes.values():
        path = _climb(area, nodes)
        if path is None:
            strays.add(area.area_id)
        else:
            paths[area.area_id] = path
    if strays:
        raise BrokenTree(area_ids=frozenset(strays))
    return paths


def class_of(path: Iterable[UUID], classes: Mapping[UUID, ZoneClass | None]) -> ZoneClass | None:
    """Return the regime that holds at the end of a path: a child's overrides its parent's."""
    held = [found for area_id in path if (found := classes.get(area_id)) is not None]
    return held[-1] if held else None


def _climb(area: Area, nodes: Mapping[UUID, Area]) -> tuple[UUID, ...] | None:
    path = [area.area_id]
    while area.parent_id is not None:
        parent = nodes.get(area.parent_id)
        if parent is None or parent.area_id in path:
            return None
        path.append(parent.area_id)
        area = parent
    return tuple(reversed(path))
