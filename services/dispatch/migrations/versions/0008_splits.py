"""The tables of splits and what was lost in them."""

from alembic import op

revision = "0008"
down_revision = "0007"

STATEMENTS: tuple[str, ...] = (
    # A bulk load broken up into portions, once: what was in it is in the portions or lost, to the gram.
    """
    CREATE TABLE splits (
        split_id uuid PRIMARY KEY,
        load_id uuid NOT NULL UNIQUE REFERENCES loads,
        steward_id uuid NOT NULL,
        lat double precision,
        lon double precision,
        occurred_at timestamptz NOT NULL,
        reckoned_at timestamptz NOT NULL,
        clock_doubtful boolean NOT NULL,
        recorded_at timestamptz NOT NULL,
        recorded_by text NOT NULL,
        told jsonb NOT NULL,
        in_g bigint NOT NULL CHECK (in_g >= 0),
        portions_g bigint NOT NULL CHECK (portions_g >= 0),
        loss_g bigint NOT NULL CHECK (loss_g >= 0),
        is_breach boolean NOT NULL,
        is_degraded boolean NOT NULL,
        CHECK (in_g = portions_g + loss_g)
    )
    """,
    "CREATE INDEX splits_by_steward ON splits (steward_id)",
    """
    CREATE TABLE split_losses (
        split_id uuid NOT NULL REFERENCES splits,
        offer_id uuid NOT NULL,
        product_id uuid NOT NULL,
        reason text NOT NULL CHECK (reason IN ('missing', 'spoiled', 'damaged', 'offcut')),
        grams bigint NOT NULL CHECK (grams > 0),
        PRIMARY KEY (split_id, offer_id, reason)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
