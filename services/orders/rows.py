"""What every row of orders is: of this service's own metadata, and validated by nobody but the database."""

from sqlalchemy.orm import registry
from sqlmodel import SQLModel


class Row(SQLModel, registry=registry()):
    """A row; the invariants stand in the migrations, the rules in `domain`."""
