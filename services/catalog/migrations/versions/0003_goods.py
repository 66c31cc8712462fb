"""The tables of products, price rules, offers, stock and holds."""

from alembic import op

revision = "0003"
down_revision = "0002"

GOODS = (
    """
    CREATE TABLE products (
        product_id uuid PRIMARY KEY,
        client text NOT NULL,
        external_id text NOT NULL,
        name text NOT NULL,
        unit_name text NOT NULL,
        category text NOT NULL,
        gtin text UNIQUE CHECK (gtin ~ '^[0-9]{14}$'),
        variety text,
        grade text,
        category_since timestamptz NOT NULL,
        UNIQUE (client, external_id),
        CHECK ((gtin IS NULL) <> (variety IS NULL)),
        CHECK (gtin IS NULL OR grade IS NULL)
    )
    """,
    """
    CREATE UNIQUE INDEX products_variety ON products (variety, coalesce(grade, ''), unit_name)
    WHERE variety IS NOT NULL
    """,
)

PRICES = (
    """
    CREATE TABLE price_rules (
        rule_id uuid NOT NULL,
        version integer NOT NULL CHECK (version > 0),
        kind text NOT NULL CHECK (kind IN ('ceiling', 'margin_rate')),
        status text NOT NULL CHECK (status IN ('proposed', 'confirmed')),
        zone_id uuid,
        category text,
        product_id uuid,
        outlet_kind text,
        legal_ref text NOT NULL,
        authority text,
        valid_from date NOT NULL,
        valid_to date CHECK (valid_to >= valid_from),
        ceiling_fen_per_kg integer CHECK (ceiling_fen_per_kg >= 0),
        reference_date date,
        default_rate numeric(9, 4) CHECK (default_rate >= 0),
        proposed_by text NOT NULL,
        proposed_at timestamptz NOT NULL,
        confirmed_by text,
        confirmed_at timestamptz,
        PRIMARY KEY (rule_id, version),
        CHECK ((kind = 'ceiling') = (ceiling_fen_per_kg IS NOT NULL)),
        CHECK ((kind = 'margin_rate') = (reference_date IS NOT NULL AND default_rate IS NOT NULL)),
        CHECK (kind = 'margin_rate' OR num_nonnulls(reference_date, default_rate) = 0),
        CHECK ((status = 'confirmed') = (confirmed_by IS NOT NULL AND confirmed_at IS NOT NULL)),
        -- A changed rule needs a second person.
        CHECK (confirmed_by <> proposed_by)
    )
    """,
    "CREATE UNIQUE INDEX price_rules_proposed ON price_rules (rule_id) WHERE status = 'proposed'",
    # One row: how many times what binds has changed. What was judged under an older count is judged again.
    """
    CREATE TABLE price_epoch (
        is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
        epoch bigint NOT NULL
    )
    """,
    "INSERT INTO price_epoch (epoch) VALUES (1)",
    """
    CREATE TABLE price_decisions (
        decision_id uuid PRIMARY KEY,
        offer_id uuid NOT NULL,
        outlet_id uuid NOT NULL,
        plu text NOT NULL,
        product_id uuid NOT NULL,
        occasion text NOT NULL CHECK (occasion IN ('listing', 'rejudging')),
        price_fen integer NOT NULL,
        cap_fen bigint,
        rule_id uuid,
        rule_version integer,
        rule_kind text,
        legal_ref text,
        inputs jsonb NOT NULL,
        is_allowed boolean NOT NULL,
        decided_for date NOT NULL,
        decided_at timestamptz NOT NULL,
        CHECK (is_allowed = (cap_fen IS NULL OR price_fen <= cap_fen)),
        FOREIGN KEY (rule_id, rule_version) REFERENCES price_rules (rule_id, version)
    )
    """,
    "CREATE INDEX price_refusals ON price_decisions (decision_id) WHERE NOT is_allowed",
)

OFFERS = (
    # The last line of every path: what is above its cap is blocked, or it does not stand.
    """
    CREATE TABLE offers (
        offer_id uuid PRIMARY KEY,
        outlet_id uuid NOT NULL REFERENCES outlets (outlet_id),
        plu text NOT NULL,
        product_id uuid NOT NULL REFERENCES products (product_id),
        name text NOT NULL,
        grams integer NOT NULL CHECK (grams > 0),
        purchase_fen integer NOT NULL CHECK (purchase_fen > 0),
        price_fen integer NOT NULL CHECK (price_fen >= 0),
        cap_fen bigint CHECK (cap_fen >= 0),
        is_blocked boolean NOT NULL,
        judged_epoch bigint NOT NULL,
        judged_at timestamptz NOT NULL,
        judged_until date,
        judged_category text NOT NULL,
        judged_kind text NOT NULL,
        judged_zones uuid[] NOT NULL,
        UNIQUE (outlet_id, plu),
        CHECK (is_blocked OR cap_fen IS NULL OR price_fen <= cap_fen)
    )
    """,
    "CREATE INDEX offers_product ON offers (product_id, outlet_id)",
    "CREATE INDEX offers_epoch ON offers (judged_epoch, offer_id)",
    "CREATE INDEX products_category_since ON products (category_since)",
    "CREATE INDEX offers_until ON offers (judged_until) WHERE judged_until IS NOT NULL",
    # What a shop has stated of its past stays: a reference deal cannot be taken back. When it was recorded
    # says of which rules it may be a reference; one for which the regulator vouches is one of all.
    """
    CREATE TABLE offer_deals (
        offer_id uuid NOT NULL REFERENCES offers (offer_id),
        sold_on date NOT NULL,
        sale_fen integer NOT NULL CHECK (sale_fen >= 0),
        purchase_fen integer NOT NULL CHECK (purchase_fen > 0),
        recorded_at timestamptz NOT NULL,
        vouched_by text,
        PRIMARY KEY (offer_id, sold_on, sale_fen, purchase_fen)
    )
    """,
)

STOCK = (
    # In sale units. A count is the truth even below what is promised: `reserved` may exceed `on_hand` then.
    """
    CREATE TABLE stock (
        offer_id uuid PRIMARY KEY REFERENCES offers (offer_id),
        on_hand integer NOT NULL DEFAULT 0 CHECK (on_hand >= 0),
        reserved integer NOT NULL DEFAULT 0 CHECK (reserved >= 0),
        counted_at timestamptz
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE stock_ledger (
        entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        offer_id uuid NOT NULL REFERENCES stock (offer_id),
        kind text NOT NULL CHECK (kind IN ('count', 'adjustment', 'hand_over')),
        delta integer NOT NULL,
        on_hand integer NOT NULL CHECK (on_hand >= 0),
        reason text,
        reference text,
        observed_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL
    )
    """,
    """
    CREATE UNIQUE INDEX stock_ledger_reference ON stock_ledger (offer_id, kind, reference)
    WHERE reference IS NOT NULL
    """,
    "CREATE INDEX stock_ledger_offer ON stock_ledger (offer_id, observed_at)",
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '% is append only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$
    """,
    """
    CREATE TRIGGER stock_ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER price_decisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON price_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
)

HOLDS = (
    """
    CREATE TABLE hold_policies (
        valid_from timestamptz PRIMARY KEY,
        waiting_seconds integer NOT NULL CHECK (waiting_seconds > 0),
        hold_seconds integer NOT NULL CHECK (hold_seconds > 0),
        authority text NOT NULL
    )
    """,
    # A zone may be heard of after its first order; orders refuses by itself after 30 s (its own policy).
    "INSERT INTO hold_policies VALUES ('2022-03-01T00:00:00Z', 20, 300, 'assumed; a place states its own')",
    # `wanted` is there while it waits for its zone's supply or slot; `place` is the order of arrival;
    # `day` is that of its delivery, by its slot as it was when the goods were held.
    """
    CREATE TABLE reservations (
        reservation_id uuid PRIMARY KEY,
        place bigint GENERATED ALWAYS AS IDENTITY,
        status text NOT NULL
            CHECK (status IN ('waiting', 'held', 'committed', 'handed_over', 'released', 'refused')),
        is_group boolean NOT NULL,
        zone_id uuid NOT NULL,
        incident_id uuid NOT NULL,
        households integer NOT NULL CHECK (households >= 0),
        slot_id uuid NOT NULL,
        asked_by uuid NOT NULL,
        day date,
        wanted jsonb,
        sequence integer NOT NULL DEFAULT 0,
        deadline_at timestamptz NOT NULL,
        limit_at timestamptz,
        CHECK (status <> 'waiting' OR wanted IS NOT NULL),
        CHECK (status NOT IN ('held', 'committed', 'handed_over') OR day IS NOT NULL)
    )
    """,
    "CREATE INDEX reservations_waiting ON reservations (place) WHERE status = 'waiting'",
    "CREATE INDEX reservations_held ON reservations (limit_at) WHERE status = 'held'",
    "CREATE INDEX reservations_incident ON reservations (incident_id)",
    """
    CREATE TABLE holds (
        reservation_id uuid NOT NULL REFERENCES reservations (reservation_id),
        offer_id uuid NOT NULL REFERENCES stock (offer_id),
        outlet_id uuid NOT NULL,
        quantity integer NOT NULL CHECK (quantity > 0),
        held integer NOT NULL CHECK (held >= 0),
        committed integer NOT NULL DEFAULT 0 CHECK (committed >= 0),
        handed_over integer NOT NULL DEFAULT 0 CHECK (handed_over >= 0),
        released integer NOT NULL DEFAULT 0 CHECK (released >= 0),
        PRIMARY KEY (reservation_id, offer_id),
        CHECK (held + committed + handed_over + released = quantity)
    )
    """,
    # Orders a day that an outlet has been promised to pick for a zone, of those it accepted.
    """
    CREATE TABLE picking (
        zone_id uuid NOT NULL,
        outlet_id uuid NOT NULL,
        day date NOT NULL,
        taken integer NOT NULL DEFAULT 0 CHECK (taken >= 0),
        PRIMARY KEY (zone_id, outlet_id, day)
    ) WITH (fillfactor = 70)
    """,
    # What of its picking a group was charged for, until it is shared out and its households are counted.
    """
    CREATE TABLE group_picking (
        reservation_id uuid NOT NULL REFERENCES reservations (reservation_id),
        outlet_id uuid NOT NULL,
        orders integer NOT NULL CHECK (orders > 0),
        PRIMARY KEY (reservation_id, outlet_id)
    )
    """,
    # What orders has said about an order; `unknown` while only a hand-over of it has been heard of.
    """
    CREATE TABLE order_words (
        order_id uuid PRIMARY KEY,
        word text NOT NULL CHECK (word IN ('unknown', 'confirmed', 'released')),
        reservation_id uuid,
        CHECK ((word = 'unknown') = (reservation_id IS NULL))
    )
    """,
    "CREATE INDEX order_words_parts ON order_words (reservation_id) WHERE reservation_id <> order_id",
    """
    CREATE TABLE commitments (
        order_id uuid NOT NULL REFERENCES order_words (order_id),
        offer_id uuid NOT NULL REFERENCES stock (offer_id),
        outlet_id uuid NOT NULL,
        quantity integer NOT NULL CHECK (quantity > 0),
        status text NOT NULL CHECK (status IN ('committed', 'handed_over', 'released')),
        PRIMARY KEY (order_id, offer_id)
    )
    """,
    """
    CREATE TABLE early_hand_overs (
        order_id uuid NOT NULL REFERENCES order_words (order_id),
        outlet_id uuid NOT NULL,
        load_id uuid NOT NULL,
        occurred_at timestamptz NOT NULL,
        PRIMARY KEY (order_id, outlet_id)
    )
    """,
)

STATEMENTS = GOODS + PRICES + OFFERS + STOCK + HOLDS


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
