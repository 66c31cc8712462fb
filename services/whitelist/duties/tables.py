"""Rows of duties."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Uuid
from sqlmodel import Field

from services.whitelist.rows import Row


class DutyRow(Row, table=True):
    """A duty; `sequence` counts how often it was said."""

    __tablename__ = "duties"

    id: UUID = Field(primary_key=True)
    person_id: UUID
    role: str
    community_id: UUID
    building_ids: list[UUID] = Field(sa_type=ARRAY(Uuid))
    starts_at: datetime = Field(sa_type=DateTime(timezone=True))
    ends_at: datetime = Field(sa_type=DateTime(timezone=True))
    sequence: int
