"""The tables of vehicles, passes, crew, loads, hand-overs, breaches, rescues."""

from alembic import op

revision = "0002"
down_revision = "0001"

FLEET: tuple[str, ...] = (
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
)

PASSES: tuple[str, ...] = (
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

CREW: tuple[str, ...] = (
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

PLACES: tuple[str, ...] = (
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

LOADS: tuple[str, ...] = (
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

RESCUES: tuple[str, ...] = (
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
    "CREATE INDEX rescue_units_open ON rescue_units (load_id) WHERE settled_at IS NULL",
    "CREATE INDEX rescue_units_by_unit ON rescue_units (load_unit_id)",
)

RELAY: tuple[str, ...] = (
    # `occurred_at` is what the device's clock said, `reckoned_at` the moment that counts; see `relay.domain`.
    """
    CREATE TABLE hand_overs (
        hand_over_id uuid PRIMARY KEY,
        load_unit_id uuid NOT NULL REFERENCES load_units,
        leg smallint NOT NULL CHECK (leg BETWEEN 1 AND 3),
        giver_id uuid NOT NULL,
        taker_id uuid NOT NULL,
        lat double precision,
        lon double precision,
        occurred_at timestamptz NOT NULL,
        reckoned_at timestamptz NOT NULL,
        clock_doubtful boolean NOT NULL,
        recorded_at timestamptz NOT NULL,
        recorded_by text NOT NULL,
        proof text NOT NULL CHECK (proof IN ('qr', 'pin', 'photo')),
        photo_sha256 text CHECK (photo_sha256 ~ '^[0-9a-f]{64}$'),
        rescue_id uuid REFERENCES rescues,
        is_breach boolean NOT NULL,
        is_degraded boolean NOT NULL,
        CHECK ((proof = 'photo' OR (proof = 'qr' AND leg = 3)) <= (photo_sha256 IS NOT NULL)),
        CHECK (clock_doubtful <= (reckoned_at = recorded_at))
    )
    """,
    "CREATE INDEX hand_overs_by_unit ON hand_overs (load_unit_id, leg, reckoned_at)",
    "CREATE INDEX hand_overs_by_taker ON hand_overs (taker_id)",
    "CREATE INDEX hand_overs_by_recording ON hand_overs (recorded_at)",
    # A bulk load broken up into portions, once: what was in it is in the portions or lost, to the gram.
    """
    CREATE TABLE splits (
        split_id uuid PRIMARY KEY,
        load_id uuid NOT NULL UNIQUE REFERENCES loads,
        steward_id uuid NOT NULL,
        lat double precision,
        lon double precision,
        occurred_at timestamptz NOT NULL,
        reckoned_at timestamptz NOT NULL,
        clock_doubtful boolean NOT NULL,
        recorded_at timestamptz NOT NULL,
        recorded_by text NOT NULL,
        told jsonb NOT NULL,
        in_g bigint NOT NULL CHECK (in_g >= 0),
        portions_g bigint NOT NULL CHECK (portions_g >= 0),
        loss_g bigint NOT NULL CHECK (loss_g >= 0),
        is_breach boolean NOT NULL,
        is_degraded boolean NOT NULL,
        CHECK (in_g = portions_g + loss_g)
    )
    """,
    "CREATE INDEX splits_by_steward ON splits (steward_id)",
    """
    CREATE TABLE split_losses (
        split_id uuid NOT NULL REFERENCES splits,
        offer_id uuid NOT NULL,
        product_id uuid NOT NULL,
        reason text NOT NULL CHECK (reason IN ('missing', 'spoiled', 'damaged', 'offcut')),
        grams bigint NOT NULL CHECK (grams > 0),
        PRIMARY KEY (split_id, offer_id, reason)
    )
    """,
    """
    CREATE TABLE breaches (
        breach_id uuid PRIMARY KEY,
        hand_over_id uuid UNIQUE REFERENCES hand_overs,
        split_id uuid UNIQUE REFERENCES splits,
        incident_id uuid NOT NULL,
        zone_id uuid NOT NULL,
        person_ids uuid[] NOT NULL CHECK (cardinality(person_ids) > 0),
        reasons jsonb NOT NULL CHECK (jsonb_array_length(reasons) > 0),
        opened_at timestamptz NOT NULL,
        closed_at timestamptz,
        closed_by text,
        reason text,
        CHECK (num_nonnulls(hand_over_id, split_id) = 1),
        CHECK ((closed_at IS NULL) = (reason IS NULL)),
        CHECK ((closed_at IS NULL) = (closed_by IS NULL))
    )
    """,
    "CREATE INDEX breaches_by_incident ON breaches (incident_id)",
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

STATEMENTS = FLEET + PASSES + CREW + PLACES + LOADS + RESCUES + RELAY


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
