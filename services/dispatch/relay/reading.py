"""What ties a reader to loads: a duty or a trip now, or something of them that is still in hand.

Who had it once tells of it for good, for logs come late; to read of its households that is no reason.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.relay import application, domain, queries, stand_ins
from services.dispatch.relay.permission import Tie
from services.kit.caller import Caller


async def find_tie(session: AsyncSession, caller: Caller, load_ids: Iterable[UUID], now: datetime) -> Tie:
    """Return what ties a caller to loads now."""
    loads = set(load_ids)
    tie = await application.find_tie(session, caller, loads, since=now)
    hand_overs = await queries.find_of_loads(session, loads)
    takers: dict[UUID, frozenset[UUID]] = {}
    for load_id, contents in (await queries.find_contents(session, loads)).items():
        log = hand_overs.get(load_id, ())
        held = domain.holders_of(stand_ins.as_came(contents, log), log)
        takers[load_id] = frozenset(person for person in held.values() if person)
    return replace(tie, takers=takers)
