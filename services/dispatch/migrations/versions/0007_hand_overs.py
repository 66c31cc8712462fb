"""The table of hand-overs."""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS: tuple[str, ...] = (
    # `occurred_at` is what the device's clock said, `reckoned_at` the moment that counts; see `relay.domain`.
    """
    CREATE TABLE hand_overs (
        hand_over_id uuid PRIMARY KEY,
        load_unit_id uuid NOT NULL REFERENCES load_units,
        leg smallint NOT NULL CHECK (leg BETWEEN 1 AND 3),
        giver_id uuid NOT NULL,
        taker_id uuid NOT NULL,
        lat double precision,
        lon double precision,
        occurred_at timestamptz NOT NULL,
        reckoned_at timestamptz NOT NULL,
        clock_doubtful boolean NOT NULL,
        recorded_at timestamptz NOT NULL,
        recorded_by text NOT NULL,
        proof text NOT NULL CHECK (proof IN ('qr', 'pin', 'photo')),
        photo_sha256 text CHECK (photo_sha256 ~ '^[0-9a-f]{64}$'),
        rescue_id uuid REFERENCES rescues,
        is_breach boolean NOT NULL,
        is_degraded boolean NOT NULL,
        CHECK ((proof = 'photo' OR (proof = 'qr' AND leg = 3)) <= (photo_sha256 IS NOT NULL)),
        CHECK (clock_doubtful <= (reckoned_at = recorded_at))
    )
    """,
    "CREATE INDEX hand_overs_by_unit ON hand_overs (load_unit_id, leg, reckoned_at)",
    "CREATE INDEX hand_overs_by_taker ON hand_overs (taker_id)",
    "CREATE INDEX hand_overs_by_recording ON hand_overs (recorded_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
