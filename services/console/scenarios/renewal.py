"""What a village was given only for a time: duties, shifts and passes that end soon last longer."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from services.console.scenarios import people, zone
from services.console.scenarios.case import Item
from services.console.scenarios.town import taken
from services.console.scenarios.voices import Voice

SOON: Final = timedelta(days=1)

# What a vehicle's view says beside what is imported of it.
FATE: Final = {"vehicle_id", "lost_at", "lost_because", "returned_at", "returned_by"}


async def renew_duties(health_officer: Voice, person_ids: Collection[str]) -> None:
    """Let these people's duties that end soon last another week."""
    duties = await health_officer.list_all("/v1/duties")
    theirs = [duty for duty in duties if duty["person_id"] in person_ids]
    renewed = _prolong(theirs, "ends_at", timedelta(hours=zone.DUTY_HOURS), without={"duty_id"})
    taken(await health_officer.import_all("/v1/duties", "duties", renewed), "duty_id")


async def renew_fleet(commander: Voice, plate_prefix: str) -> None:
    """Let shifts and passes of these plates that end soon last another month, but those of lost vehicles."""
    vehicles = {
        vehicle["vehicle_id"]: vehicle
        for vehicle in await commander.list_all("/v1/vehicles")
        if vehicle["plate"].startswith(plate_prefix) and vehicle["lost_at"] is None
    }
    month = timedelta(days=people.FLEET_DAYS)
    renewed = _prolong(vehicles.values(), "shift_ends_at", month, without=FATE)
    taken(await commander.import_all("/v1/vehicles", "vehicles", renewed), "vehicle_id")
    passes = [
        {**each, "plate": vehicles[each["vehicle_id"]]["plate"]}
        for each in await commander.list_all("/v1/passes")
        if each["vehicle_id"] in vehicles
    ]
    renewed = _prolong(passes, "valid_to", month, without={"pass_id", "vehicle_id"})
    taken(await commander.import_all("/v1/passes", "passes", renewed), "pass_id")


def _prolong(items: Iterable[Item], end: str, by: timedelta, *, without: Collection[str]) -> list[Item]:
    """Return those items that end soon, as they are imported, with an end so far from now."""
    now = datetime.now(UTC)
    return [
        {name: value for name, value in item.items() if name not in without} | {end: (now + by).isoformat()}
        for item in items
        if datetime.fromisoformat(item[end]) < now + SOON
    ]
