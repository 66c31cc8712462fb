"""The relay itself: plan the wave, commit it, and carry every load unit over its three legs."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256

from services.console.scenarios.case import Item
from services.console.scenarios.town import SetUpFailed, Town, each
from services.console.scenarios.voices import Refused, Voice
from services.console.scenarios.zone import NotInTime
from services.contracts.access import Role
from services.kit.ids import new_id

SOLVES_SECONDS = 5
PLANNED_WITHIN = 120.0
SETTLES_WITHIN = 60.0
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
    """Return the trips that are to be driven."""
    trips = await town.commander.list_all("/v1/trips", zone_id=zone["zone_id"])
    return [trip for trip in trips if trip["status"] in ("planned", "departed")]


async def suspend_drivers(town: Town, zone: Item) -> None:
    """Let the drivers of the first trips test positive; return when all of their work is somebody else's."""
    before = await list_trips(town, zone)
    drivers = list(dict.fromkeys(trip["driver_id"] for trip in before))[: town.case.assumed.suspended_drivers]
    now = datetime.now(UTC).isoformat()
    checks = [
        {"person_id": driver, "kind": "antigen", "outcome": "positive", "sampled_at": now,
         "reference": f"{driver}-{now}"}
        for driver in drivers
    ]  # fmt: skip
    await town.health_officer.import_all("/v1/checks", "checks", checks)
    wanted = {load_id for trip in before for load_id in _loads_of(trip)}

    async def taken_over() -> bool:
        trips = await list_trips(town, zone)
        carried = {load_id for trip in trips for load_id in _loads_of(trip)}
        return wanted <= carried and not any(trip["driver_id"] in drivers for trip in trips)

    await until(taken_over, "the suspended drivers' work to go to others", SETTLES_WITHIN)


async def carry(town: Town, zone: Item, households: Mapping[str, str]) -> int:
    """Hand every unit over: outlet to driver, driver to steward, steward to door; return how many were.

    `households` says whose each order is: at the door, the taker.
    """
    loads = {load["load_id"]: load for load in await list_loads(town, zone)}
    labels = await _print_labels(town, loads.values())
    trips = await list_trips(town, zone)

    async def carry_trip(trip: Item) -> int:
        on_trip = [loads[load_id] for load_id in _loads_of(trip)]
        return await _carry_trip(town, trip["driver_id"], on_trip, labels, households)

    return sum(await each(trips, carry_trip))


async def list_loads(town: Town, zone: Item) -> list[Item]:
    """Return what is to be carried, with its load units."""
    loads = await town.commander.list_all("/v1/loads", zone_id=zone["zone_id"])
    return [load for load in loads if load["withdrawn_at"] is None]


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


async def _carry_trip(
    town: Town,
    driver_id: str,
    loads: Sequence[Item],
    labels: Mapping[str, str],
    households: Mapping[str, str],
) -> int:
    of_steward: defaultdict[str, list[Item]] = defaultdict(list)
    for load in loads:
        of_steward[_steward_of(town, load)].append(load)

    def log(leg: int, load: Item, giver: str, taker: str, proof: Item | None = None) -> list[Item]:
        return [
            {"hand_over_id": str(new_id()), "load_unit_id": unit["load_unit_id"], "leg": leg,
             "giver_id": giver, "taker_id": taker, "occurred_at": datetime.now(UTC).isoformat(),
             "proof": proof or {"kind": "qr", "value": labels[unit["load_unit_id"]]}}
            for unit in load["units"]
        ]  # fmt: skip

    async def at_door(load: Item, steward: str, *, is_answered: bool) -> list[Item]:
        household = households[load["order_id"]]
        if is_answered:
            return log(3, load, steward, household, await _ask_pin(town, load, household))
        notes = log(3, load, steward, household)
        for note in notes:
            note["proof"]["photo_sha256"] = sha256(note["hand_over_id"].encode()).hexdigest()
        return notes

    pick_up = [item for load in loads for item in log(1, load, load["outlet_id"], driver_id)]
    handed = await _send(town.voices.of(Role.DRIVER, subject=driver_id), pick_up)
    for steward, theirs in of_steward.items():
        voice = town.voices.of(Role.STEWARD, subject=steward)
        gate = [item for load in theirs for item in log(2, load, driver_id, steward)]
        # At every second door somebody answers and tells the PIN; before the others the bag is photographed.
        doors = [
            await at_door(load, steward, is_answered=number % 2 == 1) for number, load in enumerate(theirs)
        ]
        handed += await _send(voice, gate) + await _send(voice, [item for door in doors for item in door])
    return handed


async def _ask_pin(town: Town, load: Item, household_id: str) -> Item:
    """Let the household look up its PIN, as the proof that it tells the steward."""
    resident = town.voices.of(Role.RESIDENT, household_id=household_id)
    portions = (await resident.get("/v1/portions", order_id=load["order_id"]))["items"]
    pins = {portion["load_id"]: portion["pin"] for portion in portions}
    return {"kind": "pin", "value": pins[load["load_id"]]}


async def _print_labels(town: Town, loads: Iterable[Item]) -> dict[str, str]:
    """Let each outlet print what it packs: the text of each unit's QR code."""
    units = [(load["outlet_id"], unit["load_unit_id"]) for load in loads for unit in load["units"]]
    texts = await each(units, lambda unit: town.outlet(unit[0]).get(f"/v1/load-units/{unit[1]}/label"))
    return {unit[1]: label["text"] for unit, label in zip(units, texts, strict=True)}


async def _send(voice: Voice, log: Sequence[Item]) -> int:
    """Send the log of a device; a hand-over that is refused or a breach is a defect of the play."""
    for answer in await voice.import_all("/v1/hand-overs", "hand_overs", log):
        if answer["outcome"] == "refused" or answer["is_breach"]:
            raise SetUpFailed(f"a hand-over was not taken as it should be: {answer}")
    return len(log)


def _loads_of(trip: Item) -> list[str]:
    return [load_id for stop in trip["stops"] if stop["kind"] == "pick_up" for load_id in stop["load_ids"]]


def _steward_of(town: Town, load: Item) -> str:
    for village, people in town.stewards.items():
        for number, person in enumerate(people):
            if load["building_id"] in town.buildings_of(number, village):
                return person
    raise LookupError(f"building {load['building_id']} has no steward")
