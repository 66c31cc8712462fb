"""The tables of the register of areas and households, duties, zones and their slots, incidents, check-ins."""

from alembic import op

revision = "0002"
down_revision = "0001"

REGISTER = (
    # The path is kept, itself last: whoever asks what lies below a node asks an index, not a recursion.
    """
    CREATE TABLE areas (
        area_id uuid PRIMARY KEY,
        code text NOT NULL UNIQUE,
        title text NOT NULL,
        level text NOT NULL CHECK (level IN ('city', 'district', 'street', 'community', 'building')),
        parent_id uuid REFERENCES areas,
        path uuid[] NOT NULL CHECK (path[cardinality(path)] = area_id),
        gate_lat double precision CHECK (gate_lat BETWEEN -90 AND 90),
        gate_lon double precision CHECK (gate_lon BETWEEN -180 AND 180),
        head_count integer NOT NULL CHECK (head_count >= 0),
        zone_class text CHECK (zone_class IN ('sealed', 'controlled', 'precaution')),
        sequence bigint NOT NULL CHECK (sequence > 0),
        updated_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
        CHECK ((gate_lat IS NULL) = (gate_lon IS NULL)),
        CHECK ((parent_id IS NULL) = (cardinality(path) = 1))
    )
    """,
    "CREATE INDEX areas_by_parent ON areas (parent_id, area_id)",
    # `sealed` holds the address within the building and the contact; without its key the row is a pseudonym.
    """
    CREATE TABLE households (
        household_id uuid PRIMARY KEY,
        external_id text NOT NULL UNIQUE,
        building_id uuid NOT NULL REFERENCES areas,
        community_id uuid NOT NULL REFERENCES areas,
        persons smallint NOT NULL CHECK (persons > 0),
        sealed bytea,
        erased_at timestamptz,
        updated_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
        CHECK ((sealed IS NULL) = (erased_at IS NOT NULL))
    )
    """,
    "CREATE INDEX households_by_building ON households (building_id, household_id)",
    "CREATE INDEX households_by_community ON households (community_id, household_id)",
    # Append only: who has read whose personal data, for what, when.
    """
    CREATE TABLE personal_reads (
        read_id uuid PRIMARY KEY,
        household_id uuid NOT NULL REFERENCES households,
        reader text NOT NULL,
        purpose text NOT NULL,
        read_at timestamptz NOT NULL DEFAULT transaction_timestamp()
    )
    """,
    "CREATE INDEX personal_reads_by_household ON personal_reads (household_id, read_at)",
    # What was destroyed, signed; kept for ever, holding counts and ids only.
    """
    CREATE TABLE certificates (
        certificate_id uuid PRIMARY KEY,
        scope_id uuid NOT NULL UNIQUE,
        kind text NOT NULL CHECK (kind IN ('household', 'incident')),
        statement text NOT NULL,
        signature bytea NOT NULL,
        public_key bytea NOT NULL,
        issued_at timestamptz NOT NULL
    )
    """,
    # A projection of whitelist's duties; `due_at` is the start that is still to be looked at.
    """
    CREATE TABLE duties (
        duty_id uuid PRIMARY KEY,
        person_id uuid NOT NULL,
        role text NOT NULL,
        community_id uuid NOT NULL,
        building_ids uuid[] NOT NULL,
        starts_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        sequence bigint NOT NULL CHECK (sequence > 0),
        due_at timestamptz
    )
    """,
    "CREATE INDEX duties_by_person ON duties (person_id)",
    # A projection of whitelist's word on people: until when one is cleared for anything; null: suspended.
    """
    CREATE TABLE clearances (
        person_id uuid PRIMARY KEY,
        sequence bigint NOT NULL CHECK (sequence > 0),
        cleared_until timestamptz
    )
    """,
    "CREATE INDEX duties_due ON duties (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE TABLE building_stewards (
        building_id uuid NOT NULL,
        duty_id uuid NOT NULL REFERENCES duties,
        PRIMARY KEY (building_id, duty_id)
    )
    """,
    "CREATE INDEX building_stewards_by_duty ON building_stewards (duty_id)",
)

ZONES = (
    """
    CREATE TABLE incidents (
        incident_id uuid PRIMARY KEY,
        title text NOT NULL,
        status text NOT NULL CHECK (status IN ('open', 'closed')),
        opened_at timestamptz NOT NULL,
        closed_at timestamptz,
        -- Orders that had not reached their doors when it was closed all the same.
        abandoned_orders integer CHECK (abandoned_orders > 0),
        abandon_reason text,
        CHECK ((status = 'closed') = (closed_at IS NOT NULL)),
        CHECK ((abandoned_orders IS NULL) = (abandon_reason IS NULL)),
        CHECK (abandoned_orders IS NULL OR status = 'closed')
    )
    """,
    """
    CREATE TABLE zones (
        zone_id uuid PRIMARY KEY,
        title text NOT NULL,
        zone_class text NOT NULL CHECK (zone_class IN ('sealed', 'controlled', 'precaution')),
        status text NOT NULL CHECK (status IN ('prepared', 'activated', 'open', 'closed')),
        path uuid[] NOT NULL,
        incident_id uuid REFERENCES incidents,
        sequence bigint NOT NULL DEFAULT 0,
        supply_sequence bigint NOT NULL DEFAULT 0,
        supplied_at timestamptz,
        seconds_to_assign double precision CHECK (seconds_to_assign >= 0),
        missing jsonb NOT NULL DEFAULT '[]',
        created_at timestamptz NOT NULL,
        activated_at timestamptz,
        opened_at timestamptz,
        seconds_to_open double precision CHECK (seconds_to_open >= 0),
        closed_at timestamptz,
        close_reason text,
        -- The class into which its communities passed when it was closed; null where their regime was lifted.
        next_class text CHECK (next_class IN ('sealed', 'controlled', 'precaution')),
        CHECK (next_class IS NULL OR (status = 'closed' AND next_class <> zone_class)),
        CHECK (status = 'prepared' OR (incident_id IS NOT NULL AND activated_at IS NOT NULL)),
        CHECK (status <> 'open' OR (opened_at IS NOT NULL AND supplied_at IS NOT NULL)),
        CHECK ((status = 'closed') = (closed_at IS NOT NULL))
    )
    """,
    "CREATE INDEX zones_by_incident ON zones (incident_id)",
    """
    CREATE TABLE zone_communities (
        zone_id uuid NOT NULL REFERENCES zones,
        community_id uuid NOT NULL REFERENCES areas,
        is_active boolean NOT NULL DEFAULT false,
        PRIMARY KEY (zone_id, community_id)
    )
    """,
    # A community is sealed by one zone at a time: of two activations at once one fails here.
    "CREATE UNIQUE INDEX zone_communities_active ON zone_communities (community_id) WHERE is_active",
    "CREATE INDEX zone_communities_by_community ON zone_communities (community_id)",
    # The buildings that the zone's opening told the others of; a bare one has no steward and is not awaited.
    """
    CREATE TABLE zone_buildings (
        zone_id uuid NOT NULL REFERENCES zones,
        building_id uuid NOT NULL REFERENCES areas,
        is_bare boolean NOT NULL,
        PRIMARY KEY (zone_id, building_id)
    )
    """,
    """
    CREATE TABLE zone_pins (
        zone_id uuid NOT NULL REFERENCES zones,
        kind text NOT NULL CHECK (kind IN ('outlet', 'vehicle')),
        subject_id uuid NOT NULL,
        reason text NOT NULL,
        PRIMARY KEY (zone_id, kind, subject_id)
    )
    """,
    # `taken` is intake's; it may pass a capacity that was lowered afterwards: nobody is cancelled for it.
    # `told_at` says when slot_closed was sent: after the cut-off, once every order has its decision. A slot
    # that is closed and not told is of a zone that was closed before: what is undecided in it is refused.
    """
    CREATE TABLE slots (
        slot_id uuid PRIMARY KEY,
        zone_id uuid NOT NULL REFERENCES zones,
        incident_id uuid REFERENCES incidents,
        starts_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        cut_off_at timestamptz NOT NULL,
        status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'open', 'closed')),
        capacity integer CHECK (capacity >= 0),
        capacity_sequence bigint NOT NULL DEFAULT 0,
        taken integer NOT NULL DEFAULT 0 CHECK (taken >= 0),
        sequence bigint NOT NULL DEFAULT 0,
        told_at timestamptz,
        CHECK (cut_off_at < starts_at AND starts_at < ends_at)
    )
    """,
    "CREATE INDEX slots_by_zone ON slots (zone_id, cut_off_at)",
    "CREATE INDEX slots_untold ON slots (cut_off_at) WHERE told_at IS NULL AND incident_id IS NOT NULL",
    # How much one household of a zone may order; a window is `valid_from` to `valid_to` (not included).
    """
    CREATE TABLE quota_rules (
        rule_id uuid PRIMARY KEY,
        zone_id uuid NOT NULL REFERENCES zones,
        orders integer NOT NULL CHECK (orders > 0),
        units integer NOT NULL CHECK (units > 0),
        valid_from timestamptz NOT NULL,
        valid_to timestamptz CHECK (valid_to > valid_from)
    )
    """,
    "CREATE INDEX quota_rules_by_zone ON quota_rules (zone_id, valid_from)",
    # Which kinds of outlets a zone of a class needs.
    """
    CREATE TABLE supply_policies (
        policy_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        zone_class text NOT NULL CHECK (zone_class IN ('sealed', 'controlled', 'precaution')),
        needed_kinds text[] NOT NULL CHECK (cardinality(needed_kinds) > 0),
        valid_from timestamptz NOT NULL,
        valid_to timestamptz CHECK (valid_to > valid_from),
        legal_ref text NOT NULL
    )
    """,
    """
    INSERT INTO supply_policies (zone_class, needed_kinds, valid_from, legal_ref) VALUES
        ('sealed', '{supermarket,greengrocer,pharmacy,caterer}', '2022-11-01Z', '北臧村镇 2022-11'),
        ('controlled', '{supermarket,greengrocer,pharmacy}', '2022-11-01Z', 'assumed from the sealed set'),
        ('precaution', '{supermarket,pharmacy}', '2022-11-01Z', 'assumed from the sealed set')
    """,
)

NEEDS = (
    # The note is incident data: sealed under the incident's key.
    """
    CREATE TABLE check_ins (
        check_in_id uuid PRIMARY KEY,
        household_id uuid NOT NULL REFERENCES households,
        incident_id uuid NOT NULL REFERENCES incidents,
        outcome text NOT NULL
            CHECK (outcome IN ('served_elsewhere', 'nothing_needed', 'needs_help', 'no_answer')),
        note bytea,
        made_by text NOT NULL,
        made_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX check_ins_by_incident ON check_ins (incident_id, household_id)",
)

STATEMENTS: tuple[str, ...] = (*REGISTER, *ZONES, *NEEDS)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
