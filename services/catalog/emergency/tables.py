"""Rows of the published lists; what was published is never changed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime
from sqlmodel import Field

from services.catalog.tables import Row


class EmergencyListRow(Row, table=True):
    """A published list of emergency outlets."""

    __tablename__ = "emergency_lists"

    version: int = Field(primary_key=True)
    published_at: datetime = Field(sa_type=DateTime(timezone=True))
    published_by: str


class EmergencyOutletRow(Row, table=True):
    """An outlet as a published list names it."""

    __tablename__ = "emergency_outlets"

    version: int = Field(primary_key=True)
    outlet_id: UUID = Field(primary_key=True)
    name: str
    kind: str
    lat: float
    lon: float
