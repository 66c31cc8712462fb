"""Rows of supply; they describe, the database holds what must be true."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.catalog.tables import Row


class SupplyRow(Row, table=True):
    """What catalog said last of a zone's supply, and when it looks at it again."""

    __tablename__ = "supplies"

    zone_id: UUID = Field(primary_key=True)
    sequence: int
    stated: dict[str, Any] | None = Field(sa_column=Column(JSONB))
    supplied_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    due_at: datetime | None = Field(sa_type=DateTime(timezone=True))


class NeedRow(Row, table=True):
    """How many orders a day a zone needs of a kind of outlet."""

    __tablename__ = "zone_needs"

    zone_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    place: int
    needed_orders: int


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


class PolicyRow(Row, table=True):
    """Dated figures of planning; in force is the one that became valid last."""

    __tablename__ = "supply_policies"

    policy_id: UUID = Field(primary_key=True)
    answer_seconds: int
    look_again_seconds: int
    persons_per_100_households: int
    surcharge_permille: int
    legal_ref: str
    valid_from: datetime = Field(sa_type=DateTime(timezone=True))
    stated_by: str
