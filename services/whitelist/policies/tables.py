"""Rows of policies."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Text
from sqlmodel import Field

from services.whitelist.rows import Row


class PolicyRow(Row, table=True):
    """A policy as it was stated; it is never changed, a later one takes its place."""

    __tablename__ = "policies"

    id: UUID = Field(primary_key=True)
    zone_class: str
    roles: list[str] = Field(sa_type=ARRAY(Text))
    valid_from: datetime = Field(sa_type=DateTime(timezone=True))
    valid_to: datetime | None = Field(sa_type=DateTime(timezone=True))
    pcr_max_age_hours: int | None
    antigen_max_age_hours: int | None
    commitment_version: str | None
    legal_ref: str
    stated_by: str
    stated_at: datetime = Field(sa_type=DateTime(timezone=True))
