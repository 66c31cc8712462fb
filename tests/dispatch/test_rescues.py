import httpx
import pytest
from prometheus_client import REGISTRY

from services.contracts.access import Role
from services.contracts.values import Clearance, ZoneClass
from services.dispatch.rescues import application
from services.kit import database
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import HOUR, NOW, make_cleared, make_duty, make_suspended, rows, tell
from tests.dispatch.relays import Relay, make_relay
from tests.dispatch.rescued import minutes_from_now


@pytest.fixture
async def relay(client: httpx.AsyncClient, service_sessions: Sessions) -> Relay:
    return await make_relay(client, service_sessions)


async def suspend(relay: Relay, *, sequence: int = 2) -> None:
    await tell(relay.sessions, make_suspended(relay.driver), sequence=sequence)


async def sweep(sessions: Sessions) -> int:
    async with sessions.begin() as session:
        return await application.open_late(session, await database.now(session))


async def test_what_was_not_loaded_returns_to_the_pool(relay: Relay) -> None:
    await suspend(relay)
    assert (await relay.get("/v1/rescues"))["items"] == []
    assert await rows(relay.sessions, "SELECT 1 FROM trip_loads WHERE is_held") == []
    found = await rows(relay.sessions, "SELECT person_id, reassigned, rescued FROM suspensions")
    assert [tuple(row) for row in found] == [(relay.driver, 1, 0)]


async def test_what_is_on_board_is_to_be_rescued_where_it_was_seen_last(relay: Relay) -> None:
    await relay.record(relay.note(1, 0, place={"lat": 39.5, "lon": 116.5}), relay.note(1, 1))
    await suspend(relay)
    (rescue,) = (await relay.get("/v1/rescues"))["items"]
    assert rescue["load_ids"] == [str(relay.load_id)]
    assert rescue["holder_id"] == str(relay.driver)
    assert rescue["place"] == {"lat": 39.5, "lon": 116.5}
    found = await rows(relay.sessions, "SELECT reassigned, rescued FROM suspensions")
    assert [tuple(row) for row in found] == [(0, 1)]


async def test_half_a_load_on_board_is_to_be_rescued_too(relay: Relay) -> None:
    await relay.record(relay.note(1, 0))
    await suspend(relay)
    (rescue,) = (await relay.get("/v1/rescues"))["items"]
    assert rescue["holder_id"] == str(relay.driver)
    found = await rows(relay.sessions, "SELECT reassigned, rescued FROM suspensions")
    assert [tuple(row) for row in found] == [(0, 1)]


async def test_what_is_at_its_door_needs_no_rescue_though_its_way_was_not_told(relay: Relay) -> None:
    await relay.record(relay.note(3, 0), relay.note(3, 1))
    await suspend(relay)
    assert (await relay.get("/v1/rescues"))["items"] == []


async def test_what_was_given_on_needs_no_rescue(relay: Relay) -> None:
    await relay.record(*(relay.note(leg, unit) for leg in (1, 2) for unit in (0, 1)))
    await suspend(relay)
    assert (await relay.get("/v1/rescues"))["items"] == []
    await tell(relay.sessions, make_suspended(relay.steward, Role.STEWARD), sequence=2)
    assert [each["holder_id"] for each in (await relay.get("/v1/rescues"))["items"]] == [str(relay.steward)]


async def test_a_suspension_told_twice_takes_the_work_once(relay: Relay) -> None:
    await relay.record(relay.note(1, 0), relay.note(1, 1))
    await suspend(relay)
    await suspend(relay)
    await tell(relay.sessions, make_cleared(relay.driver), sequence=1)
    assert len((await relay.get("/v1/rescues"))["items"]) == 1
    found = await rows(relay.sessions, "SELECT reassigned, rescued FROM suspensions")
    assert [tuple(row) for row in found] == [(0, 1)]


async def test_a_suspension_that_is_older_than_a_clearance_takes_nothing(relay: Relay) -> None:
    await tell(relay.sessions, make_cleared(relay.driver), sequence=3)
    await suspend(relay, sequence=2)
    assert len(await rows(relay.sessions, "SELECT 1 FROM trip_loads WHERE is_held")) == 1
    assert await rows(relay.sessions, "SELECT 1 FROM suspensions") == []


async def test_who_is_cleared_no_more_for_the_class_of_a_zone_keeps_no_work_there(relay: Relay) -> None:
    await tell(relay.sessions, make_cleared(relay.driver), sequence=2)
    assert len(await rows(relay.sessions, "SELECT 1 FROM trip_loads WHERE is_held")) == 1
    await relay.record(relay.note(1, 0))
    elsewhere = Clearance(zone_class=ZoneClass.PRECAUTION, valid_until=NOW + HOUR)
    await tell(relay.sessions, make_cleared(relay.driver, clearances=(elsewhere,)), sequence=3)
    (rescue,) = (await relay.get("/v1/rescues"))["items"]
    assert rescue["holder_id"] == str(relay.driver)
    assert [row.status for row in await rows(relay.sessions, "SELECT status FROM trips")] == ["stranded"]


async def test_a_late_log_of_a_suspended_driver_opens_a_rescue(relay: Relay) -> None:
    await suspend(relay)
    await relay.record(relay.note(1, 0), relay.note(1, 1))
    assert await sweep(relay.sessions) == 1
    assert await sweep(relay.sessions) == 0
    (rescue,) = (await relay.get("/v1/rescues"))["items"]
    assert rescue["holder_id"] == str(relay.driver)


async def test_rescues_are_the_commanders_of_the_zone(relay: Relay) -> None:
    await relay.record(relay.note(1, 0))
    await suspend(relay)
    elsewhere = await relay.client.get(
        "/v1/rescues", headers=serving.headers("commander", zone_ids=[new_id()])
    )
    assert elsewhere.json()["items"] == []
    driver = await relay.client.get("/v1/rescues", headers=relay.headers("driver"))
    assert (driver.status_code, driver.json()["code"]) == (403, "kit.forbidden")
    other = await relay.get(f"/v1/rescues?incident_id={new_id()}")
    assert other["items"] == []


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def follow(relay: Relay, minutes: int = 0) -> int:
    done = 0
    for work in (application.settle_over, application.call_late, application.plan_waiting):
        async with relay.sessions.begin() as session:
            done += await work(session, await database.now(session) + minutes * HOUR / 60)
    return done


async def test_where_nobody_is_near_somebody_is_called_with_what_is_needed(relay: Relay) -> None:
    await relay.record(relay.note(1, 0, place={"lat": 39.05, "lon": 116.05}), relay.note(1, 1))
    before = metric("rescues_escalated_total", cause="driver_suspended")

    await suspend(relay)

    (rescue,) = (await relay.get("/v1/rescues?is_escalated=true&is_open=true"))["items"]
    assert (rescue["status"], rescue["grams"], rescue["pieces"]) == ("escalated", 15000, 2)
    assert rescue["needs"] == {
        "role": "driver",
        "zone_class": "sealed",
        "grams": 15000,
        "pieces": 2,
        "place": {"lat": 39.05, "lon": 116.05},
        "codes": ["dispatch.no_vehicle_free", "dispatch.no_cleared_driver"],
    }
    assert metric("rescues_escalated_total", cause="driver_suspended") == before + 1
    assert (await relay.get("/v1/rescues?is_escalated=false"))["items"] == []
    assert await follow(relay, minutes=31) == 0
    assert (await relay.get(f"/v1/rescues/{rescue['rescue_id']}"))["escalated_at"] == rescue["escalated_at"]
    report = await relay.get(f"/v1/incidents/{relay.zone.incident_id}/deliveries")
    assert (report["rescued"], report["rescues_open"], report["rescues_escalated"]) == (1, 1, 1)

    await relay.record(*(relay.note(2, unit, minutes=-8) for unit in (0, 1)))
    assert (await relay.get("/v1/rescues?is_open=true"))["items"] == []
    report = await relay.get(f"/v1/incidents/{relay.zone.incident_id}/deliveries")
    assert (report["rescued"], report["rescues_open"], report["rescues_escalated"]) == (1, 0, 1)


async def test_what_nobody_takes_over_in_time_is_told(relay: Relay) -> None:
    other = new_id()
    await tell(relay.sessions, make_cleared(other, Role.STEWARD))
    await tell(relay.sessions, make_duty(other, relay.zone))
    await relay.record(*(relay.note(leg, unit) for leg in (1, 2) for unit in (0, 1)))
    await tell(relay.sessions, make_suspended(relay.steward, Role.STEWARD), sequence=2)
    (rescue,) = (await relay.get("/v1/rescues"))["items"]
    assert (rescue["status"], rescue["needs"]) == ("open", None)

    assert await follow(relay, minutes=29) == 0
    assert await follow(relay, minutes=31) == 1
    assert await follow(relay, minutes=32) == 0

    (rescue,) = (await relay.get("/v1/rescues"))["items"]
    assert (rescue["status"], rescue["needs"]["codes"]) == ("escalated", ["dispatch.take_over_late"])


async def test_a_driver_is_named_on_the_trip_that_comes(relay: Relay) -> None:
    await relay.record(relay.note(1, 0))
    await suspend(relay)
    (rescue,) = (await relay.get("/v1/rescues"))["items"]
    answer = await relay.client.post(
        f"/v1/rescues/{rescue['rescue_id']}/assignment",
        json={"person_id": str(new_id())},
        headers=relay.headers(),
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "dispatch.rescue_on_the_road")
    elsewhere = serving.headers("commander", zone_ids=[new_id()])
    hidden = await relay.client.get(f"/v1/rescues/{rescue['rescue_id']}", headers=elsewhere)
    assert (hidden.status_code, hidden.json()["code"]) == (404, "kit.not_found")


async def test_what_joins_an_open_rescue_is_added_to_it(relay: Relay) -> None:
    await relay.record(relay.note(1, 0))
    await suspend(relay)
    await relay.record(relay.note(1, 1))
    assert await sweep(relay.sessions) == 1
    (rescue,) = (await relay.get("/v1/rescues"))["items"]
    assert (rescue["pieces"], rescue["grams"]) == (2, 15000)


async def test_goods_that_left_by_a_drivers_word_alone_are_rescued_until_a_scan_tells(
    relay: Relay,
) -> None:
    other = new_id()
    await tell(relay.sessions, make_cleared(other))
    ((trip_id,),) = await rows(relay.sessions, "SELECT trip_id FROM trips")
    left = await relay.client.post(f"/v1/trips/{trip_id}/departure", headers=relay.headers("driver"))
    assert left.status_code == 200, left.text
    await suspend(relay)
    (rescue,) = (await relay.get("/v1/rescues"))["items"]
    assert (rescue["holder_id"], rescue["pieces"]) == (str(relay.driver), 2)
    assert await follow(relay) == 0

    at = minutes_from_now(0).isoformat()
    taken = [relay.note(1, unit, giver_id=relay.driver, taker_id=other, occurred_at=at) for unit in (0, 1)]
    items = await relay.record(*taken)

    assert [item["is_breach"] for item in items] == [False, False]
    (rescue,) = (await relay.get("/v1/rescues"))["items"]
    assert rescue["status"] == "settled"


async def test_an_incident_counts_what_was_carried(relay: Relay) -> None:
    await relay.record(*(relay.note(1, unit) for unit in (0, 1)))
    await relay.record(*(relay.note(2, unit, taker_id=new_id()) for unit in (0, 1)))
    await relay.record(relay.note(3, 0))
    path = f"/v1/incidents/{relay.zone.incident_id}/deliveries"
    assert await relay.get(path) == {
        "load_units": 2,
        "portions": 1,
        "delivered": 0,
        "emptied": 0,
        "bulk": {"loads": 0, "in_g": 0, "portions_g": 0, "loss_g": 0},
        "trips": 1,
        "grams": 15000,
        "metres": 5200,
        "handovers": {"leg1": 2, "leg2": 2, "leg3": 1},
        "breaches": 2,
        "suspended": 0,
        "reassigned": 0,
        "rescued": 0,
        "rescues_open": 0,
        "rescues_escalated": 0,
    }
    await relay.record(relay.note(3, 1))
    assert (await relay.get(path))["delivered"] == 1
    steward = await relay.client.get(path, headers=relay.headers("steward"))
    assert (steward.status_code, steward.json()["code"]) == (403, "kit.forbidden")
