"""Rows of intake: orders, what households have used of their quotas, portions that reached their doors."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, DateTime
from sqlmodel import Field

from services.orders.rows import Row


class OrderRow(Row, table=True):
    """An order; `lines`, `given`, `refusals` and `shortages` have the shapes of the contracts' values."""

    __tablename__ = "orders"

    order_id: UUID = Field(primary_key=True)
    household_id: UUID
    building_id: UUID
    community_id: UUID
    zone_id: UUID
    incident_id: UUID
    slot_id: UUID
    group_id: UUID | None
    channel: str
    client: str
    external_id: str | None
    rule_id: UUID
    day: date
    units: int
    lines: list[dict[str, Any]] = Field(sa_type=JSON)
    status: str
    given: list[dict[str, Any]] = Field(sa_type=JSON)
    refusals: list[dict[str, Any]] = Field(sa_type=JSON)
    shortages: list[dict[str, Any]] = Field(sa_type=JSON)
    placed_at: datetime = Field(sa_type=DateTime(timezone=True))
    decide_by: datetime | None = Field(sa_type=DateTime(timezone=True))
    is_delayed: bool
    decided_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    sequence: int


class HouseholdQuotaRow(Row, table=True):
    """What a household has used of a rule for a day of delivery, beside the limits at its first use."""

    __tablename__ = "household_quotas"

    household_id: UUID = Field(primary_key=True)
    rule_id: UUID = Field(primary_key=True)
    day: date = Field(primary_key=True)
    limit_orders: int
    limit_units: int
    orders: int
    units: int


class PortionRow(Row, table=True):
    """A portion that reached its door."""

    __tablename__ = "portions"

    portion_id: UUID = Field(primary_key=True)
    order_id: UUID
    delivered_at: datetime = Field(sa_type=DateTime(timezone=True))
    recorded_at: datetime = Field(sa_type=DateTime(timezone=True))


class ShortPortionRow(Row, table=True):
    """A portion of which less came than was promised; of an empty one nothing."""

    __tablename__ = "short_portions"

    portion_id: UUID = Field(primary_key=True)
    order_id: UUID
    is_empty: bool
    found_at: datetime = Field(sa_type=DateTime(timezone=True))
    recorded_at: datetime = Field(sa_type=DateTime(timezone=True))


class FulfilmentRow(Row, table=True):
    """How many portions an order has, None until it is confirmed; how many came, how many were lost whole."""

    __tablename__ = "fulfilments"

    order_id: UUID = Field(primary_key=True)
    expected: int | None
    delivered: int
    lost: int


class IntakePolicyRow(Row, table=True):
    """The clock's dated rules for decisions."""

    __tablename__ = "intake_policies"

    valid_from: datetime = Field(primary_key=True)
    valid_to: datetime | None = Field(sa_type=DateTime(timezone=True))
    decide_within_seconds: int
    put_off_seconds: int
    stalled_after_seconds: int
    time_zone: str
    legal_ref: str
