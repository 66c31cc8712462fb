"""The tables of outlets, their pledges and qualifications, and the assignments to zones."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS: tuple[str, ...] = ()


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
