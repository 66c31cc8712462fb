"""A split against what happens at the same moment: whichever is first, the other knows of it."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from services.contracts.access import Role
from services.dispatch.rescues import application as rescues
from services.kit import database
from services.kit.database import Sessions
from tests.dispatch.builders import HOUR, NOW, make_suspended, rows, said, tell
from tests.dispatch.bulks import EGGS, BulkRelay, make_bulk_relay

TIMES = 10
T = TypeVar("T")


async def after(seconds: float, what: Awaitable[T]) -> T:
    await asyncio.sleep(max(seconds, 0))
    return await what


async def test_no_portion_is_empty_and_delivered_and_no_leg_told_twice_however_a_split_meets_hand_overs(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    for time in range(TIMES):
        relay = await make_bulk_relay(client, service_sessions, tmp_path)
        ahead = (time - TIMES // 2) * 0.004
        split, door, gate = await asyncio.gather(
            after(-ahead, relay.split(relay.split_note((EGGS, "missing", 4000)))),
            after(ahead, relay.record(*relay.door_notes(2))),
            after(ahead, relay.record(*relay.crate_notes(2))),
        )
        assert split.status_code == 200
        assert [(item["outcome"], item["is_breach"]) for item in (*door, *gate)] == [("recorded", False)] * 3
        found = await rows(
            service_sessions,
            "SELECT is_empty, delivered_at FROM portions WHERE portion_id = :id",
            id=relay.portions[2],
        )
        assert [tuple(row) for row in found] == [(True, None)]
        handed = await said(service_sessions, "dispatch.load_handed_over.v1")
        told = [(sequence, each["leg"]) for sequence, each in handed if each["load_id"] == str(relay.load_id)]
        assert told == [(1, 2)]


async def rescued(relay: BulkRelay) -> set[Any]:
    query = "SELECT load_unit_id FROM rescue_units WHERE load_id = :id AND settled_at IS NULL"
    return {row.load_unit_id for row in await rows(relay.sessions, query, id=relay.load_id)}


async def test_a_split_is_before_a_suspension_or_after_it_and_its_bags_are_rescued_either_way(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    for time in range(TIMES):
        relay = await make_bulk_relay(client, service_sessions, tmp_path)
        suspended = make_suspended(relay.steward, Role.STEWARD)
        answer, _ = await asyncio.gather(
            relay.split(relay.split_note()),
            after(time * 0.008, tell(service_sessions, suspended, sequence=2, at=NOW - HOUR / 2)),
        )
        split, bags = answer.json(), {bag for door in relay.bags for bag in door}
        found = await rows(
            service_sessions, "SELECT reasons FROM breaches WHERE split_id = :id", id=split["split_id"]
        )
        codes = [reason["code"] for row in found for reason in row.reasons]
        # It was judged by a suspension that had come before, or the suspension has seen what was split.
        assert (split["is_breach"], codes, await rescued(relay)) in (
            (False, [], bags),
            (True, ["dispatch.person_not_cleared"], set()),
        )
        async with service_sessions.begin() as session:
            await rescues.open_late(session, await database.now(session))
        assert await rescued(relay) == bags
