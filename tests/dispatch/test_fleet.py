from datetime import timedelta

import httpx
from sqlalchemy import text

from services.contracts.values import Pin
from services.dispatch.timers import state_capacities
from services.kit import database
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import (
    HOUR,
    NOW,
    make_cleared,
    make_pass,
    make_slot,
    make_suspended,
    make_vehicle,
    make_zone,
    rows,
    said,
    tell,
)

STATED = "dispatch.slot_capacity_stated.v1"


async def compute(sessions: Sessions) -> int:
    async with sessions.begin() as session:
        return await state_capacities(session, await database.now(session))


async def import_vehicles(client: httpx.AsyncClient, *vehicles: dict, key: str = "v") -> httpx.Response:
    return await client.post(
        "/v1/vehicles", json={"vehicles": list(vehicles)}, headers=serving.headers("commander", key=key)
    )


async def give_pass(client: httpx.AsyncClient, key: str = "p", **given) -> None:
    answer = await client.post(
        "/v1/passes", json={"passes": [make_pass(**given)]}, headers=serving.headers("commander", key=key)
    )
    assert answer.json()["items"][0]["outcome"] in ("created", "updated")


async def test_vehicles_are_known_by_their_plates(client: httpx.AsyncClient) -> None:
    first = (await import_vehicles(client, make_vehicle(), make_vehicle(plate="京A00002"), key="1")).json()
    again = (
        await import_vehicles(client, make_vehicle(), make_vehicle(plate="京A00002", kind="bus"), key="2")
    ).json()
    assert [item["outcome"] for item in first["items"]] == ["created", "created"]
    assert [item["outcome"] for item in again["items"]] == ["unchanged", "updated"]
    assert [item["vehicle_id"] for item in again["items"]] == [item["vehicle_id"] for item in first["items"]]

    listed = (await client.get("/v1/vehicles?limit=1", headers=serving.headers("commander"))).json()
    rest = await client.get(
        f"/v1/vehicles?limit=1&cursor={listed['cursor']}", headers=serving.headers("commander")
    )
    assert [listed["items"][0]["plate"], rest.json()["items"][0]["plate"]] == ["京A00001", "京A00002"]
    assert rest.json()["items"][0]["kind"] == "bus"
    assert rest.json()["cursor"] is None


async def test_a_refused_vehicle_leaves_the_others_their_place(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    answer = await import_vehicles(
        client,
        make_vehicle(shift_ends_at=make_vehicle()["shift_starts_at"]),
        make_vehicle(plate="京A00002"),
        make_vehicle(plate="京A00002", kind="bus"),
    )
    assert answer.status_code == 200
    refused, created, twin = answer.json()["items"]
    assert refused["errors"] == [
        {
            "pointer": "/vehicles/0/shift_ends_at",
            "code": "dispatch.shift_empty",
            "params": {},
            "detail": "The shift ends before it starts",
        }
    ]
    assert created["outcome"] == "created"
    assert twin["errors"][0] == {
        "pointer": "/vehicles/2/plate",
        "code": "dispatch.plate_repeated",
        "params": {},
        "detail": "The same plate stands twice in the batch",
    }
    assert [tuple(row) for row in await rows(service_sessions, "SELECT plate, kind FROM vehicles")] == [
        ("京A00002", "van")
    ]


async def test_only_the_town_hall_keeps_the_fleet(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    answer = await client.post(
        "/v1/vehicles", json={"vehicles": [make_vehicle()]}, headers=serving.headers("driver", key="k")
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
    assert (await client.get("/v1/vehicles", headers=serving.headers("outlet"))).status_code == 403
    assert await rows(service_sessions, "SELECT 1 FROM vehicles") == []


async def test_a_number_that_no_column_holds_is_refused(client: httpx.AsyncClient) -> None:
    answer = await import_vehicles(client, make_vehicle(capacity_g=10**12, capacity_pieces=0))
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [
        "/vehicles/0/capacity_g",
        "/vehicles/0/capacity_pieces",
    ]
    far = await import_vehicles(client, make_vehicle(shift_ends_at="9999-12-31T23:59:59-12:00"))
    assert far.json()["errors"][0]["pointer"] == "/vehicles/0/shift_ends_at"


async def test_a_slot_without_a_fleet_is_stated_to_hold_nothing(service_sessions: Sessions) -> None:
    zone = make_zone()
    await tell(service_sessions, zone)
    assert await compute(service_sessions) == 1
    assert await said(service_sessions, STATED) == [
        (
            1,
            {
                "slot_id": str(zone.slots[0].slot_id),
                "zone_id": str(zone.zone_id),
                "incident_id": str(zone.incident_id),
                "portions": 0,
            },
        )
    ]
    assert await compute(service_sessions) == 0


async def test_capacity_is_stated_again_only_when_the_number_changes(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    driver = new_id()
    await tell(service_sessions, make_zone())
    await compute(service_sessions)

    # 1,020 kg are 200 portions of 5.1 kg, the slot has two rounds.
    await import_vehicles(client, make_vehicle())
    await give_pass(client)
    await tell(service_sessions, make_cleared(driver))
    assert await compute(service_sessions) == 1
    await import_vehicles(client, make_vehicle(kind="bus"), key="2")
    assert await compute(service_sessions) == 1
    await tell(service_sessions, make_suspended(driver), sequence=2)
    await compute(service_sessions)

    stated = await said(service_sessions, STATED)
    assert [(sequence, payload["portions"]) for sequence, payload in stated] == [(1, 0), (2, 400), (3, 0)]


async def test_a_slot_past_its_cut_off_is_told_no_new_number(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    slot = make_slot(cut_off_at=NOW - HOUR)
    await tell(service_sessions, make_zone(slots=[slot]))
    await compute(service_sessions)
    await import_vehicles(client, make_vehicle())
    await give_pass(client)
    await tell(service_sessions, make_cleared())
    assert await compute(service_sessions) == 1
    assert [payload["portions"] for _, payload in await said(service_sessions, STATED)] == [0]


async def test_a_clearance_that_runs_out_is_seen_without_a_word(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    await import_vehicles(client, make_vehicle())
    await give_pass(client)
    await tell(service_sessions, make_zone())
    await tell(service_sessions, make_cleared(until=NOW + 2 * HOUR))
    await compute(service_sessions)
    async with service_sessions.begin() as session:
        assert await state_capacities(session, NOW + timedelta(seconds=30)) == 0
    async with service_sessions.begin() as session:
        # Within the slot, whose cut-off is not yet over for this test's clock.
        await session.execute(text("UPDATE slot_capacities SET cut_off_at = ends_at"))
        assert await state_capacities(session, NOW + 3 * HOUR) == 1
    assert [payload["portions"] for _, payload in await said(service_sessions, STATED)] == [400, 0]


async def test_an_older_word_on_a_zone_does_not_change_its_slots(service_sessions: Sessions) -> None:
    slot = make_slot()
    zone = make_zone(slots=[slot], head_count=300)
    pinned = new_id()
    newer = zone.model_copy(update={"pinned_vehicles": (Pin(subject_id=pinned, reason="近"),)})
    await tell(service_sessions, newer, sequence=2)
    await tell(service_sessions, zone, sequence=1)
    await tell(service_sessions, zone, sequence=1)
    found = await rows(service_sessions, "SELECT pinned_vehicle_ids, head_count FROM slot_capacities")
    assert [tuple(row) for row in found] == [([pinned], 300)]
