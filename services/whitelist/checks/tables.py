"""Rows of checks and commitments.

Checks are health data (PIPL art. 28), read by health officers and by the rules of clearance alone. They are
kept as small as those rules allow: who, what, when. Of the laboratory's reference there is but a digest: it
knows a repeated result again, and tells nobody which sample it was.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime
from sqlmodel import Field

from services.whitelist.rows import Row


class CheckRow(Row, table=True):
    """One finding about one person."""

    __tablename__ = "checks"

    person_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    reference_digest: bytes = Field(primary_key=True)
    outcome: str
    sampled_at: datetime = Field(sa_type=DateTime(timezone=True))
    recorded_at: datetime = Field(sa_type=DateTime(timezone=True))
    recorded_by: str


class CommitmentRow(Row, table=True):
    """The text that a person signed, by its version."""

    __tablename__ = "commitments"

    person_id: UUID = Field(primary_key=True)
    text_version: str = Field(primary_key=True)
    signed_at: datetime = Field(sa_type=DateTime(timezone=True))
