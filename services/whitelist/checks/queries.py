"""SQL of checks and commitments."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.retention import Retention
from services.whitelist.checks.domain import Check, CheckKind, CheckOutcome

# In key order, so that two batches never wait for each other.
INSERT = text("""
    INSERT INTO checks (person_id, kind, reference_digest, outcome, sampled_at, recorded_by)
    SELECT person_id, kind, digest, outcome, sampled_at, :recorded_by
    FROM unnest(
        CAST(:person_ids AS uuid[]), CAST(:kinds AS text[]), CAST(:digests AS bytea[]),
        CAST(:outcomes AS text[]), CAST(:sampled_at AS timestamptz[])
    ) AS row (person_id, kind, digest, outcome, sampled_at)
    ORDER BY person_id, kind, digest
    ON CONFLICT DO NOTHING
    RETURNING person_id, kind, reference_digest
""")
FIND = text("""
    SELECT person_id, kind, reference_digest, outcome, sampled_at
    FROM checks JOIN unnest(
        CAST(:person_ids AS uuid[]), CAST(:kinds AS text[]), CAST(:digests AS bytea[])
    ) AS row (person_id, kind, reference_digest) USING (person_id, kind, reference_digest)
""")
LATEST = text("""
    SELECT DISTINCT ON (person_id, kind, outcome) person_id, kind, outcome, sampled_at
    FROM checks WHERE person_id = ANY(CAST(:person_ids AS uuid[]))
    ORDER BY person_id, kind, outcome, sampled_at DESC
""")
SIGN = text("""
    INSERT INTO commitments (person_id, text_version, signed_at)
    VALUES (:person_id, :text_version, :signed_at)
    ON CONFLICT DO NOTHING
    RETURNING person_id
""")
SIGNED = text("""
    SELECT person_id, text_version FROM commitments WHERE person_id = ANY(CAST(:person_ids AS uuid[]))
""")

# The rules look at the last check of each kind and outcome alone; health data is kept no longer than it is of
# use.
SUPERSEDED = Retention(
    table="checks",
    days=30,
    delete=text("""
        DELETE FROM checks WHERE ctid = ANY(ARRAY(
            SELECT old.ctid FROM checks AS old
            WHERE old.sampled_at < :before AND EXISTS (
                SELECT FROM checks AS newer
                WHERE (newer.person_id, newer.kind, newer.outcome) = (old.person_id, old.kind, old.outcome)
                  AND newer.sampled_at > old.sampled_at
            )
            ORDER BY old.sampled_at LIMIT :limit FOR UPDATE OF old SKIP LOCKED
        ))
    """),
)

Identity = tuple[UUID, CheckKind, bytes]
Finding = tuple[CheckOutcome, datetime]
# When each kind of check last had each outcome: all that the rules of clearance ask about the past.
Latest = Mapping[tuple[CheckKind, CheckOutcome], datetime]


async def insert_new(session: AsyncSession, checks: Sequence[Check], *, recorded_by: str) -> set[Identity]:
    """Write those checks whose reference is new for the person and kind, and return their identities."""
    rows = await session.execute(
        INSERT,
        {
            **_identities(checks),
            "outcomes": [check.outcome.value for check in checks],
            "sampled_at": [check.sampled_at for check in checks],
            "recorded_by": recorded_by,
        },
    )
    return {(row.person_id, CheckKind(row.kind), row.reference_digest) for row in rows}


async def find_findings(session: AsyncSession, checks: Sequence[Check]) -> dict[Identity, Finding]:
    """Return what is recorded under the references of these checks."""
    rows = await session.execute(FIND, _identities(checks))
    return {
        (row.person_id, CheckKind(row.kind), row.reference_digest): (
            CheckOutcome(row.outcome),
            row.sampled_at,
        )
        for row in rows
    }


async def find_latest(session: AsyncSession, person_ids: Iterable[UUID]) -> Mapping[UUID, Latest]:
    """Return for each person when each kind of check last had each outcome."""
    rows = await session.execute(LATEST, {"person_ids": sorted(set(person_ids))})
    latest: defaultdict[UUID, dict[tuple[CheckKind, CheckOutcome], datetime]] = defaultdict(dict)
    for row in rows:
        latest[row.person_id][CheckKind(row.kind), CheckOutcome(row.outcome)] = row.sampled_at
    return latest


async def sign(session: AsyncSession, person_id: UUID, *, text_version: str, signed_at: datetime) -> bool:
    """Write a signature and say whether it is the first under this text."""
    row = await session.execute(
        SIGN, {"person_id": person_id, "text_version": text_version, "signed_at": signed_at}
    )
    return row.one_or_none() is not None


async def find_signed(session: AsyncSession, person_ids: Iterable[UUID]) -> Mapping[UUID, frozenset[str]]:
    """Return the versions of the texts that each person has signed."""
    rows = await session.execute(SIGNED, {"person_ids": sorted(set(person_ids))})
    signed: defaultdict[UUID, set[str]] = defaultdict(set)
    for row in rows:
        signed[row.person_id].add(row.text_version)
    return {person_id: frozenset(versions) for person_id, versions in signed.items()}


def _identities(checks: Sequence[Check]) -> dict[str, object]:
    return {
        "person_ids": [check.person_id for check in checks],
        "kinds": [check.kind.value for check in checks],
        "digests": [check.digest for check in checks],
    }
