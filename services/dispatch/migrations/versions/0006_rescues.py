"""The tables of rescues, and of what became of suspended people's work."""

from alembic import op

revision = "0006"
down_revision = "0005"

STATEMENTS: tuple[str, ...] = (
    # Dated data of whoever commands: how far away help is near by, and how long a take-over may take.
    """
    CREATE TABLE rescue_policies (
        policy_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        valid_from timestamptz NOT NULL UNIQUE,
        near_metres integer NOT NULL CHECK (near_metres > 0),
        take_over_minutes integer NOT NULL CHECK (take_over_minutes > 0),
        legal_ref text NOT NULL
    )
    """,
    """
    INSERT INTO rescue_policies (valid_from, near_metres, take_over_minutes, legal_ref)
    VALUES ('2020-01-01 00:00Z', 15000, 30, 'assumption of Baton')
    """,
    # Goods in the hands of somebody who may not carry them on, in one zone: where they stand, who takes them
    # over, and what is needed where nobody near by can. At the gate of a community, or else on the road.
    # `planned_at` is when a plan was last asked for of what waits on the road, `plan_again_at` when the next
    # one is, if no trip comes of it.
    """
    CREATE TABLE rescues (
        rescue_id uuid PRIMARY KEY,
        holder_id uuid NOT NULL,
        cause text NOT NULL CHECK (
            cause IN ('driver_suspended', 'vehicle_lost', 'steward_suspended', 'duty_lapsed')
        ),
        incident_id uuid NOT NULL,
        zone_id uuid NOT NULL,
        community_id uuid,
        vehicle_id uuid REFERENCES vehicles,
        lat double precision,
        lon double precision,
        opened_at timestamptz NOT NULL,
        planned_at timestamptz,
        plan_again_at timestamptz,
        taker_id uuid,
        escalated_at timestamptz,
        needs jsonb,
        settled_at timestamptz,
        closed_by text,
        closed_because text,
        CHECK ((cause IN ('steward_suspended', 'duty_lapsed')) = (community_id IS NOT NULL)),
        CHECK ((lat IS NULL) = (lon IS NULL)),
        CHECK ((escalated_at IS NULL) = (needs IS NULL)),
        CHECK ((closed_by IS NULL) = (closed_because IS NULL)),
        CHECK (closed_by IS NULL OR settled_at IS NOT NULL),
        CHECK ((planned_at IS NULL) = (plan_again_at IS NULL)),
        CHECK (planned_at < plan_again_at)
    )
    """,
    "CREATE INDEX rescues_by_incident ON rescues (incident_id)",
    "CREATE INDEX rescues_open ON rescues (opened_at) WHERE settled_at IS NULL",
    """
    CREATE INDEX rescues_to_plan ON rescues (plan_again_at) WHERE settled_at IS NULL AND community_id IS NULL
    """,
    # What of a load is in those hands: units, for one may be at the gate while the next is on the road.
    """
    CREATE TABLE rescue_units (
        rescue_id uuid NOT NULL REFERENCES rescues,
        load_unit_id uuid NOT NULL REFERENCES load_units,
        load_id uuid NOT NULL REFERENCES loads,
        holder_id uuid NOT NULL,
        settled_at timestamptz,
        PRIMARY KEY (rescue_id, load_unit_id)
    )
    """,
    # A unit that somebody holds is rescued once from those hands.
    """
    CREATE UNIQUE INDEX rescue_units_once ON rescue_units (load_unit_id, holder_id) WHERE settled_at IS NULL
    """,
    "CREATE INDEX rescue_units_by_load ON rescue_units (load_id)",
    "CREATE INDEX rescue_units_by_unit ON rescue_units (load_unit_id)",
    # What became of the work of a person who was suspended.
    """
    CREATE TABLE suspensions (
        person_id uuid NOT NULL,
        incident_id uuid NOT NULL,
        sequence bigint NOT NULL,
        suspended_at timestamptz NOT NULL,
        reassigned integer NOT NULL,
        rescued integer NOT NULL,
        PRIMARY KEY (person_id, incident_id, sequence)
    )
    """,
    "CREATE INDEX suspensions_by_incident ON suspensions (incident_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
