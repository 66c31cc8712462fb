"""What every row of catalog is: SQLModel over a MetaData of this service's own."""

from typing import ClassVar

from sqlalchemy import MetaData
from sqlmodel import SQLModel


class Row(SQLModel):
    """The base of catalog's rows; another service may have a table of the same name."""

    metadata: ClassVar[MetaData] = MetaData()
