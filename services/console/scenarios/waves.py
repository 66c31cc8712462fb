"""A wave as the commander sees it: planned, committed, followed until every door."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from services.console.scenarios.case import Item
from services.console.scenarios.town import SetUpFailed, Town
from services.console.scenarios.voices import Refused
from services.console.scenarios.zone import NotInTime

SOLVES_SECONDS = 5
PLANNED_WITHIN = 120.0
# Also where who does it dies meanwhile: a solver's lease has to run out before another solves.
SETTLES_WITHIN = 180.0
LOOKS_EVERY = 0.25


async def plan_wave(town: Town, zone: Item) -> list[Item]:
    """Plan the zone's slots, commit the plan, and return its trips; every load must have one."""
    slots = (await town.commander.get(f"/v1/zones/{zone['zone_id']}/slots"))["slots"]
    plan = await _ask_for_plan(town, [slot["slot_id"] for slot in slots])
    path = f"/v1/plans/{plan['plan_id']}"

    async def solved() -> bool:
        return (await town.commander.get(path))["status"] not in ("requested", "solving")

    await until(solved, "a plan", PLANNED_WITHIN)
    preview = await town.commander.get(path)
    if preview["status"] != "ready" or preview["unassigned"]:
        raise SetUpFailed(f"the plan is {preview['status']}, unassigned: {preview['unassigned'][:3]}")
    committed = await town.commander.post(f"{path}/commitment")
    if committed["uncommitted"]:
        raise SetUpFailed(f"trips without vehicle or driver: {committed['uncommitted'][:3]}")
    return await list_trips(town, zone)


async def list_trips(town: Town, zone: Item) -> list[Item]:
    """Return the trips that are to be driven, or are under way."""
    trips = await town.commander.list_all("/v1/trips", zone_id=zone["zone_id"])
    return [trip for trip in trips if trip["status"] in ("planned", "departed")]


async def list_loads(town: Town, zone: Item) -> list[Item]:
    """Return what is to be carried, with its load units."""
    loads = await town.commander.list_all("/v1/loads", zone_id=zone["zone_id"])
    return [load for load in loads if load["withdrawn_at"] is None]


def loads_of(trip: Item) -> list[str]:
    """Return what a trip picks up, wherever that is."""
    return [load_id for stop in trip["stops"] if stop["kind"] == "pick_up" for load_id in stop["load_ids"]]


async def wait_until_fulfilled(town: Town, zone: Item) -> None:
    """Return when orders knows of every portion that it was delivered."""
    path = f"/v1/incidents/{zone['incident_id']}/report"

    async def all_fulfilled() -> bool:
        return not (await town.commander.get(path))["undelivered"]

    await until(all_fulfilled, "every accepted order to be fulfilled", SETTLES_WITHIN)


async def until(holds: Callable[[], Awaitable[bool]], what: str, seconds: float) -> None:
    """Return once something holds; raise `NotInTime` naming it where it does not within the seconds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await holds():
        if asyncio.get_running_loop().time() > deadline:
            raise NotInTime(f"waited {seconds:.0f} s for {what}")
        await asyncio.sleep(LOOKS_EVERY)


async def _ask_for_plan(town: Town, slot_ids: Sequence[str]) -> Item:
    """Ask until dispatch has every confirmed order of the slots."""
    made: list[Item] = []

    async def accepted() -> bool:
        try:
            made.append(
                await town.commander.post("/v1/plans", {"slot_ids": slot_ids, "seconds": SOLVES_SECONDS})
            )
        except Refused as refused:
            if refused.problem["code"] != "dispatch.wave_incomplete":
                raise
        return bool(made)

    await until(accepted, "dispatch to have every confirmed order", PLANNED_WITHIN)
    return made[0]
