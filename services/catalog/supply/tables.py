"""Rows of zones and their assignments; they describe, the database holds what must be true."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, DateTime, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from services.catalog.tables import Row


class ZoneRow(Row, table=True):
    """A zone as orders stated it, and what catalog said of its supply."""

    __tablename__ = "zones"

    zone_id: UUID = Field(primary_key=True)
    incident_id: UUID
    source_sequence: int
    status: str
    title: str | None
    zone_class: str | None
    path: list[UUID] = Field(sa_column=Column(ARRAY(Uuid)))
    activated_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    supplied_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    stated: dict[str, object] | None = Field(sa_column=Column(JSONB))
    sequence: int
    due_at: datetime | None = Field(sa_type=DateTime(timezone=True))


class AssignmentRow(Row, table=True):
    """An outlet asked to supply a zone; `accepted_orders` is what it promised of what was asked."""

    __tablename__ = "assignments"

    assignment_id: UUID = Field(primary_key=True)
    zone_id: UUID
    outlet_id: UUID
    kind: str
    rank: int
    status: str
    asked_orders: int
    accepted_orders: int | None
    distance_m: int
    pin_reason: str | None
    asked_at: datetime = Field(sa_type=DateTime(timezone=True))
    answer_by: datetime = Field(sa_type=DateTime(timezone=True))
    answered_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    refusal_reason: str | None
