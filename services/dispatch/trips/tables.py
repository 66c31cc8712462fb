"""The rows of trips."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Uuid
from sqlmodel import Field

from services.dispatch.rows import Row


class TripRow(Row, table=True):
    """A trip, proposed by a plan; `sequence` counts what was told of it."""

    __tablename__ = "trips"

    trip_id: UUID = Field(primary_key=True)
    plan_id: UUID
    number: int
    incident_id: UUID
    zone_ids: list[UUID] = Field(sa_type=ARRAY(Uuid))
    vehicle_id: UUID
    driver_id: UUID | None
    status: str
    code: str | None
    is_degraded: bool
    departs_at: datetime = Field(sa_type=DateTime(timezone=True))
    depart_by: datetime = Field(sa_type=DateTime(timezone=True))
    ends_at: datetime = Field(sa_type=DateTime(timezone=True))
    metres: int
    grams: int
    pieces: int
    capacity_g: int
    capacity_pieces: int
    departed_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    sequence: int
