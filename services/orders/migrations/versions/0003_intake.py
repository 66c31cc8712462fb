"""The tables of orders, quotas and groups."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS: tuple[str, ...] = (
    # Dated rules of the process itself; the newest that is valid counts.
    """
    CREATE TABLE intake_policies (
        valid_from timestamptz PRIMARY KEY,
        valid_to timestamptz CHECK (valid_to > valid_from),
        decide_within_seconds integer NOT NULL CHECK (decide_within_seconds > 0),
        put_off_seconds integer NOT NULL CHECK (put_off_seconds > 0),
        stalled_after_seconds integer NOT NULL CHECK (stalled_after_seconds > 0),
        time_zone text NOT NULL,
        legal_ref text NOT NULL
    )
    """,
    """
    INSERT INTO intake_policies
    VALUES ('2020-01-01Z', NULL, 30, 60, 10, 'Asia/Shanghai', 'Baton''s own, until an authority orders')
    """,
    # What a household has used of a rule for a day of delivery; the checks are the last line.
    """
    CREATE TABLE household_quotas (
        household_id uuid NOT NULL REFERENCES households,
        rule_id uuid NOT NULL REFERENCES quota_rules,
        day date NOT NULL,
        limit_orders integer NOT NULL CHECK (limit_orders >= 0),
        limit_units integer NOT NULL CHECK (limit_units >= 0),
        orders integer NOT NULL DEFAULT 0 CHECK (orders BETWEEN 0 AND limit_orders),
        units integer NOT NULL DEFAULT 0 CHECK (units BETWEEN 0 AND limit_units),
        PRIMARY KEY (household_id, rule_id, day)
    )
    """,
    """
    CREATE TABLE group_orders (
        group_id uuid PRIMARY KEY,
        leader text NOT NULL,
        community_id uuid NOT NULL,
        zone_id uuid NOT NULL,
        incident_id uuid NOT NULL,
        slot_id uuid NOT NULL REFERENCES slots,
        minimum integer NOT NULL CHECK (minimum > 0),
        cut_off_at timestamptz NOT NULL,
        below_minimum text NOT NULL CHECK (below_minimum IN ('send', 'cancel', 'extend')),
        extend_to timestamptz,
        was_extended boolean NOT NULL DEFAULT false,
        form text NOT NULL CHECK (form IN ('bagged', 'bulk')),
        status text NOT NULL CHECK (status IN ('open', 'locked', 'decided', 'refused')),
        opened_at timestamptz NOT NULL,
        locked_at timestamptz,
        decide_by timestamptz,
        is_delayed boolean NOT NULL DEFAULT false,
        households integer CHECK (households >= 0),
        tally jsonb,
        grants jsonb,
        seed text,
        rule text,
        sequence bigint NOT NULL DEFAULT 0 CHECK (sequence >= 0),
        CHECK ((below_minimum = 'extend') = (extend_to IS NOT NULL)),
        CHECK ((status = 'locked') = (decide_by IS NOT NULL)),
        CHECK ((status IN ('locked', 'decided')) <= (locked_at IS NOT NULL AND seed IS NOT NULL))
    )
    """,
    "CREATE INDEX group_orders_cut_off ON group_orders (cut_off_at) WHERE status = 'open'",
    "CREATE INDEX group_orders_decide_by ON group_orders (decide_by) WHERE status = 'locked'",
    "CREATE INDEX group_orders_undecided ON group_orders (zone_id) WHERE status IN ('open', 'locked')",
    "CREATE INDEX group_orders_incident ON group_orders (incident_id)",
    # Zone, incident and areas are the slot's and the household's, without foreign keys of their own: those
    # would lock rows left of the slot while it is held, against the order in which a zone is closed.
    """
    CREATE TABLE orders (
        order_id uuid PRIMARY KEY,
        household_id uuid NOT NULL REFERENCES households,
        building_id uuid NOT NULL,
        community_id uuid NOT NULL,
        zone_id uuid NOT NULL,
        incident_id uuid NOT NULL,
        slot_id uuid NOT NULL REFERENCES slots,
        group_id uuid REFERENCES group_orders,
        channel text NOT NULL CHECK (channel IN ('resident', 'steward', 'hotline')),
        client text NOT NULL,
        external_id text,
        rule_id uuid NOT NULL REFERENCES quota_rules,
        day date NOT NULL,
        units integer NOT NULL CHECK (units > 0),
        lines jsonb NOT NULL,
        status text NOT NULL
            CHECK (status IN ('placed', 'confirmed', 'refused', 'cancelled', 'fulfilled', 'lost')),
        given jsonb NOT NULL DEFAULT '[]',
        refusals jsonb NOT NULL DEFAULT '[]',
        shortages jsonb NOT NULL DEFAULT '[]',
        placed_at timestamptz NOT NULL,
        decide_by timestamptz,
        is_delayed boolean NOT NULL DEFAULT false,
        decided_at timestamptz,
        sequence bigint NOT NULL CHECK (sequence >= 0),
        UNIQUE (client, external_id),
        CHECK ((status IN ('confirmed', 'fulfilled', 'lost')) <= (given <> '[]')),
        CHECK ((status = 'lost') <= (shortages <> '[]')),
        CHECK ((shortages <> '[]') <= (status IN ('confirmed', 'fulfilled', 'lost'))),
        CHECK (status = 'placed' OR decide_by IS NULL),
        FOREIGN KEY (household_id, rule_id, day) REFERENCES household_quotas
    )
    """,
    "CREATE INDEX orders_household ON orders (household_id, order_id)",
    "CREATE INDEX orders_slot ON orders (slot_id, status)",
    "CREATE INDEX orders_incident ON orders (incident_id, status)",
    "CREATE INDEX orders_decide_by ON orders (decide_by) WHERE status = 'placed'",
    # One part of a group for each household; a part that ended leaves room for another.
    """
    CREATE UNIQUE INDEX orders_group_part ON orders (group_id, household_id)
    WHERE group_id IS NOT NULL AND status NOT IN ('cancelled', 'refused')
    """,
    "CREATE INDEX orders_group ON orders (group_id, order_id) WHERE group_id IS NOT NULL",
    # What has arrived at doors, whatever became of the order meanwhile; hence no foreign key.
    """
    CREATE TABLE portions (
        portion_id uuid PRIMARY KEY,
        order_id uuid NOT NULL,
        delivered_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL
    )
    """,
    # What was lost at the split of a bulk load; the order has the lines, if it is known.
    """
    CREATE TABLE short_portions (
        portion_id uuid PRIMARY KEY,
        order_id uuid NOT NULL,
        is_empty boolean NOT NULL,
        found_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE fulfilments (
        order_id uuid PRIMARY KEY,
        expected integer CHECK (expected > 0),
        delivered integer NOT NULL DEFAULT 0 CHECK (delivered >= 0),
        lost integer NOT NULL DEFAULT 0 CHECK (lost >= 0)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
