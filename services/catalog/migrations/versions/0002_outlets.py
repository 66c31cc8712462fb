"""The tables of outlets, their pledges and qualifications, of zones and the assignments to them."""

from alembic import op

revision = "0002"
down_revision = "0001"

OUTLETS = (
    """
    CREATE TABLE outlets (
        outlet_id uuid PRIMARY KEY,
        client text NOT NULL,
        external_id text NOT NULL,
        name text NOT NULL,
        kind text NOT NULL
            CHECK (kind IN ('supermarket', 'greengrocer', 'pharmacy', 'caterer', 'reserve_depot')),
        lat double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
        lon double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
        scale_m2 integer NOT NULL CHECK (scale_m2 >= 0),
        capacity_orders integer NOT NULL CHECK (capacity_orders >= 0),
        reserve_person_days integer NOT NULL CHECK (reserve_person_days >= 0),
        risk text NOT NULL CHECK (risk IN ('low', 'medium', 'high')),
        qualified_at timestamptz,
        qualified_by text,
        qualified_until date,
        updated_at timestamptz NOT NULL,
        UNIQUE (client, external_id),
        CHECK (num_nulls(qualified_at, qualified_by, qualified_until) IN (0, 3)),
        CHECK (qualified_at IS NULL OR (risk <> 'high' AND capacity_orders > 0))
    )
    """,
    "CREATE INDEX outlets_qualified ON outlets (kind) WHERE qualified_at IS NOT NULL",
    """
    CREATE TABLE licences (
        outlet_id uuid NOT NULL REFERENCES outlets,
        kind text NOT NULL CHECK (kind IN ('business', 'food', 'drug')),
        number text NOT NULL,
        valid_to date,
        PRIMARY KEY (outlet_id, kind, number)
    )
    """,
    """
    CREATE TABLE pledges (
        outlet_id uuid NOT NULL REFERENCES outlets,
        text_version text NOT NULL,
        signed_by text NOT NULL,
        signed_at timestamptz NOT NULL,
        recorded_by text NOT NULL,
        PRIMARY KEY (outlet_id, text_version)
    )
    """,
    """
    CREATE TABLE licence_policies (
        outlet_kind text NOT NULL,
        licence_kind text NOT NULL CHECK (licence_kind IN ('business', 'food', 'drug')),
        legal_ref text NOT NULL,
        valid_from date NOT NULL,
        valid_to date CHECK (valid_to >= valid_from),
        PRIMARY KEY (outlet_kind, licence_kind, valid_from)
    )
    """,
    """
    INSERT INTO licence_policies (outlet_kind, licence_kind, legal_ref, valid_from) VALUES
        ('supermarket', 'business', '市场主体登记管理条例 (国务院令第746号) art. 21', '2022-03-01'),
        ('supermarket', 'food', '食品安全法 art. 35', '2015-10-01'),
        ('greengrocer', 'business', '市场主体登记管理条例 (国务院令第746号) art. 21', '2022-03-01'),
        ('pharmacy', 'business', '市场主体登记管理条例 (国务院令第746号) art. 21', '2022-03-01'),
        ('pharmacy', 'drug', '药品管理法 art. 51', '2019-12-01'),
        ('caterer', 'business', '市场主体登记管理条例 (国务院令第746号) art. 21', '2022-03-01'),
        ('caterer', 'food', '食品安全法 art. 35', '2015-10-01'),
        ('reserve_depot', 'business', '市场主体登记管理条例 (国务院令第746号) art. 21', '2022-03-01')
    """,
    """
    CREATE TABLE emergency_lists (
        version integer PRIMARY KEY CHECK (version > 0),
        published_at timestamptz NOT NULL,
        published_by text NOT NULL
    )
    """,
    # What was published stays as it was: names and places are the day's own, not the ledger's of today.
    """
    CREATE TABLE emergency_outlets (
        version integer NOT NULL REFERENCES emergency_lists,
        outlet_id uuid NOT NULL REFERENCES outlets,
        name text NOT NULL,
        kind text NOT NULL,
        lat double precision NOT NULL,
        lon double precision NOT NULL,
        PRIMARY KEY (version, outlet_id)
    )
    """,
)

SUPPLY = (
    # One row of figures is in force at a time: the one that became valid last.
    """
    CREATE TABLE supply_policies (
        policy_id uuid PRIMARY KEY,
        answer_seconds integer NOT NULL CHECK (answer_seconds > 0),
        look_again_seconds integer NOT NULL CHECK (look_again_seconds > 0),
        persons_per_100_households integer NOT NULL CHECK (persons_per_100_households > 0),
        surcharge_permille integer NOT NULL CHECK (surcharge_permille >= 0),
        legal_ref text NOT NULL,
        valid_from timestamptz NOT NULL UNIQUE,
        stated_by text NOT NULL
    )
    """,
    """
    INSERT INTO supply_policies VALUES (
        '00000000-0000-7000-8000-000000000001', 600, 30, 262, 100,
        'Quanzhou planning base 2022-03-16 (2.62 persons a household, +10 %); time to answer: assumed',
        '2022-03-16T00:00:00Z', 'baton'
    )
    """,
    """
    CREATE TABLE demand_policies (
        zone_class text NOT NULL CHECK (zone_class IN ('sealed', 'controlled', 'precaution')),
        kind text NOT NULL,
        orders_permille integer NOT NULL CHECK (orders_permille >= 0),
        legal_ref text NOT NULL,
        valid_from timestamptz NOT NULL,
        PRIMARY KEY (zone_class, kind, valid_from)
    )
    """,
    # So many orders a day for a thousand households. Doors closed: every household buys food every day.
    """
    INSERT INTO demand_policies
    SELECT zone_class, kind, orders_permille * share / 100, 'assumed; a place states its own',
           CAST('2022-03-16T00:00:00Z' AS timestamptz)
    FROM (VALUES ('supermarket', 1000), ('greengrocer', 500), ('pharmacy', 50), ('caterer', 100),
                 ('reserve_depot', 0)) AS demand (kind, orders_permille),
         (VALUES ('sealed', 100), ('controlled', 50), ('precaution', 20)) AS regime (zone_class, share)
    """,
    # As orders stated it; a zone that was closed before it was heard of is a row that says so and no more.
    """
    CREATE TABLE zones (
        zone_id uuid PRIMARY KEY,
        incident_id uuid NOT NULL,
        sequence bigint NOT NULL,
        is_open boolean NOT NULL,
        title text,
        zone_class text,
        path uuid[] NOT NULL DEFAULT '{}',
        gates jsonb NOT NULL DEFAULT '[]',
        pins jsonb NOT NULL DEFAULT '[]',
        needed_kinds text[] NOT NULL DEFAULT '{}',
        activated_at timestamptz,
        CHECK (NOT is_open OR (title IS NOT NULL AND zone_class IS NOT NULL AND activated_at IS NOT NULL))
    )
    """,
    "CREATE INDEX zones_incident ON zones (incident_id)",
    # When a zone's orders are delivered; picking is counted by that day.
    """
    CREATE TABLE slots (
        slot_id uuid PRIMARY KEY,
        zone_id uuid NOT NULL REFERENCES zones,
        starts_at timestamptz NOT NULL
    )
    """,
    # What catalog says of a zone's supply: `stated` is the last zone_supplied, `sequence` counts them.
    # Whoever changes a zone's assignments holds this row.
    """
    CREATE TABLE supplies (
        zone_id uuid PRIMARY KEY REFERENCES zones,
        sequence bigint NOT NULL DEFAULT 0,
        stated jsonb,
        supplied_at timestamptz,
        due_at timestamptz,
        CHECK ((stated IS NULL) = (sequence = 0) AND (stated IS NULL) = (supplied_at IS NULL))
    )
    """,
    "CREATE INDEX supplies_due ON supplies (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE TABLE zone_needs (
        zone_id uuid NOT NULL REFERENCES zones,
        kind text NOT NULL,
        place integer NOT NULL,
        needed_orders integer NOT NULL CHECK (needed_orders >= 0),
        PRIMARY KEY (zone_id, kind)
    )
    """,
    """
    CREATE TABLE assignments (
        assignment_id uuid PRIMARY KEY,
        zone_id uuid NOT NULL REFERENCES zones,
        outlet_id uuid NOT NULL REFERENCES outlets,
        kind text NOT NULL,
        rank integer NOT NULL CHECK (rank > 0),
        status text NOT NULL
            CHECK (status IN ('asked', 'accepted', 'refused', 'silent', 'withdrawn', 'ended')),
        asked_orders integer NOT NULL CHECK (asked_orders > 0),
        accepted_orders integer CHECK (accepted_orders BETWEEN 1 AND asked_orders),
        distance_m integer NOT NULL CHECK (distance_m >= 0),
        pin_reason text,
        asked_at timestamptz NOT NULL,
        answer_by timestamptz NOT NULL CHECK (answer_by > asked_at),
        answered_at timestamptz,
        refusal_reason text,
        UNIQUE (zone_id, rank),
        CHECK (status <> 'accepted' OR (accepted_orders IS NOT NULL AND answered_at IS NOT NULL)),
        CHECK (status <> 'refused' OR (refusal_reason IS NOT NULL AND answered_at IS NOT NULL))
    )
    """,
    "CREATE INDEX assignments_outlet ON assignments (outlet_id)",
    # An outlet that accepted may be asked for more: what it accepted stands while it thinks about that.
    "CREATE UNIQUE INDEX assignments_asked ON assignments (zone_id, outlet_id) WHERE status = 'asked'",
    # Who got nothing of a kind, or less, for want of picking or of stock: each once, until somebody accepts.
    """
    CREATE TABLE shortages (
        zone_id uuid NOT NULL,
        kind text NOT NULL,
        wanted_by uuid NOT NULL,
        code text NOT NULL,
        orders integer NOT NULL CHECK (orders > 0),
        is_seen boolean NOT NULL DEFAULT false,
        PRIMARY KEY (zone_id, kind, wanted_by)
    )
    """,
    "CREATE INDEX shortages_unseen ON shortages (zone_id) WHERE NOT is_seen",
)

STATEMENTS = OUTLETS + SUPPLY


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
