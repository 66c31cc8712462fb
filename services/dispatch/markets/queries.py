"""SQL of work sites and the communities that they serve."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.contracts.values import Point
from services.dispatch.markets.domain import WorkSite
from services.dispatch.markets.tables import ServedCommunityRow, WorkSiteRow
from services.dispatch.places.queries import Place
from services.dispatch.rows import to_json

# Lists of sites come seldom, and each may take communities from any other: one after the other.
LOCK = text("SELECT pg_advisory_xact_lock(hashtext('dispatch.work_sites'))")
SAVE = text("""
    INSERT INTO work_sites (site_id, code, title, lat, lon)
    SELECT * FROM jsonb_to_recordset(CAST(:sites AS jsonb)) AS row (
        site_id uuid, code text, title text, lat double precision, lon double precision
    )
    ORDER BY code
    ON CONFLICT (code) DO UPDATE SET title = excluded.title, lat = excluded.lat, lon = excluded.lon
""")
LEAVE = text("DELETE FROM served_communities WHERE site_id = ANY(CAST(:site_ids AS uuid[]))")
SERVE = text("""
    INSERT INTO served_communities (community_id, site_id)
    SELECT community_id, site_id
    FROM jsonb_to_recordset(CAST(:served AS jsonb)) AS row (community_id uuid, site_id uuid)
    ORDER BY community_id
    ON CONFLICT (community_id) DO UPDATE SET site_id = excluded.site_id
""")
FIND_UNKNOWN = text("""
    SELECT community_id FROM unnest(CAST(:community_ids AS uuid[])) AS asked (community_id)
    WHERE NOT EXISTS (SELECT FROM communities WHERE communities.community_id = asked.community_id)
      AND NOT EXISTS (SELECT FROM areas WHERE area_id = asked.community_id AND level = 'community')
""")


async def lock_all(session: AsyncSession) -> None:
    """Let nobody else say which sites there are until this transaction ends."""
    await session.execute(LOCK)


async def find_by_code(session: AsyncSession, codes: Sequence[str]) -> dict[UUID, WorkSite]:
    """Return those sites that are there, with what they serve, by their ids."""
    found = await session.execute(select(WorkSiteRow).where(col(WorkSiteRow.code).in_(codes)))
    return await _with_communities(session, list(found.scalars()))


async def list_sites(session: AsyncSession, *, limit: int, after: UUID | None) -> dict[UUID, WorkSite]:
    """Return a page of the sites by their ids, in order, one more than the limit."""
    asked = select(WorkSiteRow).order_by(col(WorkSiteRow.site_id)).limit(limit + 1)
    if after:
        asked = asked.where(col(WorkSiteRow.site_id) > after)
    return await _with_communities(session, list((await session.execute(asked)).scalars()))


async def find_places(session: AsyncSession, site_ids: Iterable[UUID]) -> dict[UUID, Place]:
    """Return those of these places that are work sites, by their ids."""
    asked = select(WorkSiteRow).where(col(WorkSiteRow.site_id).in_(sorted(set(site_ids))))
    return {
        row.site_id: Place(row.title, Point(lat=row.lat, lon=row.lon))
        for row in (await session.execute(asked)).scalars()
    }


async def save_sites(session: AsyncSession, sites: Mapping[UUID, WorkSite]) -> None:
    """Write sites, new or changed, each with exactly its communities; another that had one loses it."""
    rows = [
        {
            "site_id": site_id,
            "code": site.code,
            "title": site.title,
            "lat": site.position.lat,
            "lon": site.position.lon,
        }
        for site_id, site in sites.items()
    ]
    served = [
        {"community_id": community_id, "site_id": site_id}
        for site_id, site in sites.items()
        for community_id in site.community_ids
    ]
    await session.execute(SAVE, {"sites": to_json(rows)})
    await session.execute(LEAVE, {"site_ids": sorted(sites)})
    await session.execute(SERVE, {"served": to_json(served)})


async def find_unknown(session: AsyncSession, community_ids: Iterable[UUID]) -> set[UUID]:
    """Return those communities of which nobody has told yet."""
    asked = {"community_ids": sorted(set(community_ids))}
    return set((await session.execute(FIND_UNKNOWN, asked)).scalars())


async def _with_communities(session: AsyncSession, rows: Sequence[WorkSiteRow]) -> dict[UUID, WorkSite]:
    asked = (
        select(ServedCommunityRow)
        .where(col(ServedCommunityRow.site_id).in_([row.site_id for row in rows]))
        .order_by(col(ServedCommunityRow.community_id))
    )
    served: dict[UUID, list[UUID]] = {}
    for each in (await session.execute(asked)).scalars():
        served.setdefault(each.site_id, []).append(each.community_id)
    return {
        row.site_id: WorkSite(
            code=row.code,
            title=row.title,
            position=Point(lat=row.lat, lon=row.lon),
            community_ids=tuple(served.get(row.site_id, ())),
        )
        for row in rows
    }
