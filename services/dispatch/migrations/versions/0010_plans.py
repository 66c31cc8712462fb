"""The tables of plans, trips and their stops."""

from alembic import op

revision = "0010"
down_revision = "0009"

STATEMENTS: tuple[str, ...] = (
    # Dated data of whoever runs the fleet: detour over the great circle, speed, time for a stop and a piece.
    """
    CREATE TABLE travel_policies (
        policy_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        valid_from timestamptz NOT NULL UNIQUE,
        detour_percent integer NOT NULL CHECK (detour_percent BETWEEN 100 AND 1000),
        metres_per_hour integer NOT NULL CHECK (metres_per_hour BETWEEN 1000 AND 120000),
        stop_seconds integer NOT NULL CHECK (stop_seconds BETWEEN 0 AND 7200),
        piece_seconds integer NOT NULL CHECK (piece_seconds BETWEEN 0 AND 600),
        legal_ref text NOT NULL
    )
    """,
    # An assumption until a town states its own: town roads, check-point and papers at each stop.
    """
    INSERT INTO travel_policies (valid_from, detour_percent, metres_per_hour, stop_seconds, piece_seconds,
                                 legal_ref)
    VALUES ('2020-01-01 00:00Z', 140, 25000, 240, 3, 'assumption of Baton')
    """,
    # `load_ids` is NULL where the plan is for all that is in the pool. A solver that dies lets its lease run
    # out; its attempt's number is what a late answer is told by.
    """
    CREATE TABLE plans (
        plan_id uuid PRIMARY KEY,
        incident_id uuid NOT NULL,
        zone_ids uuid[] NOT NULL CHECK (cardinality(zone_ids) > 0),
        slot_ids uuid[] NOT NULL CHECK (cardinality(slot_ids) > 0),
        load_ids uuid[],
        cause text NOT NULL CHECK (cause IN ('asked', 'driver_suspended', 'vehicle_lost', 'rescue')),
        is_automatic boolean NOT NULL,
        status text NOT NULL CHECK (status IN ('requested', 'solving', 'ready', 'failed', 'committed')),
        seed integer NOT NULL CHECK (seed >= 0),
        seconds double precision NOT NULL CHECK (seconds > 0 AND seconds <= 20),
        requested_at timestamptz NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        lease_until timestamptz,
        solved_at timestamptz,
        tried_at timestamptz,
        committed_at timestamptz,
        failure text,
        CHECK ((status = 'solving') <= (lease_until IS NOT NULL)),
        CHECK ((status = 'failed') = (failure IS NOT NULL)),
        CHECK ((status = 'committed') = (committed_at IS NOT NULL))
    )
    """,
    "CREATE INDEX plans_unsolved ON plans (requested_at) WHERE status IN ('requested', 'solving')",
    "CREATE INDEX plans_by_load ON plans USING gin (load_ids) WHERE is_automatic",
    "CREATE INDEX plans_automatic ON plans (requested_at) WHERE status = 'ready' AND is_automatic",
    "CREATE INDEX plans_uncommitted ON plans (requested_at) WHERE status IN ('ready', 'failed')",
    """
    CREATE TABLE left_loads (
        plan_id uuid NOT NULL REFERENCES plans,
        load_id uuid NOT NULL REFERENCES loads,
        code text NOT NULL,
        PRIMARY KEY (plan_id, load_id)
    )
    """,
    # The capacities are the vehicle's as it was planned with.
    # proposed -> planned -> departed; planned -> released; planned or departed -> stranded with its driver.
    """
    CREATE TABLE trips (
        trip_id uuid PRIMARY KEY,
        plan_id uuid NOT NULL REFERENCES plans,
        number integer NOT NULL CHECK (number > 0),
        incident_id uuid NOT NULL,
        zone_ids uuid[] NOT NULL CHECK (cardinality(zone_ids) > 0),
        vehicle_id uuid NOT NULL REFERENCES vehicles,
        driver_id uuid,
        status text NOT NULL CHECK (
            status IN ('proposed', 'uncommitted', 'planned', 'departed', 'released', 'stranded')
        ),
        code text,
        is_degraded boolean NOT NULL DEFAULT false,
        departs_at timestamptz NOT NULL,
        depart_by timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        metres integer NOT NULL CHECK (metres >= 0),
        grams bigint NOT NULL CHECK (grams >= 0),
        pieces integer NOT NULL CHECK (pieces > 0),
        capacity_g bigint NOT NULL,
        capacity_pieces integer NOT NULL,
        departed_at timestamptz,
        sequence bigint NOT NULL DEFAULT 0,
        UNIQUE (plan_id, number),
        CHECK (departs_at <= depart_by AND departs_at < ends_at),
        CHECK ((status IN ('planned', 'departed', 'stranded')) <= (driver_id IS NOT NULL)),
        CHECK ((status = 'departed') <= (departed_at IS NOT NULL)),
        CHECK ((status = 'uncommitted') = (code IS NOT NULL))
    )
    """,
    "CREATE INDEX trips_by_driver ON trips (driver_id) WHERE status IN ('planned', 'departed')",
    "CREATE INDEX trips_by_vehicle ON trips (vehicle_id) WHERE status IN ('planned', 'departed')",
    "CREATE INDEX trips_given_up ON trips (vehicle_id) WHERE status IN ('released', 'stranded')",
    "CREATE INDEX trips_by_incident ON trips (incident_id)",
    "CREATE INDEX trips_by_zone ON trips USING gin (zone_ids)",
    # Who was to drive a trip, from when until when: a pick-up told late was that driver's all the same.
    """
    CREATE TABLE trip_seats (
        trip_id uuid NOT NULL REFERENCES trips,
        driver_id uuid NOT NULL,
        seated_at timestamptz NOT NULL,
        left_at timestamptz,
        is_degraded boolean NOT NULL DEFAULT false,
        PRIMARY KEY (trip_id, driver_id, seated_at),
        CHECK (seated_at <= left_at)
    )
    """,
    "CREATE UNIQUE INDEX trip_seats_taken ON trip_seats (trip_id) WHERE left_at IS NULL",
    """
    CREATE TABLE trip_stops (
        trip_id uuid NOT NULL REFERENCES trips,
        position integer NOT NULL CHECK (position > 0),
        kind text NOT NULL CHECK (kind IN ('pick_up', 'gate')),
        place_id uuid NOT NULL,
        load_ids uuid[] NOT NULL CHECK (cardinality(load_ids) > 0),
        arrives_at timestamptz NOT NULL,
        leaves_at timestamptz NOT NULL,
        PRIMARY KEY (trip_id, position),
        CHECK (arrives_at <= leaves_at)
    )
    """,
    "CREATE INDEX trip_stops_by_place ON trip_stops (place_id) WHERE kind = 'pick_up'",
    """
    CREATE TABLE trip_loads (
        trip_id uuid NOT NULL REFERENCES trips,
        load_id uuid NOT NULL REFERENCES loads,
        is_held boolean NOT NULL DEFAULT false,
        loaded_at timestamptz,
        PRIMARY KEY (trip_id, load_id)
    )
    """,
    # Of two plans that both carry a load, only one can be committed.
    "CREATE UNIQUE INDEX trip_loads_held ON trip_loads (load_id) WHERE is_held",
    "CREATE INDEX trip_loads_by_load ON trip_loads (load_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
