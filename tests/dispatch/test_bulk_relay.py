from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.contracts.access import Role
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import HOUR, NOW, make_cleared, make_duty, rows, said, tell
from tests.dispatch.bulks import BulkRelay, make_bulk_relay

HANDED_OVER = "dispatch.load_handed_over.v1"
DELIVERED = "dispatch.portion_delivered.v1"


@pytest.fixture
async def relay(client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path) -> BulkRelay:
    return await make_bulk_relay(client, service_sessions, tmp_path)


def outcomes(items: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    return [(item["outcome"], item["is_breach"]) for item in items]


async def test_crates_go_to_the_gate_and_each_portion_to_its_own_door(relay: BulkRelay) -> None:
    household_ids = [str(order.household_id) for order in relay.orders]
    assert outcomes(await relay.record(*relay.crate_notes(1), role="driver")) == [("recorded", False)] * 2
    assert set((await relay.holders()).values()) == {str(relay.driver)}
    assert outcomes(await relay.record(*relay.crate_notes(2), role="steward")) == [("recorded", False)] * 2
    assert set((await relay.holders()).values()) == {str(relay.steward)}

    first, *rest = relay.door_notes(0)
    assert outcomes(await relay.record(first, role="steward")) == [("recorded", False)]
    assert await said(relay.sessions, DELIVERED) == []
    notes = [*rest, *relay.door_notes(1), *relay.door_notes(2, minutes=-3)]
    assert outcomes(await relay.record(*notes, role="steward")) == [("recorded", False)] * 4

    handed = await said(relay.sessions, HANDED_OVER)
    assert [(sequence, event["leg"]) for sequence, event in handed] == [(1, 1), (2, 2), (3, 3)]
    for _, event in handed:
        assert event["order_ids"] == sorted(str(order.order_id) for order in relay.orders)
    delivered = {event["household_id"]: event for _, event in await said(relay.sessions, DELIVERED)}
    assert [
        (datetime.fromisoformat(delivered[each]["delivered_at"]) - NOW) / HOUR * 60 for each in household_ids
    ] == [-7, -7, -3]
    found = await rows(relay.sessions, "SELECT leg, delivered_at FROM loads")
    assert [tuple(row) for row in found] == [(3, NOW - 3 * HOUR / 60)]
    assert len(await said(relay.sessions, "dispatch.trip_departed.v1")) == 1
    bags = await relay.holders()
    assert [bags[bag] for bag in relay.bags[1]] == [household_ids[1]] * 2


async def test_a_portion_is_delivered_for_itself(relay: BulkRelay) -> None:
    await relay.record(*relay.door_notes(2), role="steward")
    ((_, event),) = await said(relay.sessions, DELIVERED)
    assert event["portion_id"] == str(relay.portions[2])
    assert await said(relay.sessions, HANDED_OVER) == []
    legs = [
        (await relay.get(f"/v1/portions/{portion_id}", "resident", door))["leg"]
        for door, portion_id in enumerate(relay.portions)
    ]
    assert legs == [0, 0, 3]
    kept = "SELECT CAST(xmin AS text) FROM portions WHERE portion_id = :id"
    before = await rows(relay.sessions, kept, id=relay.portions[2])
    await relay.record(*relay.door_notes(0), role="steward")
    assert await rows(relay.sessions, kept, id=relay.portions[2]) == before


async def test_no_crate_passes_a_door_and_no_bag_leaves_the_outlet(relay: BulkRelay) -> None:
    items = await relay.record(relay.note(3, relay.crates[0]), relay.note(1, relay.bags[0][0]))
    assert [(each["pointer"], each["code"], each["params"]) for item in items for each in item["errors"]] == [
        ("/hand_overs/0/leg", "dispatch.unit_not_of_leg", {"leg": 3, "kind": "crate"}),
        ("/hand_overs/1/leg", "dispatch.unit_not_of_leg", {"leg": 1, "kind": "household_bag"}),
    ]
    assert await rows(relay.sessions, "SELECT 1 FROM hand_overs") == []


async def test_each_bag_is_for_its_own_household_and_its_steward_for_its_building(relay: BulkRelay) -> None:
    other = new_id()
    await tell(relay.sessions, make_cleared(other, Role.STEWARD))
    await tell(relay.sessions, make_duty(other, relay.zone, building_ids=(new_id(),)))
    wrong = relay.note(3, relay.bags[0][0], door=1)
    (refused,) = await relay.record(wrong)
    assert [each["code"] for each in refused["errors"]] == ["dispatch.not_the_household"]
    notes = relay.door_notes(1, giver_id=other)
    assert outcomes(await relay.record(*notes)) == [("recorded", True)] * 2
    (breach, _) = (await relay.get("/v1/breaches"))["items"]
    assert breach["reasons"] == [{"person_id": str(other), "code": "dispatch.steward_not_on_duty"}]


async def test_a_households_pin_is_for_its_own_bags(relay: BulkRelay) -> None:
    pins = [
        (await relay.get(f"/v1/portions/{portion_id}", "resident", door))["pin"]
        for door, portion_id in enumerate(relay.portions)
    ]
    proof = {"kind": "pin", "value": pins[1]}
    items = await relay.record(*relay.door_notes(1, proof=proof), *relay.door_notes(2, proof=proof))
    assert [item["outcome"] for item in items] == ["recorded", "recorded", "refused"]


async def test_who_gets_what_of_a_load_is_told_at_its_gate_and_to_each_household_for_itself(
    relay: BulkRelay,
) -> None:
    await relay.record(*relay.crate_notes(1, 2), *relay.door_notes(0))
    path = f"/v1/loads/{relay.load_id}"
    for role, units, links in (("commander", 7, 6), ("steward", 7, 6), ("driver", 2, 4), ("outlet", 2, 4)):
        load = await relay.get(path, role)
        assert (role, len(load["units"]), load["building_id"]) == (role, units, None)
        custody = (await relay.get(f"/v1/hand-overs?load_id={relay.load_id}", role))["items"]
        assert (role, len(custody)) == (role, links)
        bag = await relay.client.get(f"/v1/load-units/{relay.bags[0][0]}", headers=relay.headers(role))
        assert (role, bag.status_code) == (role, 200 if units == 7 else 404)
    for role in ("commander", "steward", "outlet"):
        (listed,) = (await relay.get("/v1/loads", role))["items"]
        assert [unit["kind"] for unit in listed["units"]] == ["crate", "tote"]
    for hidden in (path, f"/v1/hand-overs?load_id={relay.load_id}", f"/v1/portions/{relay.portions[1]}"):
        answer = await relay.client.get(hidden, headers=relay.headers("resident", 0))
        assert (hidden, answer.status_code) == (hidden, 404)
    assert (await relay.get("/v1/loads", "resident"))["items"] == []
    own = (await relay.get(f"/v1/portions?order_id={relay.orders[0].order_id}", "resident"))["items"]
    assert [(each["portion_id"], each["leg"]) for each in own] == [(str(relay.portions[0]), 3)]
    elsewhere = serving.headers("steward", key="1")
    answer = await relay.client.get("/v1/loads", headers=elsewhere)
    assert answer.json()["items"] == []
