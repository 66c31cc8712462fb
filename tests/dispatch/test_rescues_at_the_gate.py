"""What a steward has who may not go on: taken over by another on duty, before the split and after it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from services.contracts.access import Role
from services.dispatch.rescues import application
from services.kit import database
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.dispatch.builders import GATE, HOUR, NOW, make_cleared, make_duty, make_suspended, rows, tell
from tests.dispatch.bulks import EGGS, BulkRelay, make_bulk_relay
from tests.dispatch.rescued import minutes_from_now


@pytest.fixture
async def relay(client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path) -> BulkRelay:
    """Crates at the gate, in the steward's hands."""
    relay = await make_bulk_relay(client, service_sessions, tmp_path)
    await relay.record(*relay.crate_notes(1, 2))
    return relay


async def suspend(relay: BulkRelay) -> None:
    word = make_suspended(relay.steward, Role.STEWARD)
    await tell(relay.sessions, word, sequence=2, at=minutes_from_now(-4))


def take_over(relay: BulkRelay, units: Iterable[UUID], taker: UUID) -> list[dict[str, Any]]:
    """Another steward takes units over now."""
    at = minutes_from_now(0).isoformat()
    return [relay.note(2, unit, giver_id=relay.steward, taker_id=taker, occurred_at=at) for unit in units]


async def call_deputy(relay: BulkRelay) -> UUID:
    deputy = new_id()
    await tell(relay.sessions, make_cleared(deputy, Role.STEWARD))
    await tell(relay.sessions, make_duty(deputy, relay.zone))
    return deputy


async def sweep(relay: BulkRelay) -> int:
    async with relay.sessions.begin() as session:
        return await application.open_late(session, await database.now(session))


async def rescue_of(relay: BulkRelay) -> dict[str, Any]:
    ((rescue_id,),) = await rows(relay.sessions, "SELECT rescue_id FROM rescues")
    return dict(await relay.get(f"/v1/rescues/{rescue_id}"))


async def breaches(relay: BulkRelay) -> int:
    return len(await rows(relay.sessions, "SELECT 1 FROM breaches"))


async def assign(relay: BulkRelay, rescue_id: str, person: UUID) -> httpx.Response:
    return await relay.client.post(
        f"/v1/rescues/{rescue_id}/assignment", json={"person_id": str(person)}, headers=relay.headers()
    )


async def test_crates_of_a_suspended_steward_are_taken_over_and_split_by_another(relay: BulkRelay) -> None:
    deputy = await call_deputy(relay)

    await suspend(relay)

    rescue = await rescue_of(relay)
    assert (rescue["cause"], rescue["status"]) == ("steward_suspended", "open")
    assert rescue["community_id"] == str(relay.zone.communities[0].community_id)
    assert rescue["place"] == {"lat": GATE.lat, "lon": GATE.lon}
    assert (rescue["load_ids"], rescue["pieces"]) == ([str(relay.load_id)], len(relay.crates))
    assert rescue["candidates"] == [
        {"person_id": str(deputy), "vehicle_id": None, "metres": None, "is_near": True}
    ]
    assert await rows(relay.sessions, "SELECT 1 FROM plans WHERE is_automatic") == []

    unfit = await assign(relay, rescue["rescue_id"], relay.steward)
    assert (unfit.status_code, unfit.json()["code"]) == (422, "dispatch.taker_unfit")
    assert (await assign(relay, rescue["rescue_id"], deputy)).status_code == 200
    (taker,) = (await rescue_of(relay))["takers"]
    assert taker == {"person_id": str(deputy), "vehicle_id": None, "trip_id": None}

    items = await relay.record(*take_over(relay, relay.crates, deputy))
    assert {(item["outcome"], item["is_breach"]) for item in items} == {("recorded", False)}
    assert (await rescue_of(relay))["status"] == "settled"
    over = await assign(relay, rescue["rescue_id"], deputy)
    assert (over.status_code, over.json()["code"]) == (409, "dispatch.rescue_settled")

    assert (
        await relay.split(relay.split_note(steward_id=str(deputy), minutes=1), "commander")
    ).status_code < 300
    for door in range(3):
        await relay.record(*relay.door_notes(door, giver_id=deputy, minutes=2))
    assert await breaches(relay) == 0
    assert len(await rows(relay.sessions, "SELECT 1 FROM portions WHERE delivered_at IS NOT NULL")) == 3
    assert await sweep(relay) == 0
    assert len(await rows(relay.sessions, "SELECT 1 FROM rescues")) == 1


async def test_a_deputy_who_splits_what_stands_there_ends_the_rescue_of_its_crates(relay: BulkRelay) -> None:
    deputy = await call_deputy(relay)
    await suspend(relay)
    note = relay.split_note(steward_id=str(deputy), minutes=0)
    assert (await relay.split(note, "commander")).status_code < 300
    assert (await rescue_of(relay))["status"] == "settled"
    assert await breaches(relay) == 0


async def test_bags_of_a_steward_who_is_suspended_after_the_split_are_taken_over(relay: BulkRelay) -> None:
    deputy = await call_deputy(relay)
    assert (await relay.split(relay.split_note())).status_code < 300
    await relay.record(*relay.door_notes(0))

    await suspend(relay)

    bags = [bag for door in (1, 2) for bag in relay.bags[door]]
    rescue = await rescue_of(relay)
    assert (rescue["cause"], rescue["pieces"]) == ("steward_suspended", len(bags))
    held = await rows(relay.sessions, "SELECT load_unit_id FROM rescue_units")
    assert {row.load_unit_id for row in held} == set(bags)

    taken = await relay.record(*take_over(relay, relay.bags[1], deputy))
    assert {item["is_breach"] for item in taken} == {False}
    assert (await rescue_of(relay))["pieces"] == len(relay.bags[2])
    given = await relay.record(*relay.door_notes(2, giver_id=deputy, minutes=1))
    assert {item["is_breach"] for item in given} == {False}
    assert (await rescue_of(relay))["status"] == "settled"


async def test_a_bag_of_which_all_was_lost_is_in_nobodys_hands(relay: BulkRelay) -> None:
    deputy = await call_deputy(relay)
    (eggs,) = relay.bags[2]
    # It was given to the steward before it turned out that there is nothing to fill it with.
    await relay.record(relay.note(2, eggs, giver_id=deputy))
    await suspend(relay)
    held = await rows(relay.sessions, "SELECT load_unit_id FROM rescue_units")
    assert {row.load_unit_id for row in held} == {*relay.crates, eggs}

    lost = relay.split_note((EGGS, "missing", 4000), steward_id=str(deputy), minutes=0)
    assert (await relay.split(lost, "commander")).status_code < 300
    assert (await rescue_of(relay))["status"] == "settled"

    await tell(relay.sessions, make_suspended(deputy, Role.STEWARD), sequence=2)
    held = await rows(relay.sessions, "SELECT load_unit_id FROM rescue_units WHERE settled_at IS NULL")
    assert {row.load_unit_id for row in held} == {bag for door in (0, 1) for bag in relay.bags[door]}


async def test_a_door_served_by_who_is_suspended_is_a_breach_all_the_same(relay: BulkRelay) -> None:
    assert (await relay.split(relay.split_note())).status_code < 300
    await suspend(relay)
    now = minutes_from_now(0).isoformat()
    items = await relay.record(*relay.door_notes(0, occurred_at=now))
    assert {item["is_breach"] for item in items} == {True}


async def test_a_duty_that_is_over_leaves_its_goods_to_the_next(relay: BulkRelay) -> None:
    deputy = await call_deputy(relay)
    assert await sweep(relay) == 0
    async with relay.sessions.begin() as session:
        await session.execute(
            text("UPDATE duties SET ends_at = now() WHERE person_id = :id"), {"id": relay.steward}
        )

    assert await sweep(relay) == 1
    assert await sweep(relay) == 0

    rescue = await rescue_of(relay)
    assert (rescue["cause"], rescue["holder_id"]) == ("duty_lapsed", str(relay.steward))
    items = await relay.record(*take_over(relay, relay.crates, deputy))
    assert {item["is_breach"] for item in items} == {False}
    assert (await rescue_of(relay))["status"] == "settled"


async def test_a_word_that_takes_the_community_away_lapses_the_duty_at_once(relay: BulkRelay) -> None:
    ((duty_id,),) = await rows(
        relay.sessions, "SELECT duty_id FROM duties WHERE person_id = :id", id=relay.steward
    )
    longer = make_duty(relay.steward, relay.zone, duty_id=duty_id, ends_at=NOW + 9 * HOUR)
    await tell(relay.sessions, longer, sequence=2)
    assert await rows(relay.sessions, "SELECT 1 FROM rescues") == []

    await tell(
        relay.sessions,
        make_duty(relay.steward, relay.zone, duty_id=duty_id, community_id=new_id()),
        sequence=3,
    )

    rescue = await rescue_of(relay)
    assert (rescue["cause"], rescue["status"]) == ("duty_lapsed", "escalated")
    assert rescue["needs"] == {
        "role": "steward",
        "zone_class": "sealed",
        "grams": rescue["grams"],
        "pieces": len(relay.crates),
        "place": {"lat": GATE.lat, "lon": GATE.lon},
        "codes": ["dispatch.no_steward_on_duty"],
    }
    assert (await assign(relay, rescue["rescue_id"], relay.steward)).status_code == 422


async def test_a_late_log_gives_goods_to_whose_duty_was_over_by_then(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    relay = await make_bulk_relay(client, service_sessions, tmp_path)
    async with relay.sessions.begin() as session:
        await session.execute(text("UPDATE duties SET ends_at = now()"))
    assert await sweep(relay) == 0
    notes = relay.crate_notes(1, 2)
    await relay.record(*notes)
    assert await sweep(relay) == 1
    await relay.record(*notes)
    assert await sweep(relay) == 0
    assert (await rescue_of(relay))["cause"] == "duty_lapsed"


async def test_a_duty_that_has_not_begun_keeps_no_goods(relay: BulkRelay) -> None:
    tomorrow = make_duty(relay.steward, relay.zone, starts_at=NOW + 14 * HOUR, ends_at=NOW + 22 * HOUR)
    await tell(relay.sessions, tomorrow)
    async with relay.sessions.begin() as session:
        await session.execute(text("UPDATE duties SET ends_at = now() WHERE starts_at < now()"))

    assert await sweep(relay) == 1
    assert await sweep(relay) == 0
    assert (await rescue_of(relay))["cause"] == "duty_lapsed"
