"""Rows of needs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime
from sqlmodel import Field

from services.orders.rows import Row


class CheckInRow(Row, table=True):
    """A household that was asked; the note is sealed under the incident's key."""

    __tablename__ = "check_ins"
    check_in_id: UUID = Field(primary_key=True)
    household_id: UUID
    incident_id: UUID
    outcome: str
    note: bytes | None
    made_by: str
    made_at: datetime = Field(sa_type=DateTime(timezone=True))
