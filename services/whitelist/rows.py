"""What every row of whitelist is: of metadata of its own, and validated by nobody but the database."""

from sqlalchemy.orm import registry
from sqlmodel import SQLModel


class Row(SQLModel, registry=registry()):
    """A row; the invariants stand in the migrations, the rules in `domain`."""
