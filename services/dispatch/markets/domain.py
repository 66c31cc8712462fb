"""What a work site is, and how a list of them may contradict itself. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from services.contracts.values import Point
from services.kit.errors import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkSite:
    """A place where goods for some communities are handed over; the code tells whether it is known."""

    code: str
    title: str
    position: Point
    community_ids: tuple[UUID, ...]

    def serves_as(self, other: "WorkSite") -> bool:
        """Say whether another description means the same; communities have no order."""
        mine = (self.title, self.position, set(self.community_ids))
        return mine == (other.title, other.position, set(other.community_ids))


def find_repeats(pointer: str, site: WorkSite, taken: Mapping[UUID, str], *, is_known: bool) -> list[Fault]:
    """Name what a site repeats of its batch: its code, or communities, `taken` by sites of these codes."""
    faults = [Fault(f"{pointer}/code", "dispatch.work_site_repeated")] if is_known else []
    own: set[UUID] = set()
    for index, community_id in enumerate(site.community_ids):
        if community_id in own or community_id in taken:
            facts = {"community_id": str(community_id), "work_site": taken.get(community_id, site.code)}
            faults.append(Fault(f"{pointer}/community_ids/{index}", "dispatch.community_served_twice", facts))
        own.add(community_id)
    return faults
