"""Rows of the register: areas, households, who read them, what was destroyed, who is on duty."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Uuid
from sqlmodel import Field

from services.contracts.values import Point, ZoneClass
from services.orders.rows import Row


class AreaRow(Row, table=True):
    """A node of the tree with its path from the root, itself last; its class is its own, not its parent's."""

    __tablename__ = "areas"
    area_id: UUID = Field(primary_key=True)
    code: str
    title: str
    level: str
    parent_id: UUID | None
    path: list[UUID] = Field(sa_type=ARRAY(Uuid))
    gate_lat: float | None
    gate_lon: float | None
    head_count: int
    zone_class: str | None
    sequence: int

    @property
    def gate(self) -> Point | None:
        """Return where the area's gate is, if it has one."""
        if self.gate_lat is None or self.gate_lon is None:
            return None
        return Point(lat=self.gate_lat, lon=self.gate_lon)

    @property
    def own_class(self) -> ZoneClass | None:
        """Return the regime set on the area itself."""
        return ZoneClass(self.zone_class) if self.zone_class else None


class HouseholdRow(Row, table=True):
    """A household as a pseudonym; what names it is sealed under a key of its own."""

    __tablename__ = "households"
    household_id: UUID = Field(primary_key=True)
    external_id: str
    building_id: UUID
    community_id: UUID
    persons: int
    sealed: bytes | None
    erased_at: datetime | None = Field(sa_type=DateTime(timezone=True))


class CertificateRow(Row, table=True):
    """What was destroyed, when and how much of it: signed text, counts and ids only."""

    __tablename__ = "certificates"
    certificate_id: UUID = Field(primary_key=True)
    scope_id: UUID
    kind: str
    statement: str
    signature: bytes
    public_key: bytes
    issued_at: datetime = Field(sa_type=DateTime(timezone=True))
