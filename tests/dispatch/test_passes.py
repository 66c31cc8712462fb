from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.dispatch.passes import domain
from services.dispatch.passes.domain import Pass
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import HOUR, NOW, make_pass, make_vehicle, rows

NOON = datetime(2022, 11, 20, 4, 0, tzinfo=UTC)


def one_pass(**given: Any) -> Pass:
    wanted = {
        "number": "110115000001",
        "vehicle_id": new_id(),
        "goods_class": "food",
        "origin_code": "110115",
        "destination_code": "110115",
        "valid_from": NOON,
        "valid_to": NOON + 24 * HOUR,
        "crew": frozenset(),
    }
    return Pass(**{**wanted, **given})


def test_a_pass_covers_a_trip_only_whole() -> None:
    given = one_pass()
    assert given.covers(NOON, NOON + 24 * HOUR)
    assert not given.covers(NOON - timedelta(seconds=1), NOON + HOUR)
    assert not given.covers(NOON + 23 * HOUR, NOON + 24 * HOUR + timedelta(seconds=1))


def test_of_several_valid_passes_the_longest_is_used_and_none_is_none() -> None:
    short, long = one_pass(valid_to=NOON + 4 * HOUR), one_pass(number="110115000002")
    assert domain.find_usable([short, long], NOON, NOON + HOUR) == long
    assert domain.find_usable([short], NOON, NOON + 5 * HOUR) is None


def test_a_pass_admits_its_crew_and_one_without_names_admits_all() -> None:
    driver, other = new_id(), new_id()
    assert one_pass(crew=frozenset({driver})).admits(driver)
    assert not one_pass(crew=frozenset({driver})).admits(other)
    assert one_pass().admits(other)


def test_what_nobody_cleared_may_drive_is_left_out_unless_nothing_else_is_there() -> None:
    driver, other = new_id(), new_id()
    theirs, anyones = one_pass(crew=frozenset({driver})), one_pass(crew=frozenset())
    assert domain.find_drivable([theirs, anyones], {driver}) == [theirs, anyones]
    assert domain.find_drivable([theirs, anyones], {other}) == [anyones]
    assert domain.find_drivable([theirs], {other}) == [theirs]
    assert domain.find_drivable([theirs, anyones], set()) == [theirs, anyones]


async def give(client: httpx.AsyncClient, *passes: dict[str, Any], key: str = "p") -> list[dict[str, Any]]:
    answer = await client.post(
        "/v1/passes", json={"passes": list(passes)}, headers=serving.headers("commander", key=key)
    )
    assert answer.status_code == 200
    return answer.json()["items"]


@pytest.fixture
async def two_vehicles(client: httpx.AsyncClient) -> None:
    vehicles = [make_vehicle(), make_vehicle(plate="京A00002")]
    answer = await client.post(
        "/v1/vehicles", json={"vehicles": vehicles}, headers=serving.headers("commander", key="v")
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("given", "pointer", "code"),
    [
        ({"number": "11011500001"}, "number", "dispatch.pass_number_malformed"),
        ({"number": "1101150000011"}, "number", "dispatch.pass_number_malformed"),
        ({"number": "00011500000x"}, "number", "dispatch.pass_number_malformed"),
        ({"number": "１１０１１５０００００１"}, "number", "dispatch.pass_number_malformed"),
        ({"plate": "京A99999"}, "plate", "dispatch.vehicle_unknown"),
        ({"origin_code": "1101"}, "origin_code", "dispatch.division_code_malformed"),
        ({"destination_code": "1101AB"}, "destination_code", "dispatch.division_code_malformed"),
        ({"valid_to": make_pass()["valid_from"]}, "valid_to", "dispatch.pass_validity_empty"),
    ],
)
@pytest.mark.usefixtures("two_vehicles")
async def test_a_pass_that_is_none_is_refused_with_its_reason(
    client: httpx.AsyncClient,
    service_sessions: Sessions,
    given: dict[str, Any],
    pointer: str,
    code: str,
) -> None:
    (item,) = await give(client, make_pass(**given))
    assert item["outcome"] == "refused"
    assert [(error["pointer"], error["code"]) for error in item["errors"]] == [(f"/passes/0/{pointer}", code)]
    assert await rows(service_sessions, "SELECT 1 FROM vehicle_passes") == []


async def test_one_number_is_one_vehicles(
    client: httpx.AsyncClient, service_sessions: Sessions, two_vehicles: None
) -> None:
    first, other = await give(client, make_pass(), make_pass(plate="京A00002"))
    assert first["outcome"] == "created"
    assert [error["code"] for error in other["errors"]] == ["dispatch.pass_number_taken"]
    assert len(await rows(service_sessions, "SELECT 1 FROM vehicle_passes")) == 1


async def test_one_vehicle_has_one_route_at_a_time(
    client: httpx.AsyncClient, service_sessions: Sessions, two_vehicles: None
) -> None:
    await give(client, make_pass())
    items = await give(
        client,
        make_pass(number="110115000002", destination_code="110114"),
        make_pass(
            number="110115000003",
            valid_from=(NOW + 24 * HOUR).isoformat(),
            valid_to=(NOW + 48 * HOUR).isoformat(),
        ),
        key="2",
    )
    assert [error["code"] for error in items[0]["errors"]] == ["dispatch.pass_overlaps"]
    assert items[1]["outcome"] == "created"
    assert len(await rows(service_sessions, "SELECT 1 FROM vehicle_passes")) == 2


async def test_a_pass_is_changed_by_its_number(client: httpx.AsyncClient, two_vehicles: None) -> None:
    driver = str(new_id())
    (created,) = await give(client, make_pass(), key="1")
    (same,) = await give(client, make_pass(), key="2")
    (changed,) = await give(client, make_pass(crew=[driver]), key="3")
    assert [created["outcome"], same["outcome"], changed["outcome"]] == ["created", "unchanged", "updated"]
    listed = (await client.get("/v1/passes", headers=serving.headers("commander"))).json()["items"]
    assert [(each["pass_id"], each["crew"]) for each in listed] == [(created["pass_id"], [driver])]


async def test_a_driver_gives_no_passes(client: httpx.AsyncClient, two_vehicles: None) -> None:
    answer = await client.post(
        "/v1/passes", json={"passes": [make_pass()]}, headers=serving.headers("driver", key="k")
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
    assert (await client.get("/v1/passes", headers=serving.headers("driver"))).status_code == 403
