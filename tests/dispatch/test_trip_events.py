"""Trips are followed live: who drives, what is on board, at which stops all is done."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from services.dispatch.main import create_app
from services.dispatch.settings import DispatchSettings
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import HOUR, NOW, rows
from tests.dispatch.relays import Relay, make_relay
from tests.streams import following, served

STOP = text("""
    INSERT INTO trip_stops (trip_id, position, kind, place_id, load_ids, arrives_at, leaves_at)
    VALUES (:trip_id, :position, :kind, :place_id, ARRAY[CAST(:load_id AS uuid)], :at, :at)
""")


@pytest.fixture
async def client(service_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application on a socket: streams are read as they come."""
    app = create_app(serving.make_settings(DispatchSettings, tmp_path, service_url))
    async with served(app) as here:
        yield here.client


@pytest.fixture
async def relay(client: httpx.AsyncClient, service_sessions: Sessions) -> Relay:
    made = await make_relay(client, service_sessions)
    (trip,) = await rows(service_sessions, "SELECT trip_id FROM trips")
    async with service_sessions.begin() as session:
        for position, kind in enumerate(("pick_up", "gate"), start=1):
            given = {"trip_id": trip.trip_id, "load_id": made.load_id, "at": NOW + HOUR, "place_id": new_id()}
            await session.execute(STOP, {**given, "position": position, "kind": kind})
    return made


async def events_of(relay: Relay) -> str:
    return f"/v1/trips/{(await rows(relay.sessions, 'SELECT trip_id FROM trips'))[0].trip_id}/events"


async def test_a_trip_is_followed_from_its_plan_to_the_last_door(relay: Relay) -> None:
    told = []
    async with following(relay.client, await events_of(relay), relay.headers("driver")) as stream:
        told.append(await stream.next())
        for leg, role in ((1, "driver"), (2, "steward"), (3, "steward")):
            await relay.record(relay.note(leg, 0), relay.note(leg, 1), role=role)
            told.append(await stream.next())
        assert await stream.next() is None
    data = [each["data"] for each in told if each]
    assert [each["status"] for each in data] == ["planned", "departed", "departed", "departed"]
    assert {each["driver_id"] for each in data} == {str(relay.driver)}
    assert [list(each["loads"].values()) for each in data] == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [1, 1, 1, 1],
    ]  # fmt: skip
    assert [each["stops"] for each in data] == [{"total": 2, "done": done} for done in (0, 1, 2, 2)]
    last = told[-1]
    assert last
    async with following(
        relay.client, await events_of(relay), relay.headers("driver"), last=last["id"]
    ) as stream:
        assert stream.answer.status_code == 204


async def test_who_comes_back_is_told_only_what_is_newer(relay: Relay) -> None:
    path = await events_of(relay)
    async with following(relay.client, path, relay.headers()) as stream:
        first = await stream.next()
        assert first
    async with following(relay.client, path, relay.headers(), last=first["id"]) as stream:
        driver = new_id()
        async with relay.sessions.begin() as session:
            await session.execute(text("UPDATE trips SET driver_id = :driver"), {"driver": driver})
        newer = await stream.next()
    assert newer
    assert newer["data"] == {**first["data"], "driver_id": str(driver)}


async def test_only_the_driver_and_the_areas_commander_follow_a_trip(relay: Relay) -> None:
    path = await events_of(relay)
    seen = {
        "driver": relay.headers("driver"),
        "commander": relay.headers(),
        "other driver": serving.headers("driver", subject=new_id()),
        "far commander": serving.headers("commander", zone_ids=[new_id()]),
        "resident": relay.headers("resident"),
    }
    answers = {}
    for name, head in seen.items():
        async with following(relay.client, path, head) as stream:
            answers[name] = stream.answer.status_code
    assert answers == {
        "driver": 200, "commander": 200, "other driver": 404, "far commander": 404, "resident": 404,
    }  # fmt: skip
    async with following(relay.client, f"/v1/trips/{new_id()}/events", seen["commander"]) as stream:
        assert (stream.answer.status_code, stream.answer.json()["code"]) == (404, "kit.not_found")
