"""Rows of groups; a household's part is an order of intake with the group's id."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, DateTime
from sqlmodel import Field

from services.orders.rows import Row


class GroupOrderRow(Row, table=True):
    """A group; `tally` and `grants` have the shapes of the contracts' values."""

    __tablename__ = "group_orders"

    group_id: UUID = Field(primary_key=True)
    leader: str
    community_id: UUID
    zone_id: UUID
    incident_id: UUID
    slot_id: UUID
    minimum: int
    cut_off_at: datetime = Field(sa_type=DateTime(timezone=True))
    below_minimum: str
    extend_to: datetime | None = Field(sa_type=DateTime(timezone=True))
    was_extended: bool
    form: str
    status: str
    opened_at: datetime = Field(sa_type=DateTime(timezone=True))
    locked_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    decide_by: datetime | None = Field(sa_type=DateTime(timezone=True))
    is_delayed: bool
    households: int | None
    tally: list[dict[str, Any]] | None = Field(sa_type=JSON)
    grants: list[dict[str, Any]] | None = Field(sa_type=JSON)
    seed: str | None
    rule: str | None
    sequence: int
