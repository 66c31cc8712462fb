"""SQL of the report of an incident."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

REPORT = text("""
    WITH carried AS (
        SELECT load_id, form, grams, delivered_at, touched_at FROM loads
        WHERE incident_id = :incident_id AND withdrawn_at IS NULL
    ), handed AS (
        SELECT leg, count(DISTINCT load_unit_id) AS units
        FROM carried JOIN load_units USING (load_id) JOIN hand_overs USING (load_unit_id)
        GROUP BY leg
    ), driven AS (
        SELECT count(*) AS trips, coalesce(sum(metres), 0) AS metres FROM trips
        WHERE incident_id = :incident_id AND status IN ('planned', 'departed', 'stranded')
    ), split AS (
        SELECT count(*) AS split_loads, coalesce(sum(in_g), 0) AS split_in_g,
               coalesce(sum(portions_g), 0) AS split_portions_g, coalesce(sum(loss_g), 0) AS split_loss_g
        FROM carried JOIN splits USING (load_id)
    ), suspended AS (
        SELECT count(DISTINCT person_id) AS people, coalesce(sum(reassigned), 0) AS reassigned
        FROM suspensions WHERE incident_id = :incident_id
    ), rescued AS (
        SELECT count(DISTINCT (load_id, rescue_units.holder_id)) AS rescued,
               count(DISTINCT rescue_id) FILTER (WHERE rescues.settled_at IS NULL) AS rescues_open,
               count(DISTINCT rescue_id) FILTER (WHERE escalated_at IS NOT NULL) AS rescues_escalated
        FROM rescues JOIN rescue_units USING (rescue_id) WHERE incident_id = :incident_id
    )
    SELECT (SELECT count(*) FROM carried JOIN load_units USING (load_id)
            WHERE form = 'bagged' OR portion_id IS NULL) AS load_units,
           (SELECT count(*) FROM carried JOIN portions USING (load_id)) AS portions,
           (SELECT count(*) FROM carried JOIN portions USING (load_id)
            WHERE portions.delivered_at IS NOT NULL) AS delivered,
           (SELECT count(*) FROM carried JOIN portions USING (load_id) WHERE is_empty) AS emptied,
           split.*,
           driven.trips, driven.metres,
           (SELECT coalesce(sum(grams), 0) FROM carried WHERE touched_at IS NOT NULL) AS grams,
           (SELECT coalesce(sum(units), 0) FROM handed WHERE leg = 1) AS leg1,
           (SELECT coalesce(sum(units), 0) FROM handed WHERE leg = 2) AS leg2,
           (SELECT coalesce(sum(units), 0) FROM handed WHERE leg = 3) AS leg3,
           (SELECT count(*) FROM breaches WHERE incident_id = :incident_id) AS breaches,
           suspended.people AS suspended, suspended.reassigned,
           rescued.*
    FROM driven, split, suspended, rescued
""")


async def count_deliveries(session: AsyncSession, incident_id: UUID) -> Row[Any]:
    """Return what an incident's deliveries came to so far."""
    return (await session.execute(REPORT, {"incident_id": incident_id})).one()
