"""The tables of zones, communities, outlets, work sites and waves."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS: tuple[str, ...] = (
    # `closed_sequence` above `opened_sequence` says that the zone is closed, whichever came first.
    """
    CREATE TABLE zones (
        zone_id uuid PRIMARY KEY,
        incident_id uuid NOT NULL,
        opened_sequence bigint NOT NULL DEFAULT 0,
        closed_sequence bigint NOT NULL DEFAULT 0,
        title text,
        zone_class text CHECK (zone_class IN ('sealed', 'controlled', 'precaution')),
        -- What was done before the closing stated another class is judged by the former one.
        former_class text CHECK (former_class IN ('sealed', 'controlled', 'precaution')),
        class_since timestamptz,
        path uuid[] NOT NULL DEFAULT '{}',
        CHECK (former_class IS NULL OR class_since IS NOT NULL)
    )
    """,
    """
    CREATE TABLE communities (
        zone_id uuid NOT NULL REFERENCES zones,
        community_id uuid NOT NULL,
        title text NOT NULL,
        gate_lat double precision NOT NULL,
        gate_lon double precision NOT NULL,
        head_count integer NOT NULL,
        building_ids uuid[] NOT NULL,
        PRIMARY KEY (zone_id, community_id)
    )
    """,
    """
    CREATE TABLE areas (
        area_id uuid PRIMARY KEY,
        sequence bigint NOT NULL,
        path uuid[] NOT NULL,
        level text NOT NULL,
        title text NOT NULL,
        gate_lat double precision,
        gate_lon double precision,
        head_count integer NOT NULL,
        zone_class text
    )
    """,
    """
    CREATE TABLE zone_supplies (
        zone_id uuid PRIMARY KEY,
        sequence bigint NOT NULL
    )
    """,
    # An outlet that fell away keeps its row: what it has packed is still fetched there.
    """
    CREATE TABLE outlets (
        zone_id uuid NOT NULL REFERENCES zone_supplies,
        outlet_id uuid NOT NULL,
        title text NOT NULL,
        kind text NOT NULL,
        lat double precision NOT NULL,
        lon double precision NOT NULL,
        rank integer NOT NULL,
        is_assigned boolean NOT NULL,
        PRIMARY KEY (zone_id, outlet_id)
    )
    """,
    "CREATE INDEX outlets_by_outlet ON outlets (outlet_id)",
    # Where goods for several communities are handed over: a work site of a mobile market (作业点). A
    # community without one takes its goods at its own gate.
    """
    CREATE TABLE work_sites (
        site_id uuid PRIMARY KEY,
        code text NOT NULL UNIQUE,
        title text NOT NULL,
        lat double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
        lon double precision NOT NULL CHECK (lon BETWEEN -180 AND 180)
    )
    """,
    """
    CREATE TABLE served_communities (
        community_id uuid PRIMARY KEY,
        site_id uuid NOT NULL REFERENCES work_sites
    )
    """,
    "CREATE INDEX served_communities_by_site ON served_communities (site_id)",
    # A wave is complete when as many confirmed orders are there as the slot's closing has said.
    """
    CREATE TABLE waves (
        slot_id uuid PRIMARY KEY,
        zone_id uuid NOT NULL,
        incident_id uuid NOT NULL,
        opened_sequence bigint NOT NULL DEFAULT 0,
        closed_sequence bigint NOT NULL DEFAULT 0,
        starts_at timestamptz,
        ends_at timestamptz,
        cut_off_at timestamptz,
        expected integer CHECK (expected >= 0)
    )
    """,
    "CREATE INDEX waves_by_zone ON waves (zone_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
