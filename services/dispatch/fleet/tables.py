"""The rows of vehicles and of the slots' capacities."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime
from sqlmodel import Field

from services.dispatch.rows import Row


class VehicleRow(Row, table=True):
    """A vehicle; its plate is its name outside. A lost one is out of service until it is brought back."""

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
    lost_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    lost_because: str | None = None
    returned_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    returned_by: str | None = None
