"""The rows of vehicles and of the slots' capacities."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime
from sqlmodel import Field

from services.dispatch.rows import Row


class VehicleRow(Row, table=True):
    """A vehicle; its plate is its name outside."""

    __tablename__ = "vehicles"

    vehicle_id: UUID = Field(primary_key=True)
    plate: str
    kind: str
    capacity_g: int
    capacity_pieces: int
    base_lat: float
    base_lon: float
    shift_starts_at: datetime = Field(sa_type=DateTime(timezone=True))
    shift_ends_at: datetime = Field(sa_type=DateTime(timezone=True))
