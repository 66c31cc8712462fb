"""What the clock starts in dispatch; every piece of work is a row with its moment, claimed once."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.crew import domain as crew_domain
from services.dispatch.crew import queries as crew_queries
from services.dispatch.fleet import application as fleet_application
from services.dispatch.fleet import queries as fleet_queries
from services.dispatch.fleet.domain import Fleet, Permit
from services.dispatch.loads import application as loads_application
from services.dispatch.passes import queries as passes_queries
from services.dispatch.plans import application as plans_application
from services.dispatch.plans import leftovers
from services.dispatch.rescues import application as rescues_application
from services.kit.retention import Retention, forgetting
from services.kit.timers import Timer


async def state_capacities(session: AsyncSession, now: datetime) -> int:
    """Tell what can be carried in each slot that is due, by the vehicles, passes and drivers of now."""
    if not await fleet_queries.is_any_due(session, now, checked_every=fleet_application.CHECKED_EVERY):
        return 0
    fleet = Fleet(
        vehicles=await fleet_queries.list_working(session, now),
        permits=[
            Permit(
                vehicle_id=each.vehicle_id,
                valid_from=each.valid_from,
                valid_to=each.valid_to,
                crew=each.crew,
            )
            for each in await passes_queries.list_valid(session, now)
        ],
        drivers=crew_domain.cleared_drivers(await crew_queries.list_cleared_drivers(session, now), now),
        policy=await fleet_queries.get_policy(session, now),
    )
    return await fleet_application.state_due_capacities(session, fleet, now)


FORGOTTEN: tuple[Retention, ...] = (crew_queries.OLD_WORDS, leftovers.UNCOMMITTED)
TIMERS: tuple[Timer, ...] = (
    Timer("dispatch.state_capacities", 0.5, state_capacities),
    Timer("dispatch.pack_groups", 0.5, loads_application.pack_group),
    Timer("dispatch.open_rescues", 5.0, rescues_application.open_late),
    Timer("dispatch.settle_rescues", 5.0, rescues_application.settle_over),
    Timer("dispatch.escalate_rescues", 5.0, rescues_application.call_late),
    Timer("dispatch.plan_rescues", 5.0, rescues_application.plan_waiting),
    Timer("dispatch.plan_left", 5.0, rescues_application.plan_left),
    Timer("dispatch.commit_plans", 0.5, plans_application.commit_automatic),
    *map(forgetting, FORGOTTEN),
)
