"""The tables of people, duties, checks, policies, clearance."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE people (
        id uuid PRIMARY KEY,
        client text NOT NULL,
        external_id text NOT NULL,
        role text NOT NULL CHECK (role IN (
            'leader', 'steward', 'outlet', 'driver', 'runner', 'guard', 'hotline', 'commander', 'regulator',
            'health_officer'
        )),
        outlet_id uuid,
        home_area_id uuid,
        service_area_ids uuid[] NOT NULL,
        sealed bytea NOT NULL,
        imported_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
        UNIQUE (client, external_id),
        CHECK (role <> 'outlet' OR outlet_id IS NOT NULL)
    )
    """,
    "CREATE INDEX people_of_role ON people (role, id)",
    """
    CREATE TABLE person_reads (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        person_id uuid NOT NULL REFERENCES people,
        reader text NOT NULL,
        purpose text NOT NULL CHECK (purpose IN ('staff_list', 'staff_entry', 'clearance_reasons')),
        read_at timestamptz NOT NULL DEFAULT transaction_timestamp()
    )
    """,
    "CREATE INDEX person_reads_of_person ON person_reads (person_id, id)",
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'what was read stays written' USING ERRCODE = 'restrict_violation'; END $$
    """,
    """
    CREATE TRIGGER person_reads_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON person_reads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    # A queue: no unique person, so that a fact never waits for the batch that recomputes the one before it.
    # No foreign key: a policy marks everyone in one statement, and reads them from people itself.
    """
    CREATE TABLE people_due (
        urgency smallint NOT NULL CHECK (urgency IN (0, 1)),
        id bigint GENERATED ALWAYS AS IDENTITY,
        person_id uuid NOT NULL,
        marked_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
        PRIMARY KEY (urgency, id)
    ) WITH (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0
    )
    """,
    """
    CREATE TABLE duties (
        id uuid PRIMARY KEY,
        person_id uuid NOT NULL REFERENCES people,
        role text NOT NULL CHECK (role IN ('steward', 'guard', 'runner')),
        community_id uuid NOT NULL,
        building_ids uuid[] NOT NULL,
        starts_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        sequence bigint NOT NULL DEFAULT 1,
        UNIQUE (person_id, role, community_id, starts_at),
        CHECK (starts_at < ends_at),
        CHECK (role <> 'steward' OR cardinality(building_ids) > 0)
    )
    """,
    "CREATE INDEX duties_of_community ON duties (community_id, id)",
    """
    CREATE TABLE checks (
        person_id uuid NOT NULL REFERENCES people,
        kind text NOT NULL,
        reference_digest bytea NOT NULL CHECK (octet_length(reference_digest) = 32),
        outcome text NOT NULL,
        sampled_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
        recorded_by text NOT NULL,
        PRIMARY KEY (person_id, kind, reference_digest),
        CHECK ((kind, outcome) IN (
            ('pcr', 'negative'), ('pcr', 'positive'), ('antigen', 'negative'), ('antigen', 'positive'),
            ('health_code', 'green'), ('health_code', 'yellow'), ('health_code', 'red'),
            ('temperature', 'normal'), ('temperature', 'fever')
        ))
    )
    """,
    "CREATE INDEX checks_by_age ON checks (sampled_at)",
    "CREATE INDEX checks_latest ON checks (person_id, kind, outcome, sampled_at DESC)",
    """
    CREATE TABLE commitments (
        person_id uuid NOT NULL REFERENCES people,
        text_version text NOT NULL,
        signed_at timestamptz NOT NULL,
        PRIMARY KEY (person_id, text_version)
    )
    """,
    """
    CREATE TABLE policies (
        id uuid PRIMARY KEY,
        zone_class text NOT NULL CHECK (zone_class IN ('sealed', 'controlled', 'precaution')),
        roles text[] NOT NULL,
        valid_from timestamptz NOT NULL,
        valid_to timestamptz,
        pcr_max_age_hours integer CHECK (pcr_max_age_hours > 0),
        antigen_max_age_hours integer CHECK (antigen_max_age_hours > 0),
        commitment_version text,
        legal_ref text NOT NULL,
        stated_by text NOT NULL,
        stated_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
        CHECK (valid_from < valid_to),
        CHECK (num_nonnulls(pcr_max_age_hours, antigen_max_age_hours, valid_to) > 0)
    )
    """,
    # What was last said of a person, and the next moment at which time alone can change it.
    """
    CREATE TABLE standings (
        person_id uuid PRIMARY KEY REFERENCES people,
        sequence bigint NOT NULL CHECK (sequence > 0),
        said jsonb NOT NULL,
        judged_at timestamptz NOT NULL,
        judged_again_at timestamptz
    )
    """,
    "CREATE INDEX standings_to_judge ON standings (judged_again_at) WHERE judged_again_at IS NOT NULL",
    """
    CREATE TABLE heartbeats (
        partition smallint PRIMARY KEY CHECK (partition BETWEEN 0 AND 11),
        sequence bigint NOT NULL,
        beat_at timestamptz NOT NULL
    )
    """,
    "INSERT INTO heartbeats SELECT place, 0, '-infinity' FROM generate_series(0, 11) AS place",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
