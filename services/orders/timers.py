"""What the clock starts in orders; every piece of work is a row with its moment, claimed once."""

from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.timers import Timer
from services.orders.groups import application as groups
from services.orders.groups import closing
from services.orders.intake import deciding, winding_up
from services.orders.register import duties
from services.orders.zones import application as zones

BATCH: Final = 200


async def begin_duties(session: AsyncSession, now: datetime) -> int:
    """Judge anew the zones whose stewards' duties have begun since they were stated."""
    begun, building_ids = await duties.claim_due_duties(session, now=now, limit=BATCH)
    await zones.attend(session, building_ids, now=now)
    return begun


TIMERS: tuple[Timer, ...] = (
    Timer(name="duties_begin", every=1.0, run=begin_duties),
    Timer(name="decisions_overdue", every=1.0, run=deciding.refuse_overdue),
    Timer(name="groups_end", every=1.0, run=groups.end_due),
    Timer(name="groups_overdue", every=1.0, run=groups.refuse_overdue),
    Timer(name="zones_wind_up", every=1.0, run=winding_up.refuse_undecided),
    Timer(name="zones_end_groups", every=1.0, run=closing.refuse_undecided),
    Timer(name="slots_close", every=1.0, run=deciding.close_slots),
)
