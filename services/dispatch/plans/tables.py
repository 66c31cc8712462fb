"""The rows of plans and of what they leave."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Uuid
from sqlmodel import Field

from services.dispatch.rows import Row


def moment() -> Any:
    """Return the column of a moment that may not have come yet."""
    return Field(default=None, sa_type=DateTime(timezone=True))


class PlanRow(Row, table=True):
    """A plan of a wave: of all its pool, or of the loads that it names."""

    __tablename__ = "plans"

    plan_id: UUID = Field(primary_key=True)
    incident_id: UUID
    zone_ids: list[UUID] = Field(sa_type=ARRAY(Uuid))
    slot_ids: list[UUID] = Field(sa_type=ARRAY(Uuid))
    load_ids: list[UUID] | None = Field(sa_type=ARRAY(Uuid))
    cause: str
    is_automatic: bool
    status: str
    seed: int
    seconds: float
    requested_at: datetime = Field(sa_type=DateTime(timezone=True))
    attempts: int
    lease_until: datetime | None = moment()
    solved_at: datetime | None = moment()
    tried_at: datetime | None = moment()
    committed_at: datetime | None = moment()
    failure: str | None


class LeftLoadRow(Row, table=True):
    """A load that a plan leaves, and why."""

    __tablename__ = "left_loads"

    plan_id: UUID = Field(primary_key=True)
    load_id: UUID = Field(primary_key=True)
    code: str
