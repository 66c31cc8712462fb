"""A device's log in any order, doubled, in any pieces, leaves the same rows (promises.md P12)."""

import os
import random
from typing import Any

import httpx
from sqlalchemy import text

from services.kit.database import Sessions
from tests.dispatch.relays import Relay, make_relay

LOGS = 1000 if os.environ.get("PROMISES") == "full" else 6


async def custody(relay: Relay) -> list[dict[str, Any]]:
    links = (await relay.get(f"/v1/hand-overs?load_id={relay.load_id}"))["items"]
    return [{name: value for name, value in link.items() if name != "recorded_at"} for link in links]


async def test_any_order_of_a_log_gives_the_same_custody(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    relay = await make_relay(client, service_sessions)
    log = [relay.note(leg, unit) for leg in (1, 2, 3) for unit in (0, 1)]
    # The taker's device noted the same hand-over a little later, under an id of its own.
    log.append(relay.note(2, 0, minutes=-7))
    seen = []
    for seed in range(LOGS):
        chance = random.Random(seed)
        sent = [*log, *chance.sample(log, 3)]
        chance.shuffle(sent)
        cut = chance.randrange(1, len(sent))
        await relay.record(*sent[:cut])
        await relay.record(*sent[cut:])
        seen.append((await custody(relay), await relay.moments()))
        async with service_sessions.begin() as session:
            for table in ("breaches", "hand_overs"):
                await session.execute(text(f"DELETE FROM {table}"))
    assert len(seen[0][0]) == 7
    assert all(each == seen[0] for each in seen)
