"""What can be asked about work sites. Callers own the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.markets import domain, queries
from services.dispatch.markets.domain import WorkSite
from services.kit.errors import Fault
from services.kit.ids import new_id


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one item."""

    site_id: UUID | None
    outcome: Literal["created", "updated", "unchanged", "refused"]
    faults: tuple[Fault, ...] = ()


async def import_sites(session: AsyncSession, sites: Sequence[WorkSite]) -> list[Imported]:
    """Know sites by their codes, each item for itself; the last who names a community serves it.

    Trips that are planned keep the stops they have: what is planned from now on goes to the new site.
    """
    await queries.lock_all(session)
    known = await queries.find_by_code(session, [site.code for site in sites])
    ids = {site.code: site_id for site_id, site in known.items()}
    outcomes: list[Imported] = []
    taken: dict[UUID, str] = {}
    accepted: set[str] = set()
    changed: dict[UUID, WorkSite] = {}
    for index, site in enumerate(sites):
        pointer = f"/work_sites/{index}"
        if faults := domain.find_repeats(pointer, site, taken, is_known=site.code in accepted):
            outcomes.append(Imported(None, "refused", tuple(faults)))
            continue
        accepted.add(site.code)
        taken.update(dict.fromkeys(site.community_ids, site.code))
        site_id = ids.get(site.code) or new_id()
        before = known.get(site_id)
        if before is not None and before.serves_as(site):
            outcomes.append(Imported(site_id, "unchanged"))
            continue
        changed[site_id] = site
        outcomes.append(Imported(site_id, "updated" if before else "created"))
    if changed:
        await queries.save_sites(session, changed)
    return outcomes
