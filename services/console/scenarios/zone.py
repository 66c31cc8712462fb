"""Opening a zone: slots, activation, the outlets' answers, until the channels are open."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from services.console.scenarios import people
from services.console.scenarios.case import Item
from services.console.scenarios.town import Town, each, taken
from services.console.scenarios.voices import Refused

OPENS_WITHIN = 120.0
DUTY_HOURS = 24 * 7
LOOKS_EVERY = 0.25


class NotInTime(Exception):
    """Something that the clock of the play waits for did not come; the message says what is still awaited."""


def slot_at(cut_off_at: datetime, *, minutes: int = 60) -> Item:
    """Return a slot, usually of an hour (the village lists came from 8 to 9), soon after its cut-off."""
    starts_at = cut_off_at + timedelta(minutes=30)
    return {
        "cut_off_at": cut_off_at.isoformat(),
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(minutes=minutes)).isoformat(),
    }


async def open_zone(town: Town, slots: list[Item]) -> Item:
    """Seal the case's villages, let the outlets accept, and return the zone once its channels are open."""
    answers = await town.health_officer.import_all(
        "/v1/duties", "duties", people.duties(town, hours=DUTY_HOURS)
    )
    taken(answers, "duty_id")
    made = await town.commander.post("/v1/zones", {
        "title": f"{town.case.title}封控区",
        "zone_class": town.case.assumed.zone_class.value,
        "community_ids": [town.areas[village.code] for village in town.case.sealed],
        "slots": slots,
        "quota": town.case.assumed.quota.model_dump(),
    })  # fmt: skip
    path = f"/v1/zones/{made['zone_id']}"
    call = {"incident_title": f"{town.case.title} {town.case.name}", "pinned_outlets": _pins(town)}
    await town.commander.post(f"{path}/activation", call)
    deadline = asyncio.get_running_loop().time() + OPENS_WITHIN
    while asyncio.get_running_loop().time() < deadline:
        await _let_outlets_accept(town, path)
        zone: dict[str, Any] = await town.commander.get(path)
        if zone["status"] == "open":
            return zone
        await asyncio.sleep(LOOKS_EVERY)
    raise NotInTime(f"the channels did not open within {OPENS_WITHIN:.0f} s; awaited: {zone['awaits']}")


def _pins(town: Town) -> list[Item]:
    """Return the largest shop, where the commander has a reason to insist on it."""
    reason = town.case.assumed.largest_pinned_because
    largest = max(town.outlets.values(), key=lambda shop: int(shop["capacity_orders"]))
    return [{"outlet_id": largest["outlet_id"], "reason": reason}] if reason else []


async def _let_outlets_accept(town: Town, path: str) -> None:
    try:
        assignments = await town.commander.list_all(f"{path}/assignments")
    except Refused:  # catalog has not heard of the zone yet
        return
    asked = [assignment for assignment in assignments if assignment["status"] == "asked"]

    async def accept(assignment: Item) -> None:
        outlet_id = assignment["outlet_id"]
        await town.outlet(outlet_id).post(
            f"/v1/outlets/{outlet_id}/assignments/{assignment['assignment_id']}/acceptance",
            {"capacity_orders": assignment["asked_orders"]},
        )

    await each(asked, accept)


async def wait_until_closed(town: Town, zone_id: str) -> None:
    """Return when every slot of a zone is closed: its cut-off has passed and each order has its decision."""
    while True:
        slots = (await town.commander.get(f"/v1/zones/{zone_id}/slots"))["slots"]
        if all(slot["status"] == "closed" for slot in slots):
            return
        latest = max(datetime.fromisoformat(slot["cut_off_at"]) for slot in slots)
        if datetime.now(UTC) > latest + timedelta(seconds=OPENS_WITHIN):
            raise NotInTime(f"a slot did not close within {OPENS_WITHIN:.0f} s of its cut-off: {slots}")
        await asyncio.sleep(LOOKS_EVERY)
