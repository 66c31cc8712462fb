"""The tables of vehicles, their passes, and what can be carried in which slot."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE vehicles (
        vehicle_id uuid PRIMARY KEY,
        plate text NOT NULL UNIQUE,
        kind text NOT NULL,
        capacity_g bigint NOT NULL CHECK (capacity_g > 0),
        capacity_pieces integer NOT NULL CHECK (capacity_pieces > 0),
        base_lat double precision NOT NULL CHECK (base_lat BETWEEN -90 AND 90),
        base_lon double precision NOT NULL CHECK (base_lon BETWEEN -180 AND 180),
        shift_starts_at timestamptz NOT NULL,
        shift_ends_at timestamptz NOT NULL,
        lost_at timestamptz,
        lost_because text,
        returned_at timestamptz,
        returned_by text,
        CHECK (shift_starts_at < shift_ends_at),
        CHECK ((lost_at IS NULL) = (lost_because IS NULL)),
        CHECK ((returned_at IS NULL) = (returned_by IS NULL)),
        CHECK (lost_at IS NULL OR returned_at IS NULL)
    )
    """,
    # The capacity of each slot as it was stated last; `sequence` counts the statements.
    """
    CREATE TABLE slot_capacities (
        slot_id uuid PRIMARY KEY,
        zone_id uuid NOT NULL,
        incident_id uuid NOT NULL,
        zone_class text NOT NULL CHECK (zone_class IN ('sealed', 'controlled', 'precaution')),
        head_count integer NOT NULL CHECK (head_count >= 0),
        starts_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        cut_off_at timestamptz NOT NULL,
        pinned_vehicle_ids uuid[] NOT NULL,
        opened_sequence bigint NOT NULL,
        portions integer CHECK (portions >= 0),
        sequence bigint NOT NULL DEFAULT 0,
        is_due boolean NOT NULL DEFAULT true,
        checked_at timestamptz
    )
    """,
    # When what can be carried may have grown last: a vehicle, a pass, somebody cleared.
    """
    CREATE TABLE fleet_growth (
        is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
        grown_at timestamptz NOT NULL
    )
    """,
    "INSERT INTO fleet_growth (grown_at) VALUES ('-infinity')",
    "CREATE INDEX slot_capacities_by_end ON slot_capacities (ends_at)",
    # Dated data of whoever runs the fleet: the mass and pieces of a portion, how long a round takes, what a
    # bag and a crate may weigh, and how large a bulk load is at most, in mass and in households: of 250 with
    # 50 lines each a split still fits into the 1 MiB of a request.
    """
    CREATE TABLE capacity_policies (
        policy_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        valid_from timestamptz NOT NULL UNIQUE,
        portion_g integer NOT NULL CHECK (portion_g > 0),
        portion_pieces integer NOT NULL CHECK (portion_pieces > 0),
        trip_minutes integer NOT NULL CHECK (trip_minutes > 0),
        bag_g integer NOT NULL CHECK (bag_g > 0),
        crate_g integer NOT NULL CHECK (crate_g > 0),
        bulk_load_g integer NOT NULL CHECK (bulk_load_g >= crate_g),
        bulk_households integer NOT NULL CHECK (bulk_households BETWEEN 1 AND 250),
        legal_ref text NOT NULL
    )
    """,
    # Two days of 2.62 people at 975 g (Quanzhou's planning base); a steward's bag weighs 12 kg at most. The
    # fleet of Quanzhou carried 24.6 kg a piece and 1.6 t a trip; a leader has about 108 households.
    """
    INSERT INTO capacity_policies (valid_from, portion_g, portion_pieces, trip_minutes, bag_g, crate_g,
                                   bulk_load_g, bulk_households, legal_ref)
    VALUES ('2022-03-16 00:00Z', 5100, 2, 60, 12000, 25000, 1500000, 108,
            '泉州市生活必需品保供测算 2022-03-16')
    """,
    """
    CREATE TABLE vehicle_passes (
        pass_id uuid PRIMARY KEY,
        number text NOT NULL UNIQUE CHECK (number ~ '^[0-9]{12}$'),
        vehicle_id uuid NOT NULL REFERENCES vehicles,
        goods_class text NOT NULL,
        origin_code text NOT NULL CHECK (origin_code ~ '^[0-9]{6}$'),
        destination_code text NOT NULL CHECK (destination_code ~ '^[0-9]{6}$'),
        valid_from timestamptz NOT NULL,
        valid_to timestamptz NOT NULL,
        crew uuid[] NOT NULL,
        CHECK (valid_from < valid_to)
    )
    """,
    "CREATE INDEX vehicle_passes_by_vehicle ON vehicle_passes (vehicle_id, valid_to)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
