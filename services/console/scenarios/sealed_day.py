"""A sealed day's carrying: bags packed by the shops, a driver replaced before he loads, three legs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from services.console.scenarios import hand_overs, people, waves
from services.console.scenarios.case import Item
from services.console.scenarios.hand_overs import Labels, Passing
from services.console.scenarios.town import Tell, Town, each
from services.contracts.access import Role
from services.contracts.dispatch import Leg


async def carry(town: Town, zone: Item, households: Mapping[str, str], tell: Tell) -> None:
    """Bring every confirmed order to its door; `households` says whose each order is."""
    trips = await waves.plan_wave(town, zone)
    tell(f"{len(trips)} trips planned and committed")
    await _suspend_drivers(town, zone)
    tell(f"{town.case.assumed.suspended_drivers} driver tested positive: the work went to others")
    handed = await _hand_over(town, zone, households)
    tell(f"{handed} hand-overs recorded over three legs")
    await waves.wait_until_fulfilled(town, zone)


async def _suspend_drivers(town: Town, zone: Item) -> None:
    """Let the drivers of the first trips test positive; return when all of their work is somebody else's."""
    before = await waves.list_trips(town, zone)
    drivers = list(dict.fromkeys(trip["driver_id"] for trip in before))[: town.case.assumed.suspended_drivers]
    await people.record_positive(town, drivers)
    wanted = {load_id for trip in before for load_id in waves.loads_of(trip)}

    async def taken_over() -> bool:
        trips = await waves.list_trips(town, zone)
        carried = {load_id for trip in trips for load_id in waves.loads_of(trip)}
        return wanted <= carried and not any(trip["driver_id"] in drivers for trip in trips)

    await waves.until(taken_over, "the suspended drivers' work to go to others", waves.SETTLES_WITHIN)


async def _hand_over(town: Town, zone: Item, households: Mapping[str, str]) -> int:
    """Hand every unit over: outlet to driver, driver to steward, steward to door; return how many were."""
    loads = {load["load_id"]: load for load in await waves.list_loads(town, zone)}
    labels = await hand_overs.read_labels(
        (town.outlet(load["outlet_id"]), unit) for load in loads.values() for unit in load["units"]
    )
    trips = await waves.list_trips(town, zone)

    async def carry_trip(trip: Item) -> int:
        on_trip = [loads[load_id] for load_id in waves.loads_of(trip)]
        return await _carry_trip(town, trip["driver_id"], on_trip, labels, households)

    return sum(await each(trips, carry_trip))


async def _carry_trip(
    town: Town, driver_id: str, loads: Sequence[Item], labels: Labels, households: Mapping[str, str]
) -> int:
    of_steward: defaultdict[str, list[Item]] = defaultdict(list)
    for load in loads:
        of_steward[town.steward_of(load["building_id"])].append(load)

    def log(leg: Leg, load: Item, giver: str, taker: str) -> list[Item]:
        return hand_overs.note_all(load["units"], Passing(leg, giver, taker), labels)

    async def at_door(load: Item, steward: str, *, is_answered: bool) -> list[Item]:
        passing = Passing(Leg.DOOR, steward, households[load["order_id"]])
        portion = load if is_answered else None
        return await hand_overs.note_door(town, load["units"], passing, labels, portion=portion)

    pick_up = [item for load in loads for item in log(Leg.PICK_UP, load, load["outlet_id"], driver_id)]
    handed = await hand_overs.send(town.voices.of(Role.DRIVER, subject=driver_id), pick_up)
    for steward, theirs in of_steward.items():
        voice = town.voices.of(Role.STEWARD, subject=steward)
        gate = [item for load in theirs for item in log(Leg.GATE, load, driver_id, steward)]
        # At every second door somebody answers and tells the PIN; before the others the bag is photographed.
        doors = [
            await at_door(load, steward, is_answered=number % 2 == 1) for number, load in enumerate(theirs)
        ]
        handed += await hand_overs.send(voice, gate)
        handed += await hand_overs.send(voice, [item for door in doors for item in door])
    return handed
