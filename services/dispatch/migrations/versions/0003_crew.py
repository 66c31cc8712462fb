"""The tables of crew: who is cleared, who stands at which door."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS: tuple[str, ...] = (
    # Until when a person is cleared, for each class of zone; a suspended person for none.
    """
    CREATE TABLE crew (
        person_id uuid PRIMARY KEY,
        sequence bigint NOT NULL,
        role text NOT NULL,
        sealed_until timestamptz,
        controlled_until timestamptz,
        precaution_until timestamptz,
        is_suspended boolean NOT NULL,
        codes text[] NOT NULL
    )
    """,
    "CREATE INDEX crew_by_role ON crew (role)",
    "CREATE INDEX crew_suspended ON crew (person_id) WHERE is_suspended",
    # Everything whitelist ever said of a person, from when on: a hand-over that is told late is judged by
    # what stood when it happened. Only added to, in whatever order it comes.
    """
    CREATE TABLE crew_history (
        person_id uuid NOT NULL,
        sequence bigint NOT NULL,
        said_from timestamptz NOT NULL,
        role text NOT NULL,
        sealed_until timestamptz,
        controlled_until timestamptz,
        precaution_until timestamptz,
        is_suspended boolean NOT NULL,
        PRIMARY KEY (person_id, sequence)
    )
    """,
    "CREATE INDEX crew_history_by_age ON crew_history (said_from)",
    # `is_lapsed` says that its end was looked at: what is still in hand then is to be taken over.
    """
    CREATE TABLE duties (
        duty_id uuid PRIMARY KEY,
        sequence bigint NOT NULL,
        person_id uuid NOT NULL,
        role text NOT NULL,
        community_id uuid NOT NULL,
        building_ids uuid[] NOT NULL,
        starts_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        is_lapsed boolean NOT NULL DEFAULT false
    )
    """,
    "CREATE INDEX duties_by_person ON duties (person_id, ends_at)",
    "CREATE INDEX duties_by_community ON duties (community_id, ends_at)",
    "CREATE INDEX duties_to_lapse ON duties (ends_at) WHERE NOT is_lapsed",
    """
    CREATE TABLE whitelist_beats (
        partition smallint PRIMARY KEY CHECK (partition BETWEEN 0 AND 11),
        beat_at timestamptz NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
