"""The tables of orders that are carried, manifests, loads, portions and their units."""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS: tuple[str, ...] = (
    # What is known of an order: that it was confirmed, that it was ended; whichever came first.
    """
    CREATE TABLE carried_orders (
        order_id uuid PRIMARY KEY,
        slot_id uuid,
        confirmed_sequence bigint NOT NULL DEFAULT 0,
        ended_sequence bigint NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX carried_orders_by_slot ON carried_orders (slot_id)",
    # A group that travels in bulk: it is ready to be packed when all its confirmed parts are there, which
    # the group's own word counts; parts and word come in any order. Its loads are made by whoever claims it.
    """
    CREATE TABLE manifests (
        group_id uuid PRIMARY KEY,
        decided_sequence bigint NOT NULL DEFAULT 0,
        confirmed integer CHECK (confirmed >= 0),
        rule text,
        seed text,
        is_ready boolean NOT NULL DEFAULT false,
        packed_at timestamptz
    )
    """,
    "CREATE INDEX manifests_to_pack ON manifests (group_id) WHERE is_ready AND packed_at IS NULL",
    """
    CREATE TABLE manifest_parts (
        order_id uuid PRIMARY KEY REFERENCES carried_orders,
        group_id uuid NOT NULL REFERENCES manifests,
        incident_id uuid NOT NULL,
        zone_id uuid NOT NULL,
        slot_id uuid NOT NULL,
        community_id uuid NOT NULL,
        building_id uuid NOT NULL,
        household_id uuid NOT NULL,
        confirmed_at timestamptz NOT NULL,
        lines jsonb NOT NULL
    )
    """,
    "CREATE INDEX manifest_parts_by_group ON manifest_parts (group_id)",
    "CREATE INDEX manifest_parts_by_slot ON manifest_parts (slot_id)",
    # Bagged: what one outlet packs for one order. In bulk: for so many households of a group, by number.
    # The moments of the legs are when the load's last unit passed them; `touched_at` is its first hand-over.
    # In the pool: neither touched nor withdrawn, and on no trip.
    """
    CREATE TABLE loads (
        load_id uuid PRIMARY KEY,
        sequence bigint NOT NULL DEFAULT 0,
        order_id uuid REFERENCES carried_orders,
        group_id uuid REFERENCES manifests,
        number integer NOT NULL DEFAULT 1 CHECK (number > 0),
        outlet_id uuid NOT NULL,
        incident_id uuid NOT NULL,
        zone_id uuid NOT NULL,
        slot_id uuid NOT NULL,
        community_id uuid NOT NULL,
        building_id uuid,
        household_id uuid,
        form text NOT NULL CHECK (form IN ('bagged', 'bulk')),
        grams bigint NOT NULL CHECK (grams >= 0),
        pieces integer NOT NULL CHECK (pieces > 0),
        confirmed_at timestamptz NOT NULL,
        touched_at timestamptz,
        picked_up_at timestamptz,
        at_gate_at timestamptz,
        split_at timestamptz,
        split_by uuid,
        delivered_at timestamptz,
        withdrawn_at timestamptz,
        leg smallint NOT NULL GENERATED ALWAYS AS (
            CASE WHEN delivered_at IS NOT NULL THEN 3 WHEN at_gate_at IS NOT NULL THEN 2
                 WHEN picked_up_at IS NOT NULL THEN 1 ELSE 0 END
        ) STORED,
        UNIQUE (order_id, outlet_id),
        UNIQUE (group_id, outlet_id, number),
        CHECK ((form = 'bagged') = (order_id IS NOT NULL)),
        CHECK ((form = 'bagged') = (building_id IS NOT NULL AND household_id IS NOT NULL)),
        CHECK ((form = 'bulk') = (group_id IS NOT NULL)),
        CHECK (form = 'bulk' OR split_at IS NULL),
        CHECK ((split_at IS NULL) = (split_by IS NULL))
    )
    """,
    "CREATE INDEX loads_by_slot ON loads (slot_id)",
    "CREATE INDEX loads_by_zone ON loads (zone_id)",
    "CREATE INDEX loads_by_outlet ON loads (outlet_id)",
    "CREATE INDEX loads_by_incident ON loads (incident_id)",
    """
    CREATE INDEX loads_under_way ON loads (load_id) WHERE touched_at IS NOT NULL AND delivered_at IS NULL
    """,
    # Bagged: one for each load. In bulk a load has one for each household; of an empty one nothing was left.
    """
    CREATE TABLE portions (
        portion_id uuid PRIMARY KEY,
        sequence bigint NOT NULL DEFAULT 0,
        load_id uuid NOT NULL REFERENCES loads,
        order_id uuid NOT NULL REFERENCES carried_orders,
        household_id uuid NOT NULL,
        building_id uuid NOT NULL,
        is_empty boolean NOT NULL DEFAULT false,
        delivered_at timestamptz,
        UNIQUE (load_id, order_id)
    )
    """,
    "CREATE INDEX portions_by_order ON portions (order_id)",
    # A household's bag is of its portion: packed by the outlet, or, of a bulk load, by the steward who splits
    # it. Crates, sacks and totes are nobody's until then.
    """
    CREATE TABLE load_units (
        load_unit_id uuid PRIMARY KEY,
        load_id uuid NOT NULL REFERENCES loads,
        portion_id uuid REFERENCES portions,
        number integer NOT NULL CHECK (number > 0),
        kind text NOT NULL CHECK (kind IN ('crate', 'sack', 'tote', 'household_bag')),
        grams bigint NOT NULL CHECK (grams >= 0),
        lines jsonb NOT NULL,
        UNIQUE (load_id, number),
        CHECK ((kind = 'household_bag') = (portion_id IS NOT NULL))
    )
    """,
    "CREATE INDEX load_units_by_portion ON load_units (portion_id)",
    # Distinct wrong PINs, kept as digests: the same mistake in a repeated log is one try.
    """
    CREATE TABLE wrong_pins (
        portion_id uuid NOT NULL REFERENCES portions,
        tried bytea NOT NULL,
        PRIMARY KEY (portion_id, tried)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
