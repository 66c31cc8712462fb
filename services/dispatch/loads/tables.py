"""The rows of loads, their units and portions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.dispatch.rows import Row


def moment() -> Any:
    """Return the column of a moment that may not have come yet."""
    return Field(default=None, sa_type=DateTime(timezone=True))


class LoadRow(Row, table=True):
    """What one outlet sends to one door, or in bulk to several of a group, by number.

    The moments are when the last of its units passed a leg; `split_at` and `split_by` are of a load in bulk.
    """

    __tablename__ = "loads"

    load_id: UUID = Field(primary_key=True)
    sequence: int
    order_id: UUID | None
    group_id: UUID | None
    number: int
    outlet_id: UUID
    incident_id: UUID
    zone_id: UUID
    slot_id: UUID
    community_id: UUID
    building_id: UUID | None
    household_id: UUID | None
    form: str
    grams: int
    pieces: int
    confirmed_at: datetime = Field(sa_type=DateTime(timezone=True))
    touched_at: datetime | None = moment()
    picked_up_at: datetime | None = moment()
    at_gate_at: datetime | None = moment()
    split_at: datetime | None = moment()
    split_by: UUID | None = None
    delivered_at: datetime | None = moment()
    withdrawn_at: datetime | None = moment()
    leg: int


class LoadUnitRow(Row, table=True):
    """A bag, crate, sack or tote."""

    __tablename__ = "load_units"

    load_unit_id: UUID = Field(primary_key=True)
    load_id: UUID
    portion_id: UUID | None
    number: int
    kind: str
    grams: int
    lines: list[dict[str, Any]] = Field(sa_type=JSONB)


class PortionRow(Row, table=True):
    """What a household gets of a load."""

    __tablename__ = "portions"

    portion_id: UUID = Field(primary_key=True)
    sequence: int
    load_id: UUID
    order_id: UUID
    household_id: UUID
    building_id: UUID
    is_empty: bool
    delivered_at: datetime | None = moment()
