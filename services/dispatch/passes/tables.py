"""The rows of passes."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Uuid
from sqlmodel import Field

from services.dispatch.rows import Row


class PassRow(Row, table=True):
    """A pass of a vehicle."""

    __tablename__ = "vehicle_passes"

    pass_id: UUID = Field(primary_key=True)
    number: str
    vehicle_id: UUID
    goods_class: str
    origin_code: str
    destination_code: str
    valid_from: datetime = Field(sa_type=DateTime(timezone=True))
    valid_to: datetime = Field(sa_type=DateTime(timezone=True))
    crew: list[UUID] = Field(sa_type=ARRAY(Uuid))
