"""The rows of work sites."""

from uuid import UUID

from sqlmodel import Field

from services.dispatch.rows import Row


class WorkSiteRow(Row, table=True):
    """A work site; its code is its name outside."""

    __tablename__ = "work_sites"

    site_id: UUID = Field(primary_key=True)
    code: str
    title: str
    lat: float
    lon: float


class ServedCommunityRow(Row, table=True):
    """A community that takes its goods at a site instead of its own gate."""

    __tablename__ = "served_communities"

    community_id: UUID = Field(primary_key=True)
    site_id: UUID
