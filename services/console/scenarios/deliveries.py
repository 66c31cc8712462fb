"""The relay itself: plan the wave, commit it, and carry every load unit over its three legs."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.console.scenarios.case import Item
from services.console.scenarios.town import SetUpFailed, Town, each
from services.console.scenarios.zone import NotInTime
from services.contracts.access import Role
from services.kit.ids import new_id

SOLVES_SECONDS = 5
PLANNED_WITHIN = 120.0
SETTLES_WITHIN = 60.0
LOOKS_EVERY = 0.25
HAND_OVERS_A_CALL = 500


async def plan_wave(town: Town, zone: Item) -> list[Item]:
    """Plan the zone's slots, commit the plan, and return its trips; every load must have one."""
    slots = (await town.commander.get(f"/v1/zones/{zone['zone_id']}/slots"))["slots"]
    body = {"slot_ids": [slot["slot_id"] for slot in slots], "seconds": SOLVES_SECONDS}
    await _until(lambda: _has_all_loads(town, zone, slots), "dispatch to have every load", PLANNED_WITHIN)
    plan = await town.commander.post("/v1/plans", body)
    path = f"/v1/plans/{plan['plan_id']}"

    async def solved() -> bool:
        return (await town.commander.get(path))["status"] not in ("requested", "solving")

    await _until(solved, "a plan", PLANNED_WITHIN)
    preview = await town.commander.get(path)
    if preview["status"] != "ready" or preview["unassigned"]:
        raise SetUpFailed(f"the plan is {preview['status']}, unassigned: {preview['unassigned'][:3]}")
    await town.commander.post(f"{path}/commitment")
    return await town.commander.list_all("/v1/trips", zone_id=zone["zone_id"])


async def suspend_drivers(town: Town, trips: Sequence[Item]) -> None:
    """Let the drivers of the first trips test positive, and return when none of them has a trip any more."""
    drivers = list(dict.fromkeys(trip["driver_id"] for trip in trips))[: town.case.assumed.suspended_drivers]
    now = datetime.now(UTC).isoformat()
    await town.health_officer.post("/v1/checks", {"checks": [
        {"person_id": driver, "kind": "antigen", "outcome": "positive", "sampled_at": now,
         "reference": f"{driver}-{now}"}
        for driver in drivers
    ]})  # fmt: skip
    zone_id = trips[0]["zone_id"]

    async def taken_over() -> bool:
        current = [trip for trip in await town.commander.list_all("/v1/trips", zone_id=zone_id)
                   if trip["status"] != "released"]  # fmt: skip
        return not any(trip["driver_id"] in drivers for trip in current) and await _none_in_pool(
            town, zone_id
        )

    await _until(taken_over, "the suspended drivers' work to go to others", SETTLES_WITHIN)


async def carry(town: Town, zone: Item) -> int:
    """Hand every unit over: outlet to driver, driver to steward, steward to door; return how many were."""
    trips = await town.commander.list_all("/v1/trips", zone_id=zone["zone_id"])
    trips = [trip for trip in trips if trip["status"] != "released"]
    handed = await each(trips, lambda trip: _carry_trip(town, trip["trip_id"]))
    return sum(handed)


async def wait_until_fulfilled(town: Town, zone: Item) -> None:
    """Return when orders knows of every portion that it was delivered."""
    path = f"/v1/incidents/{zone['incident_id']}/report"

    async def all_fulfilled() -> bool:
        return not (await town.commander.get(path))["undelivered"]

    await _until(all_fulfilled, "every accepted order to be fulfilled", SETTLES_WITHIN)


async def _carry_trip(town: Town, trip_id: str) -> int:
    trip = await town.commander.get(f"/v1/trips/{trip_id}")
    loads = [await town.commander.get(f"/v1/loads/{load_id}") for load_id in trip["load_ids"]]
    driver = town.voices.of(Role.DRIVER, subject=trip["driver_id"])
    labels = {
        unit["load_unit_id"]: (await driver.get(f"/v1/load-units/{unit['load_unit_id']}/label"))["text"]
        for load in loads
        for unit in load["units"]
    }
    of_steward: defaultdict[str, list[Item]] = defaultdict(list)
    for load in loads:
        of_steward[_steward_of(town, load)].append(load)

    handed = await _record(driver, loads, labels, leg=1, giver="outlet_id", taker=trip["driver_id"])
    for steward, theirs in of_steward.items():
        handed += await _record(driver, theirs, labels, leg=2, giver=trip["driver_id"], taker=steward)
    for steward, theirs in of_steward.items():
        voice = town.voices.of(Role.STEWARD, subject=steward)
        handed += await _record(voice, theirs, labels, leg=3, giver=steward, taker="household_id")
    return handed


async def _record(  # noqa: PLR0913 - what a hand-over says
    voice: Any, loads: Sequence[Item], labels: dict[str, str], *, leg: int, giver: str, taker: str
) -> int:
    """Send the log of a device; a giver or taker may be named by the load's own field."""
    log = [
        {"hand_over_id": str(new_id()), "load_unit_id": unit["load_unit_id"], "leg": leg,
         "giver_id": load.get(giver, giver), "taker_id": load.get(taker, taker),
         "occurred_at": datetime.now(UTC).isoformat(),
         "proof": {"kind": "qr", "value": labels[unit["load_unit_id"]]}}
        for load in loads
        for unit in load["units"]
    ]  # fmt: skip
    for start in range(0, len(log), HAND_OVERS_A_CALL):
        answer = await voice.post("/v1/hand-overs", {"hand_overs": log[start : start + HAND_OVERS_A_CALL]})
        refused = [item for item in answer["items"] if item["outcome"] == "refused"]
        if refused:
            raise SetUpFailed(f"{len(refused)} hand-overs of leg {leg} were refused, the first: {refused[0]}")
    return len(log)


async def _has_all_loads(town: Town, zone: Item, slots: Sequence[Item]) -> bool:
    report = await town.commander.get(f"/v1/incidents/{zone['incident_id']}/report")
    carried = await town.commander.get(f"/v1/incidents/{zone['incident_id']}/deliveries")
    confirmed = report["orders"].get("confirmed", 0) + report["orders"].get("fulfilled", 0)
    return bool(slots) and carried["portions"] >= confirmed > 0


async def _none_in_pool(town: Town, zone_id: str) -> bool:
    loads = await town.commander.list_all("/v1/loads", zone_id=zone_id)
    return all(load["trip_id"] or load["withdrawn_at"] for load in loads)


def _steward_of(town: Town, load: Item) -> str:
    for village, people in town.stewards.items():
        for number, person in enumerate(people):
            if load["building_id"] in town.buildings_of(number, village):
                return person
    raise LookupError(f"building {load['building_id']} has no steward")


async def _until(holds: Any, what: str, seconds: float) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not await holds():
        if asyncio.get_running_loop().time() > deadline:
            raise NotInTime(f"waited {seconds:.0f} s for {what}")
        await asyncio.sleep(LOOKS_EVERY)
