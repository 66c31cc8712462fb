"""The table of breaches."""

from alembic import op

revision = "0009"
down_revision = "0008"

STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE breaches (
        breach_id uuid PRIMARY KEY,
        hand_over_id uuid UNIQUE REFERENCES hand_overs,
        split_id uuid UNIQUE REFERENCES splits,
        incident_id uuid NOT NULL,
        zone_id uuid NOT NULL,
        person_ids uuid[] NOT NULL CHECK (cardinality(person_ids) > 0),
        reasons jsonb NOT NULL CHECK (jsonb_array_length(reasons) > 0),
        opened_at timestamptz NOT NULL,
        closed_at timestamptz,
        closed_by text,
        reason text,
        CHECK (num_nonnulls(hand_over_id, split_id) = 1),
        CHECK ((closed_at IS NULL) = (reason IS NULL)),
        CHECK ((closed_at IS NULL) = (closed_by IS NULL))
    )
    """,
    "CREATE INDEX breaches_by_incident ON breaches (incident_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
