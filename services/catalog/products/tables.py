"""Rows of products."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime
from sqlmodel import Field

from services.catalog.tables import Row


class ProductRow(Row, table=True):
    """A product; prices in its category are judged anew from `category_since` on."""

    __tablename__ = "products"

    product_id: UUID = Field(primary_key=True)
    client: str
    external_id: str
    name: str
    unit_name: str
    category: str
    gtin: str | None
    variety: str | None
    grade: str | None
    category_since: datetime = Field(sa_type=DateTime(timezone=True))
