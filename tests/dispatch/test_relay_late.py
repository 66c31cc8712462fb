"""Hand-overs that are told when everything has changed since: recorded, and judged by what stood then."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from services.contracts.access import Role
from services.dispatch.rescues import application as rescues
from services.kit import database
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import HOUR, NOW, make_cleared, make_suspended, rows, said, tell
from tests.dispatch.relays import Relay, make_relay, put_on_trip

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def relay(client: httpx.AsyncClient, service_sessions: Sessions) -> Relay:
    return await make_relay(client, service_sessions)


async def suspend_driver(relay: Relay, at: datetime = NOW) -> None:
    await tell(relay.sessions, make_suspended(relay.driver), sequence=2, at=at)


async def sweep(relay: Relay) -> int:
    async with relay.sessions.begin() as session:
        return await rescues.open_late(session, await database.now(session))


async def causes(relay: Relay) -> list[list[tuple[str, str]]]:
    found = (await relay.get("/v1/breaches"))["items"]
    return [[(each["person_id"], each["code"]) for each in breach["reasons"]] for breach in found]


def codes(items: list[dict[str, Any]]) -> list[list[str]]:
    return [[error["code"] for error in item["errors"]] for item in items]


async def test_a_pick_up_told_after_the_drivers_suspension_is_recorded_and_rescued(relay: Relay) -> None:
    await suspend_driver(relay)
    assert await rows(relay.sessions, "SELECT 1 FROM trip_loads WHERE is_held") == []

    items = await relay.record(relay.note(1, 0), relay.note(1, 1), role="driver")

    assert [(item["outcome"], item["is_breach"]) for item in items] == [("recorded", False)] * 2
    assert (await said(relay.sessions, "dispatch.load_handed_over.v1"))[0][1]["is_breach"] is False
    load = await relay.get(f"/v1/loads/{relay.load_id}", "driver")
    assert {unit["holder_id"] for unit in load["units"]} == {str(relay.driver)}
    assert await sweep(relay) == 1
    (rescue,) = (await relay.get("/v1/rescues"))["items"]
    assert rescue["holder_id"] == str(relay.driver)


async def test_a_pick_up_after_the_suspension_is_recorded_as_a_breach(relay: Relay) -> None:
    await suspend_driver(relay, at=NOW - 10 * MINUTE)
    (item,) = await relay.record(relay.note(1, 0), role="driver")
    assert (item["outcome"], item["is_breach"]) == ("recorded", True)
    assert await causes(relay) == [[(str(relay.driver), "dispatch.person_not_cleared")]]


async def test_a_trip_does_not_wait_for_what_another_driver_has_taken(relay: Relay) -> None:
    await suspend_driver(relay)
    other = new_id()
    await tell(relay.sessions, make_cleared(other))
    await put_on_trip(relay.sessions, relay.zone, relay.load_id, other)

    items = await relay.record(relay.note(1, 0), relay.note(1, 1), role="driver")

    assert [item["is_breach"] for item in items] == [False, False]
    assert await rows(relay.sessions, "SELECT 1 FROM trip_loads WHERE is_held OR loaded_at IS NOT NULL") == []
    found = await rows(relay.sessions, "SELECT status FROM trips WHERE driver_id = :id", id=other)
    assert [row.status for row in found] == ["released"]
    assert await said(relay.sessions, "dispatch.trip_departed.v1") == []


async def test_a_scan_ties_whoever_took_it_and_a_stranger_learns_nothing(relay: Relay) -> None:
    other = new_id()
    await tell(relay.sessions, make_cleared(other))
    head = serving.headers("driver", key="k", subject=other)
    wrong = {"kind": "qr", "value": relay.labels[relay.units[1]]}
    unproven = relay.note(1, 0, taker_id=other, proof=wrong)
    of_others = relay.note(1, 0)
    taken = relay.note(1, 0, taker_id=other)

    answer = await relay.client.post(
        "/v1/hand-overs", json={"hand_overs": [unproven, of_others, taken]}, headers=head
    )

    items = answer.json()["items"]
    unknown = ["dispatch.load_unit_unknown"]
    assert codes(items) == [unknown, unknown, []]
    assert items[2]["is_breach"] is True
    assert await causes(relay) == [[(str(other), "dispatch.driver_not_assigned")]]
    found = await rows(relay.sessions, "SELECT hand_over_id FROM hand_overs")
    assert [str(row.hand_over_id) for row in found] == [taken["hand_over_id"]]


async def test_a_pick_up_days_before_the_first_test_is_a_breach(relay: Relay) -> None:
    async with relay.sessions.begin() as session:
        await session.execute(text("UPDATE loads SET confirmed_at = :at"), {"at": NOW - 144 * HOUR})
        await session.execute(text("UPDATE trip_seats SET seated_at = :at"), {"at": NOW - 144 * HOUR})
    early, late = await relay.record(relay.note(1, 0, minutes=-120 * 60), relay.note(1, 1))
    assert (early["is_breach"], late["is_breach"]) == (True, False)
    assert await causes(relay) == [[(str(relay.driver), "dispatch.person_not_cleared")]]


async def test_a_gate_where_both_were_cleared_is_no_breach_though_both_are_suspended_since(
    relay: Relay,
) -> None:
    await suspend_driver(relay)
    await tell(relay.sessions, make_suspended(relay.steward, Role.STEWARD), sequence=2, at=NOW)
    (item,) = await relay.record(relay.note(2, 0))
    assert (item["outcome"], item["is_breach"]) == ("recorded", False)
    assert await causes(relay) == []


async def test_words_that_come_in_the_wrong_order_judge_alike(relay: Relay) -> None:
    await tell(relay.sessions, make_suspended(relay.driver), sequence=4, at=NOW - 5 * MINUTE)
    await tell(relay.sessions, make_cleared(relay.driver), sequence=3, at=NOW - 20 * MINUTE)
    await tell(relay.sessions, make_suspended(relay.driver), sequence=2, at=NOW - 40 * MINUTE)
    await tell(relay.sessions, make_suspended(relay.driver), sequence=2, at=NOW - 40 * MINUTE)

    judged = [
        (await relay.record(relay.note(1, 0, minutes=minutes)))[0]["is_breach"]
        for minutes in (-45, -40, -30, -20, -10, -5, -1)
    ]

    assert judged == [False, True, True, False, False, True, True]
    found = await rows(relay.sessions, "SELECT sequence, is_suspended FROM crew WHERE role = 'driver'")
    assert [tuple(row) for row in found] == [(4, True)]


async def test_a_clock_that_is_years_behind_is_kept_but_does_not_count(relay: Relay) -> None:
    told = datetime.fromisoformat("2001-01-01T00:00:00+00:00")
    notes = [relay.note(1, unit, occurred_at=told.isoformat()) for unit in (0, 1)]
    items = await relay.record(*notes, role="driver")
    assert [(item["outcome"], item["is_breach"]) for item in items] == [("recorded", False)] * 2

    links = (await relay.get(f"/v1/hand-overs?load_id={relay.load_id}"))["items"]
    assert {datetime.fromisoformat(link["occurred_at"]) for link in links} == {told}
    assert {link["clock_doubtful"] for link in links} == {True}
    assert {link["reckoned_at"] for link in links} == {link["recorded_at"] for link in links}
    ((_, event),) = await said(relay.sessions, "dispatch.load_handed_over.v1")
    assert datetime.fromisoformat(event["occurred_at"]) == datetime.fromisoformat(links[0]["recorded_at"])
    again = await relay.record(*notes, role="driver")
    assert [item["outcome"] for item in again] == ["repeated"] * 2


async def test_a_door_that_a_driver_serves_is_recorded_and_flagged(relay: Relay) -> None:
    proof = {"kind": "pin", "value": await relay.pin()}
    await relay.record(relay.note(1, 0), relay.note(1, 1))
    notes = [relay.note(3, unit, giver_id=relay.driver, proof=proof) for unit in (0, 1)]
    items = await relay.record(*notes, role="driver")
    assert [(item["outcome"], item["is_breach"]) for item in items] == [("recorded", True)] * 2
    assert await causes(relay) == [[(str(relay.driver), "dispatch.role_not_allowed")]] * 2
    assert len(await said(relay.sessions, "dispatch.portion_delivered.v1")) == 1


async def test_the_label_alone_proves_no_door_and_a_stranger_no_delivery(relay: Relay) -> None:
    alone = relay.note(3, 0, proof=relay.scan(1, 0))
    elsewhere = relay.note(3, 0, taker_id=new_id())
    items = await relay.record(alone, elsewhere, role="steward")
    assert codes(items) == [["dispatch.photo_missing"], ["dispatch.not_the_household"]]
    assert await rows(relay.sessions, "SELECT 1 FROM hand_overs") == []
    assert await said(relay.sessions, "dispatch.portion_delivered.v1") == []


async def test_a_photo_alone_counts_only_when_the_pin_is_spent(relay: Relay) -> None:
    photo = {"kind": "photo", "photo_sha256": "cd" * 32}
    (item,) = await relay.record(relay.note(3, 0, proof=photo), role="steward")
    (error,) = item["errors"]
    assert (error["code"], error["params"]) == ("dispatch.pin_tries_left", {"tries_left": 5})
    pin = int(await relay.pin())
    wrong = [{"kind": "pin", "value": f"{(pin + step) % 10**6:06}"} for step in range(1, 6)]
    await relay.record(*(relay.note(3, 0, proof=proof) for proof in wrong), role="steward")
    bare = relay.note(3, 0, proof={"kind": "photo"})
    items = await relay.record(bare, relay.note(3, 0, proof=photo), role="steward")
    assert codes(items) == [["dispatch.photo_missing"], []]
