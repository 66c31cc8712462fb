"""Rows of the staff list."""

from uuid import UUID

from sqlalchemy import ARRAY, Uuid
from sqlmodel import Field

from services.whitelist.rows import Row


class Person(Row, table=True):
    """A person of the staff; name, phone and number lie in `sealed`, under the person's own key."""

    __tablename__ = "people"

    id: UUID = Field(primary_key=True)
    client: str
    external_id: str
    role: str
    outlet_id: UUID | None
    home_area_id: UUID | None
    service_area_ids: list[UUID] = Field(sa_type=ARRAY(Uuid))
    sealed: bytes
