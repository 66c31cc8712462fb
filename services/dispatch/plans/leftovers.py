"""What is left of plans that came to nothing."""

from sqlalchemy import text

from services.kit.retention import Retention

# A plan that nobody committed, with what it proposed: its vehicles and windows are of another day.
UNCOMMITTED = Retention(
    table="plans",
    days=30,
    batch=50,
    delete=text("""
        WITH old AS MATERIALIZED (
            SELECT plan_id FROM plans WHERE status IN ('ready', 'failed') AND requested_at < :before
            ORDER BY requested_at LIMIT :limit FOR UPDATE SKIP LOCKED
        ), proposed AS MATERIALIZED (
            SELECT trip_id FROM trips JOIN old USING (plan_id)
        ), stops AS (
            DELETE FROM trip_stops USING proposed WHERE trip_stops.trip_id = proposed.trip_id
        ), loaded AS (
            DELETE FROM trip_loads USING proposed WHERE trip_loads.trip_id = proposed.trip_id
        ), given_up AS (
            DELETE FROM trips USING proposed WHERE trips.trip_id = proposed.trip_id
        ), left_out AS (
            DELETE FROM left_loads USING old WHERE left_loads.plan_id = old.plan_id
        )
        DELETE FROM plans USING old WHERE plans.plan_id = old.plan_id
    """),
)
