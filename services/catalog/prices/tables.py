"""Rows of price rules and of what was decided by them."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.catalog.tables import Row


class PriceRuleRow(Row, table=True):
    """One version of a rule; it binds when a second person has confirmed it, until a later version does."""

    __tablename__ = "price_rules"

    rule_id: UUID = Field(primary_key=True)
    version: int = Field(primary_key=True)
    kind: str
    status: str
    zone_id: UUID | None
    category: str | None
    product_id: UUID | None
    outlet_kind: str | None
    legal_ref: str
    authority: str | None
    valid_from: date
    valid_to: date | None
    ceiling_fen_per_kg: int | None
    reference_date: date | None
    default_rate: Decimal | None
    proposed_by: str
    proposed_at: datetime = Field(sa_type=DateTime(timezone=True))
    confirmed_by: str | None
    confirmed_at: datetime | None = Field(sa_type=DateTime(timezone=True))


class PriceDecisionRow(Row, table=True):
    """A price judged, with everything that it was judged from."""

    __tablename__ = "price_decisions"

    decision_id: UUID = Field(primary_key=True)
    offer_id: UUID
    outlet_id: UUID
    plu: str
    product_id: UUID
    occasion: str
    price_fen: int
    cap_fen: int | None
    rule_id: UUID | None
    rule_version: int | None
    rule_kind: str | None
    legal_ref: str | None
    inputs: dict[str, Any] = Field(sa_column=Column(JSONB))
    is_allowed: bool
    decided_for: date
    decided_at: datetime = Field(sa_type=DateTime(timezone=True))
