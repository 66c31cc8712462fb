import httpx
import pytest

from services.contracts.access import Role
from services.contracts.values import Clearance, ZoneClass
from services.dispatch.rescues import application
from services.kit import database
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import HOUR, NOW, make_cleared, make_suspended, rows, tell
from tests.dispatch.relays import Relay, make_relay


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
