"""Rows of zones; they describe, the database holds what must be true."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from services.catalog.tables import Row


class ZoneRow(Row, table=True):
    """A zone; `sequence` is that of orders' word which it holds."""

    __tablename__ = "zones"

    zone_id: UUID = Field(primary_key=True)
    incident_id: UUID
    sequence: int
    is_open: bool
    title: str | None
    zone_class: str | None
    path: list[UUID] = Field(sa_column=Column(ARRAY(Uuid)))
    gates: list[dict[str, Any]] = Field(sa_column=Column(JSONB))
    pins: list[dict[str, Any]] = Field(sa_column=Column(JSONB))
    needed_kinds: list[str] = Field(sa_column=Column(ARRAY(Text)))
    activated_at: datetime | None = Field(sa_type=DateTime(timezone=True))
