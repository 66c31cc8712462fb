"""A mobile market's run: by bus to the work sites, a driver's goods rescued, shared out at the gates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.console.scenarios import hand_overs, people, waves
from services.console.scenarios.case import Item
from services.console.scenarios.hand_overs import Passing
from services.console.scenarios.town import SetUpFailed, Tell, Town, each
from services.console.scenarios.voices import Voice
from services.contracts.access import Role
from services.contracts.dispatch import Leg
from services.kit.ids import new_id

GRAMS_A_JIN = 500


@dataclass
class Run:
    """The loads of a run by their ids, who has each aboard, and what has been done with them."""

    town: Town
    zone: Item
    households: Mapping[str, str]
    loads: dict[str, Item]
    aboard: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    handed: int = 0
    split: int = 0
    in_g: int = 0
    lost_g: int = 0

    def steward_of(self, load: Item) -> str:
        """Return who takes a load over: the first steward of its community."""
        village = next(code for code, area in self.town.areas.items() if area == load["community_id"])
        return self.town.stewards[village][0]

    def steward(self, load: Item) -> Voice:
        """Return the voice of who takes a load over."""
        return self.town.voices.of(Role.STEWARD, subject=self.steward_of(load))

    def driver(self, person_id: str) -> Voice:
        """Return the voice of a driver."""
        return self.town.voices.of(Role.DRIVER, subject=person_id)


async def carry(
    town: Town,
    zone: Item,
    households: Mapping[str, str],
    tell: Tell,
    *,
    in_mid_split: Callable[[], None],
) -> None:
    """Bring every confirmed order to its door by way of the work sites; `households` says whose each is."""
    trips = await waves.plan_wave(town, zone)
    run = Run(town, zone, households, {load["load_id"]: load for load in await waves.list_loads(town, zone)})
    buses, sites = {trip["vehicle_id"] for trip in trips}, _sites(trips)
    crates = sum(load["pieces"] for load in run.loads.values())
    tell(f"{len(run.loads)} loads in {crates} crates;"
         f" {len(trips)} trips of {len(buses)} buses to {len(sites)} work sites planned")  # fmt: skip
    run.labels = await hand_overs.read_labels(
        (town.outlet(load["outlet_id"]), unit) for load in run.loads.values() for unit in load["units"]
    )
    rescued = await _rescue(run, trips)
    tell(f"a driver tested positive with {rescued} loads on board: another has taken them over")
    await _carry_trips(run, in_mid_split)
    _require_all(run)
    tell(f"{run.split} loads split at the gates, {run.lost_g / 1000:.1f} kg of them lost;"
         f" {run.handed} hand-overs recorded")  # fmt: skip
    await waves.wait_until_fulfilled(town, zone)


async def _rescue(run: Run, trips: Sequence[Item]) -> int:
    """Let drivers fall away with goods on board; return how many loads others have taken over from them."""
    rescued = 0
    for trip in _first_trips(trips)[: run.town.case.assumed.suspended_drivers]:
        holder, on_board = trip["driver_id"], waves.loads_of(trip)
        await _pick_up(run, trip)
        await people.record_positive(run.town, [holder])
        takers = await _wait_for_takers(run, holder, on_board)
        for load_id, taker in takers.items():
            units = run.loads[load_id]["units"]
            log = hand_overs.note_all(units, Passing(Leg.PICK_UP, holder, taker), run.labels)
            run.handed += await hand_overs.send(run.driver(taker), log)
            run.aboard[load_id] = taker
        rescued += len(takers)
    await waves.until(lambda: _is_rescued(run), "every rescue to be settled", waves.SETTLES_WITHIN)
    return rescued


async def _wait_for_takers(run: Run, holder: str, load_ids: Sequence[str]) -> dict[str, str]:
    """Return who is to take over each load, once dispatch has planned the rescue."""
    takers: dict[str, str] = {}

    async def planned() -> bool:
        takers.clear()
        for trip in await waves.list_trips(run.town, run.zone):
            driver_id: str = trip["driver_id"]
            takers.update({load_id: driver_id for load_id in waves.loads_of(trip) if load_id in load_ids})
        return takers.keys() == set(load_ids) and holder not in takers.values()

    await waves.until(planned, "somebody to take over a suspended driver's goods", waves.PLANNED_WITHIN)
    return takers


async def _is_rescued(run: Run) -> bool:
    """Say whether all that was on suspended drivers' hands is in others', of all their trips."""
    listed = await run.town.commander.list_all("/v1/rescues", incident_id=run.zone["incident_id"])
    return all(rescue["status"] == "settled" for rescue in listed)


async def _carry_trips(run: Run, in_mid_split: Callable[[], None]) -> None:
    half = len(run.loads) // 2

    async def finish(load_id: str) -> None:
        await _share_out(run, run.loads[load_id], number=order[load_id])
        run.split += 1
        if run.split == half:
            in_mid_split()
        await _to_doors(run, run.loads[load_id])

    order = {load_id: number for number, load_id in enumerate(sorted(run.loads))}
    trips = await waves.list_trips(run.town, run.zone)
    missing = run.loads.keys() - {load_id for trip in trips for load_id in waves.loads_of(trip)}
    if missing:
        raise SetUpFailed(f"{len(missing)} loads are on no trip, the first is {min(missing)}")
    await each(trips, lambda trip: _to_sites(run, trip))
    await each(order, finish)


async def _to_sites(run: Run, trip: Item) -> None:
    """Carry what a trip has to its work sites, where each community's steward takes over."""
    await _pick_up(run, trip)
    for load_id in waves.loads_of(trip):
        load = run.loads[load_id]
        passing = Passing(Leg.GATE, trip["driver_id"], run.steward_of(load))
        log = hand_overs.note_all(load["units"], passing, run.labels)
        run.handed += await hand_overs.send(run.steward(load), log)


async def _pick_up(run: Run, trip: Item) -> None:
    driver_id = trip["driver_id"]
    for load_id in waves.loads_of(trip):
        if load_id in run.aboard:
            continue
        load = run.loads[load_id]
        passing = Passing(Leg.PICK_UP, load["outlet_id"], driver_id)
        log = hand_overs.note_all(load["units"], passing, run.labels)
        run.handed += await hand_overs.send(run.driver(driver_id), log)
        run.aboard[load_id] = driver_id


async def _share_out(run: Run, load: Item, *, number: int) -> None:
    """Let the steward split a load by the group's rule; of some loads something is spoiled."""
    steward, path = run.steward(load), f"/v1/loads/{load['load_id']}"
    manifest = await steward.get(f"{path}/manifest")
    losses, assumed = [], run.town.case.assumed.losses
    if assumed and number % assumed.every_loads == 0:
        item = max(manifest["items"], key=lambda item: (item["units"], item["offer_id"]))
        losses = [{"offer_id": item["offer_id"], "reason": "spoiled", "grams": assumed.spoiled_g}]
    done = await steward.post(f"{path}/split", {
        "split_id": str(new_id()), "steward_id": run.steward_of(load),
        "occurred_at": datetime.now(UTC).isoformat(), "losses": losses,
        "proof": {"kind": "qr", "value": run.labels[load["units"][0]["load_unit_id"]]},
    })  # fmt: skip
    if done["is_breach"] or done["in_g"] != done["portions_g"] + done["loss_g"]:
        raise SetUpFailed(f"a split was not as it should be: {done}")
    run.in_g += done["in_g"]
    run.lost_g += done["loss_g"]


async def _to_doors(run: Run, load: Item) -> None:
    """Hand the portions of a split load over, each at its door with its own proof."""
    steward, path = run.steward(load), f"/v1/loads/{load['load_id']}"
    portions = {one["portion_id"]: one for one in (await steward.get(f"{path}/manifest"))["portions"]}
    bags: dict[str, list[Item]] = {}
    for unit in (await steward.get(path))["units"]:
        if unit["portion_id"] and unit["lines"]:
            bags.setdefault(unit["portion_id"], []).append(unit)
    labels = await hand_overs.read_labels((steward, unit) for units in bags.values() for unit in units)
    log: list[Item] = []
    for number, (portion_id, units) in enumerate(sorted(bags.items())):
        order_id = portions[portion_id]["order_id"]
        passing = Passing(Leg.DOOR, run.steward_of(load), run.households[order_id])
        # At every second door somebody answers and tells the PIN; before the others the bag is photographed.
        asked = {"order_id": order_id, "load_id": load["load_id"]} if number % 2 else None
        log += await hand_overs.note_door(run.town, units, passing, labels, portion=asked)
    run.handed += await hand_overs.send(steward, log)


def _require_all(run: Run) -> None:
    """Raise `SetUpFailed` where what was split is not what the case has, to the gram."""
    market = run.town.case.facts.market
    if market and run.in_g != market.jin * GRAMS_A_JIN:
        raise SetUpFailed(f"{run.in_g} g were split, and the case has {market.jin} jin")


def _first_trips(trips: Sequence[Item]) -> list[Item]:
    """Return each driver's first trip."""
    first: dict[str, Item] = {}
    for trip in sorted(trips, key=lambda trip: (trip["departs_at"], trip["trip_id"])):
        first.setdefault(trip["driver_id"], trip)
    return list(first.values())


def _sites(trips: Sequence[Item]) -> set[str]:
    return {stop["place_id"] for trip in trips for stop in trip["stops"] if stop["kind"] == "gate"}
