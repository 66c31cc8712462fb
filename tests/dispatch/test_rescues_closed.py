"""A commander closes a rescue by hand: the goods stay with who has them, and nothing is lost by it."""

from pathlib import Path

import httpx

from services.kit.database import Sessions
from tests.dispatch.builders import HOUR, NOW, make_cleared, make_duty, rows, tell
from tests.dispatch.rescued import Carried, make_carried
from tests.serving import headers


def refusal(answer: httpx.Response) -> tuple[int, str, list[str]]:
    told = answer.json()
    return answer.status_code, told["code"], [each["code"] for each in told.get("errors", [])]


async def held(carried: Carried) -> list[bool]:
    found = await rows(carried.sessions, "SELECT is_held FROM trip_loads ORDER BY trip_id, load_id")
    return [row.is_held for row in found]


async def test_a_driver_who_is_cleared_again_carries_on_what_he_has_and_nobody_comes_for_it(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, orders=1)
    await carried.suspend(carried.driver)
    await carried.plan()
    rescue = await carried.rescue()
    path = f"/v1/rescues/{rescue['rescue_id']}/closure"

    early = await carried.close(rescue["rescue_id"])

    assert refusal(early) == (409, "dispatch.rescue_not_over", ["dispatch.person_not_cleared"])
    assert ((await carried.rescue())["status"], await held(carried)) == ("open", [False, True])
    driver = await client.post(path, json={"reason": "mine"}, headers=carried.town.driver(carried.driver))
    elsewhere = await client.post(path, json={"reason": "ours"}, headers=headers("commander", key="k"))
    assert (driver.status_code, elsewhere.status_code) == (404, 404)

    await tell(carried.sessions, make_cleared(carried.driver), sequence=3)
    closed = await carried.close(rescue["rescue_id"])

    assert closed.status_code == 200, closed.text
    assert closed.json()["holder_id"] == str(carried.driver)
    rescue = await carried.rescue()
    assert (rescue["status"], rescue["closed_because"], rescue["pieces"]) == ("settled", "tested again", 0)
    assert rescue["closed_by"] == closed.json()["closed_by"]
    assert await held(carried) == [False, False]
    states = await rows(carried.sessions, "SELECT status FROM trips ORDER BY trip_id")
    assert [row.status for row in states] == ["stranded", "released"]
    again = await carried.close(rescue["rescue_id"])
    assert refusal(again)[:2] == (409, "dispatch.rescue_settled")
    assert (await carried.sweep(), await carried.follow(minutes=32)) == (0, 0)

    await carried.hand_over(2, carried.driver, carried.steward)
    await carried.hand_over(3, carried.steward, None)
    assert await rows(carried.sessions, "SELECT 1 FROM breaches") == []
    assert await rows(carried.sessions, "SELECT 1 FROM loads WHERE delivered_at IS NULL") == []


async def test_goods_on_a_vehicle_that_is_lost_stay_to_be_rescued_until_it_is_back(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, orders=1)
    vehicle_id = carried.trip["vehicle_id"]
    await carried.lose(vehicle_id)
    rescue = await carried.rescue()
    assert refusal(await carried.close(rescue["rescue_id"]))[2] == ["dispatch.vehicle_lost"]

    await carried.bring_back(vehicle_id)

    assert (await carried.close(rescue["rescue_id"])).status_code == 200
    assert (await carried.sweep(), (await carried.rescue())["status"]) == (0, "settled")


async def test_what_a_steward_has_is_his_again_when_his_duty_lasts_again(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, orders=1, legs=2)
    ((duty_id,),) = await rows(carried.sessions, "SELECT duty_id FROM duties")
    duty = make_duty(carried.steward, carried.town.zone, duty_id=duty_id)
    await tell(carried.sessions, duty.model_copy(update={"ends_at": NOW - HOUR / 2}), sequence=2)
    rescue = await carried.rescue()
    assert (rescue["cause"], rescue["status"]) == ("duty_lapsed", "escalated")
    assert refusal(await carried.close(rescue["rescue_id"]))[2] == ["dispatch.steward_not_on_duty"]

    await tell(carried.sessions, duty, sequence=3)

    assert (await carried.close(rescue["rescue_id"])).status_code == 200
    assert (await carried.sweep(), (await carried.rescue())["status"]) == (0, "settled")


async def test_what_nobody_scanned_is_not_left_to_a_word(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    carried = await make_carried(client, service_sessions, tmp_path, orders=1, legs=0)
    departure = f"/v1/trips/{carried.trip['trip_id']}/departure"
    left = await client.post(departure, headers=carried.town.driver(carried.driver))
    assert left.status_code == 200, left.text
    await carried.suspend(carried.driver)
    await tell(carried.sessions, make_cleared(carried.driver), sequence=3)
    rescue = await carried.rescue()

    assert refusal(await carried.close(rescue["rescue_id"]))[2] == ["dispatch.goods_not_scanned"]
    assert (await carried.rescue())["status"] == "open"
