"""The rows of the crew's clearance."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Text
from sqlmodel import Field

from services.dispatch.rows import Row


class CrewRow(Row, table=True):
    """What whitelist last said of a person."""

    __tablename__ = "crew"

    person_id: UUID = Field(primary_key=True)
    sequence: int
    role: str
    sealed_until: datetime | None = Field(sa_type=DateTime(timezone=True))
    controlled_until: datetime | None = Field(sa_type=DateTime(timezone=True))
    precaution_until: datetime | None = Field(sa_type=DateTime(timezone=True))
    is_suspended: bool
    codes: list[str] = Field(sa_type=ARRAY(Text))
