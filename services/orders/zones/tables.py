"""Rows of zones: incidents, zones and their slots."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.orders.rows import Row

MOMENT: Any = DateTime(timezone=True)


class IncidentRow(Row, table=True):
    """The event that zones belong to; its id is the scope of a key in the vault."""

    __tablename__ = "incidents"
    incident_id: UUID = Field(primary_key=True)
    title: str
    status: str
    opened_at: datetime = Field(sa_type=MOMENT)
    closed_at: datetime | None = Field(sa_type=MOMENT)
    abandoned_orders: int | None = None
    abandon_reason: str | None = None


class ZoneRow(Row, table=True):
    """A zone; its path has itself and every area from the root down to its communities."""

    __tablename__ = "zones"
    zone_id: UUID = Field(primary_key=True)
    title: str
    zone_class: str
    status: str
    path: list[UUID] = Field(sa_type=ARRAY(Uuid))
    incident_id: UUID | None
    sequence: int
    supply_sequence: int
    supplied_at: datetime | None = Field(sa_type=MOMENT)
    seconds_to_assign: float | None
    missing: list[dict[str, Any]] = Field(sa_type=JSONB)
    created_at: datetime = Field(sa_type=MOMENT)
    activated_at: datetime | None = Field(sa_type=MOMENT)
    opened_at: datetime | None = Field(sa_type=MOMENT)
    seconds_to_open: float | None
    closed_at: datetime | None = Field(sa_type=MOMENT)
    close_reason: str | None
    next_class: str | None


class SlotRow(Row, table=True):
    """A time of delivery; `taken` is intake's, and may pass a capacity that was lowered afterwards."""

    __tablename__ = "slots"
    slot_id: UUID = Field(primary_key=True)
    zone_id: UUID
    incident_id: UUID | None
    starts_at: datetime = Field(sa_type=MOMENT)
    ends_at: datetime = Field(sa_type=MOMENT)
    cut_off_at: datetime = Field(sa_type=MOMENT)
    status: str
    capacity: int | None
    capacity_sequence: int
    taken: int
    sequence: int
    told_at: datetime | None = Field(sa_type=MOMENT)
