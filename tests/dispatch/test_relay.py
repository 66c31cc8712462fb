import asyncio
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from services.contracts.access import Role
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import HOUR, NOW, make_cancelled, make_cleared, make_suspended, rows, said, tell
from tests.dispatch.relays import Relay, make_relay

HANDED_OVER = "dispatch.load_handed_over.v1"
DELIVERED = "dispatch.portion_delivered.v1"


@pytest.fixture
async def relay(client: httpx.AsyncClient, service_sessions: Sessions) -> Relay:
    return await make_relay(client, service_sessions)


def codes(items: list[dict[str, Any]]) -> list[list[str]]:
    return [[error["code"] for error in item["errors"]] for item in items]


def outcomes(items: list[dict[str, Any]]) -> list[str]:
    return [item["outcome"] for item in items]


async def test_three_legs_bring_a_load_to_its_door(relay: Relay) -> None:
    assert outcomes(await relay.record(relay.note(1, 0), relay.note(1, 1), role="driver")) == ["recorded"] * 2
    assert (
        outcomes(await relay.record(relay.note(2, 0), relay.note(2, 1), role="steward")) == ["recorded"] * 2
    )
    assert (
        outcomes(await relay.record(relay.note(3, 0), relay.note(3, 1), role="steward")) == ["recorded"] * 2
    )

    handed = await said(relay.sessions, HANDED_OVER)
    assert [(sequence, event["leg"]) for sequence, event in handed] == [(1, 1), (2, 2), (3, 3)]
    first = handed[0][1]
    assert (first["outlet_id"], first["giver_id"], first["taker_id"], first["is_breach"]) == (
        str(relay.outlet),
        str(relay.outlet),
        str(relay.driver),
        False,
    )
    ((sequence, delivered),) = await said(relay.sessions, DELIVERED)
    assert sequence == 1
    assert delivered["portion_id"] == str(relay.portion_id)
    assert delivered["order_id"] == str(relay.order.order_id)
    assert datetime.fromisoformat(delivered["delivered_at"]) == NOW - 7 * HOUR / 60
    assert (await relay.moments())[0] == 3
    assert await rows(relay.sessions, "SELECT 1 FROM breaches") == []


async def test_a_load_passes_a_leg_with_its_last_unit(relay: Relay) -> None:
    await relay.record(relay.note(1, 0))
    assert await said(relay.sessions, HANDED_OVER) == []
    assert (await relay.moments())[:3] == (0, NOW - 9 * HOUR / 60, None)

    await relay.record(relay.note(1, 1, minutes=-5))
    ((_, event),) = await said(relay.sessions, HANDED_OVER)
    assert datetime.fromisoformat(event["occurred_at"]) == NOW - 5 * HOUR / 60
    assert (await relay.moments())[0] == 1


async def test_a_loaded_trip_has_departed(relay: Relay) -> None:
    await relay.record(relay.note(1, 0), relay.note(1, 1))
    ((_, event),) = await said(relay.sessions, "dispatch.trip_departed.v1")
    assert event["load_ids"] == [str(relay.load_id)]


async def test_the_door_told_before_the_way_there_is_delivered(relay: Relay) -> None:
    await relay.record(relay.note(3, 0), relay.note(3, 1), role="steward")
    assert len(await said(relay.sessions, DELIVERED)) == 1
    await relay.record(relay.note(1, 0), relay.note(2, 0), relay.note(1, 1), relay.note(2, 1))
    handed = await said(relay.sessions, HANDED_OVER)
    assert [(sequence, event["leg"]) for sequence, event in handed] == [(1, 3), (2, 1), (3, 2)]
    assert len(await said(relay.sessions, DELIVERED)) == 1


async def test_a_note_sent_again_changes_nothing(relay: Relay) -> None:
    note = relay.note(1, 0)
    first, twin = await relay.record(note, note, role="driver")
    (again,) = await relay.record(note, role="driver")
    assert [first["outcome"], twin["outcome"], again["outcome"]] == ["recorded", "repeated", "repeated"]
    assert len(await rows(relay.sessions, "SELECT 1 FROM hand_overs")) == 1


async def test_an_id_used_for_another_hand_over_is_refused(relay: Relay) -> None:
    note = relay.note(1, 0)
    other = relay.note(1, 1, hand_over_id=note["hand_over_id"])
    assert codes(await relay.record(note, other)) == [[], ["dispatch.hand_over_id_reused"]]
    assert len(await rows(relay.sessions, "SELECT 1 FROM hand_overs")) == 1


@pytest.mark.parametrize(
    ("given", "pointer", "code"),
    [
        ({"load_unit_id": str(new_id())}, "/load_unit_id", "dispatch.load_unit_unknown"),
        ({"proof": {"kind": "qr", "value": "BATON:0:0"}}, "/proof/value", "dispatch.proof_wrong"),
        ({"proof": {"kind": "qr"}}, "/proof/value", "dispatch.proof_wrong"),
        ({"proof": {"kind": "pin", "value": "123456"}}, "/proof/kind", "dispatch.proof_not_allowed"),
        ({"proof": {"kind": "photo", "photo_sha256": "0" * 64}}, "/proof/kind", "dispatch.proof_not_allowed"),
        ({"leg": 3, "taker_id": str(new_id())}, "/taker_id", "dispatch.not_the_household"),
        (
            {"leg": 3, "proof": {"kind": "photo", "photo_sha256": "0" * 64}},
            "/proof/kind",
            "dispatch.pin_tries_left",
        ),
        (
            {"occurred_at": (NOW + HOUR).isoformat()},
            "/occurred_at",
            "dispatch.occurred_in_future",
        ),
    ],
)
async def test_what_is_not_proven_is_not_recorded(
    relay: Relay, given: dict[str, Any], pointer: str, code: str
) -> None:
    good = relay.note(1, 1)
    items = await relay.record(relay.note(**{"leg": 1, **given}), good)
    assert outcomes(items) == ["refused", "recorded"]
    ((error,), _) = [item["errors"] for item in items]
    assert (error["pointer"], error["code"]) == (f"/hand_overs/0{pointer}", code)
    found = await rows(relay.sessions, "SELECT hand_over_id FROM hand_overs")
    assert [str(row.hand_over_id) for row in found] == [good["hand_over_id"]]


async def test_a_clock_a_little_ahead_does_no_harm(relay: Relay) -> None:
    assert outcomes(await relay.record(relay.note(1, 0, minutes=4))) == ["recorded"]


async def test_a_label_proves_its_own_unit_only(relay: Relay) -> None:
    other = {"kind": "qr", "value": relay.labels[relay.units[1]]}
    assert codes(await relay.record(relay.note(1, 0, proof=other))) == [["dispatch.proof_wrong"]]


async def test_a_households_pin_opens_the_door(relay: Relay) -> None:
    proof = {"kind": "pin", "value": await relay.pin()}
    items = await relay.record(relay.note(3, 0, proof=proof), relay.note(3, 1, proof=proof), role="steward")
    assert outcomes(items) == ["recorded", "recorded"]
    assert len(await said(relay.sessions, DELIVERED)) == 1


async def test_five_wrong_pins_leave_only_a_photo(relay: Relay) -> None:
    pin = await relay.pin()
    wrong = [f"{(int(pin) + step) % 10**6:06}" for step in range(1, 6)]
    tries = [relay.note(3, 0, proof={"kind": "pin", "value": told}) for told in (wrong[0], *wrong)]
    items = await relay.record(*tries, role="steward")
    # The same mistake twice is one try.
    assert [error["params"]["tries_left"] for item in items for error in item["errors"]] == [4, 4, 3, 2, 1, 0]
    portion = await relay.get(f"/v1/portions/{relay.portion_id}", "resident")
    assert (portion["pin_tries_left"], portion["leg"]) == (0, 0)

    right = relay.note(3, 0, proof={"kind": "pin", "value": pin})
    assert codes(await relay.record(right, role="steward")) == [["dispatch.pin_tries_spent"]]
    photo = {"kind": "photo", "photo_sha256": "ab" * 32}
    items = await relay.record(relay.note(3, 0, proof=photo), relay.note(3, 1, proof=photo), role="steward")
    assert outcomes(items) == ["recorded", "recorded"]
    assert len(await said(relay.sessions, DELIVERED)) == 1


async def test_an_uncleared_taker_is_recorded_as_a_breach_that_a_person_closes(relay: Relay) -> None:
    stranger = new_id()
    (item,) = await relay.record(relay.note(1, 0, taker_id=stranger))
    assert (item["outcome"], item["is_breach"]) == ("recorded", True)
    await relay.record(relay.note(1, 1))
    assert (await said(relay.sessions, HANDED_OVER))[0][1]["is_breach"] is True

    (listed,) = (await relay.get("/v1/breaches?is_open=true"))["items"]
    assert (listed["breach_id"], listed["person_ids"]) == (item["breach_id"], [str(stranger)])
    path = f"/v1/breaches/{item['breach_id']}/closure"
    refused = await relay.client.post(path, json={"reason": "?"}, headers=relay.headers("driver"))
    assert (refused.status_code, refused.json()["code"]) == (404, "kit.not_found")

    closed = await relay.client.post(
        path, json={"reason": "检测阴性"}, headers=relay.headers("health_officer")
    )
    assert closed.status_code == 200
    again = await relay.client.post(path, json={"reason": "检测阴性"}, headers=relay.headers())
    assert (again.status_code, again.json()["code"]) == (409, "dispatch.breach_closed")
    assert (await relay.get("/v1/breaches?is_open=true"))["items"] == []
    assert (await relay.get("/v1/breaches"))["items"][0]["reason"] == "检测阴性"


@pytest.mark.parametrize(("leg", "gone"), [(1, "driver"), (2, "driver"), (2, "steward"), (3, "steward")])
async def test_a_suspended_carrier_makes_a_breach_on_each_leg(relay: Relay, leg: int, gone: str) -> None:
    person = relay.driver if gone == "driver" else relay.steward
    await tell(relay.sessions, make_suspended(person, Role(gone)), sequence=2)
    (item,) = await relay.record(relay.note(leg, 0))
    assert item["is_breach"]
    found = await rows(relay.sessions, "SELECT person_ids, closed_at FROM breaches")
    assert [tuple(row) for row in found] == [([person], None)]


async def test_a_clearance_that_ran_out_since_is_no_breach(relay: Relay) -> None:
    await tell(relay.sessions, make_cleared(relay.driver, until=NOW - HOUR / 60), sequence=2)
    before, after = await relay.record(relay.note(1, 0), relay.note(1, 1, minutes=0))
    assert (before["is_breach"], after["is_breach"]) == (False, True)


async def test_a_stale_copy_of_the_whitelist_marks_what_was_recorded(relay: Relay) -> None:
    await relay.record(relay.note(1, 0))
    (link,) = (await relay.get(f"/v1/hand-overs?load_id={relay.load_id}"))["items"]
    assert link["is_degraded"] is True


async def test_who_has_nothing_to_do_with_a_unit_learns_nothing_of_it(relay: Relay) -> None:
    note = relay.note(1, 0)
    strangers = [
        serving.headers("driver", key="1"),
        serving.headers("steward", key="2"),
        serving.headers("outlet", key="3", outlet_id=new_id()),
        serving.headers("commander", key="4", zone_ids=[new_id()]),
    ]
    for head in strangers:
        answer = await relay.client.post("/v1/hand-overs", json={"hand_overs": [note]}, headers=head)
        assert codes(answer.json()["items"]) == [["dispatch.load_unit_unknown"]]
        for path in (
            f"loads/{relay.load_id}",
            f"load-units/{relay.units[0]}",
            f"hand-overs?load_id={relay.load_id}",
        ):
            seen = await relay.client.get(f"/v1/{path}", headers=head)
            assert (seen.status_code, seen.json()["code"]) == (404, "kit.not_found")
    resident = await relay.client.post(
        "/v1/hand-overs", json={"hand_overs": [note]}, headers=relay.headers("resident")
    )
    assert (resident.status_code, resident.json()["code"]) == (403, "kit.forbidden")
    assert await rows(relay.sessions, "SELECT 1 FROM hand_overs") == []


async def test_a_driver_tells_only_what_that_driver_took_or_gave(relay: Relay) -> None:
    items = await relay.record(relay.note(3, 0), role="driver")
    assert codes(items) == [["dispatch.not_a_party"]]
    items = await relay.record(relay.note(2, 0), role="outlet")
    assert codes(items) == [["dispatch.not_a_party"]]
    assert await rows(relay.sessions, "SELECT 1 FROM hand_overs") == []
    assert outcomes(await relay.record(relay.note(1, 0), role="outlet")) == ["recorded"]


async def test_a_load_shows_who_has_each_unit(relay: Relay) -> None:
    await relay.record(relay.note(1, 0), relay.note(1, 1), relay.note(2, 0))
    for role in ("commander", "driver", "steward", "outlet", "resident"):
        load = await relay.get(f"/v1/loads/{relay.load_id}", role)
        assert [unit["holder_id"] for unit in load["units"]] == [str(relay.steward), str(relay.driver)]
        assert "household_id" not in load
    unit = await relay.get(f"/v1/load-units/{relay.units[1]}", "driver")
    assert (unit["holder_id"], unit["lines"][0]["quantity"], unit["grams"]) == (str(relay.driver), 1, 5000)


async def test_a_label_is_for_who_packs_and_who_commands(relay: Relay) -> None:
    path = f"/v1/load-units/{relay.units[0]}/label"
    assert (await relay.get(path, "outlet"))["lines"] == ["马村", "1/2 · 10.00 kg"]
    assert (await relay.get(path))["text"] == relay.labels[relay.units[0]]
    for role in ("driver", "steward", "resident"):
        answer = await relay.client.get(path, headers=relay.headers(role))
        assert (answer.status_code, answer.json()["code"]) == (404, "kit.not_found")
    nothing = await relay.client.get(f"/v1/load-units/{new_id()}/label", headers=relay.headers())
    assert nothing.status_code == 404


async def test_goods_of_an_ended_order_are_told_to_their_shop_and_delivered_to_nobody(relay: Relay) -> None:
    await tell(relay.sessions, make_cancelled(relay.order), sequence=2)
    items = await relay.record(*(relay.note(leg, unit) for leg in (1, 3) for unit in (0, 1)))
    assert outcomes(items) == ["recorded"] * 4
    assert (await relay.moments())[0] == 3
    handed = await said(relay.sessions, HANDED_OVER)
    assert [(event["order_ids"], event["leg"]) for _, event in handed] == [
        ([str(relay.order.order_id)], 1), ([str(relay.order.order_id)], 3),
    ]  # fmt: skip
    assert await said(relay.sessions, DELIVERED) == []
    assert await said(relay.sessions, "dispatch.trip_departed.v1") == []


WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_an_id_that_is_just_being_recorded_elsewhere_is_sent_again(relay: Relay) -> None:
    note = relay.note(1, 0)
    async with relay.sessions.begin() as session:
        await session.execute(
            text("""
                INSERT INTO hand_overs (hand_over_id, load_unit_id, leg, giver_id, taker_id, occurred_at,
                                        reckoned_at, clock_doubtful, recorded_at, recorded_by, proof,
                                        is_breach, is_degraded)
                VALUES (:id, :unit, 1, :unit, :unit, now(), now(), false, now(), 'other', 'qr', false, false)
            """),
            {"id": note["hand_over_id"], "unit": relay.units[1]},
        )
        asked = asyncio.create_task(
            relay.client.post("/v1/hand-overs", json={"hand_overs": [note]}, headers=relay.headers())
        )
        async with asyncio.timeout(10):
            while not await rows(relay.sessions, WAITING):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.01)
    answer = await asked
    assert (answer.status_code, answer.json()["code"]) == (409, "dispatch.hand_over_in_flight")
    assert len(await rows(relay.sessions, "SELECT 1 FROM hand_overs")) == 1
