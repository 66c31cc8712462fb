"""The kit's tables: what leaves, what arrives, what is parked, what was accepted once; and the vault."""

from alembic import op

from services.kit import tables, vault

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
    for statement in (*tables.STATEMENTS, *vault.STATEMENTS):
        op.execute(statement)
