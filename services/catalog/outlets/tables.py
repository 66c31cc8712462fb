"""Rows of the ledger; they describe, the database holds what must be true."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import DateTime
from sqlmodel import Field

from services.catalog.tables import Row


class OutletRow(Row, table=True):
    """A shop of a client's ledger; the `qualified_` columns are all there or all empty."""

    __tablename__ = "outlets"

    outlet_id: UUID = Field(primary_key=True)
    client: str
    external_id: str
    name: str
    kind: str
    lat: float
    lon: float
    scale_m2: int
    capacity_orders: int
    reserve_person_days: int
    risk: str
    qualified_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    qualified_by: str | None
    qualified_until: date | None
    updated_at: datetime = Field(sa_type=DateTime(timezone=True))


class LicenceRow(Row, table=True):
    """A licence of an outlet."""

    __tablename__ = "licences"

    outlet_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    number: str = Field(primary_key=True)
    valid_to: date | None


class LicencePolicyRow(Row, table=True):
    """A dated rule: which licence a kind of outlet needs."""

    __tablename__ = "licence_policies"

    outlet_kind: str = Field(primary_key=True)
    licence_kind: str = Field(primary_key=True)
    legal_ref: str
    valid_from: date = Field(primary_key=True)
    valid_to: date | None


class PledgeRow(Row, table=True):
    """A signed pledge to supply and to hold prices (保供稳价承诺); who signed is a name, never sent on."""

    __tablename__ = "pledges"

    outlet_id: UUID = Field(primary_key=True)
    text_version: str = Field(primary_key=True)
    signed_by: str
    signed_at: datetime = Field(sa_type=DateTime(timezone=True))
    recorded_by: str
