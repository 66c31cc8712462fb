"""A sealed day, from the ledger to every door: villages sealed, orders taken, carried, counted."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from services.console.scenarios import deliveries, goods, orders, people, report, town, zone
from services.console.scenarios.case import Case, Item
from services.console.scenarios.orders import Day
from services.console.scenarios.report import Report
from services.console.scenarios.town import SetUpFailed, Town
from services.console.scenarios.voices import Refused, Voices
from services.console.scenarios.zone import NotInTime

Tell = Callable[[str], None]


async def play(case: Case, voices: Voices, tell: Tell, *, bus: str) -> Report:
    """Play a case and return its situation report, also when the day went wrong: then it says how."""
    place = await _set_up(case, voices, tell)
    cut_off = datetime.now(UTC) + timedelta(seconds=case.assumed.cut_off_seconds)
    opened = await zone.open_zone(place, [zone.slot_at(cut_off)])
    tell(f"{', '.join(case.facts.sealed)} sealed: outlets assigned after {opened['seconds_to_assign']:.1f} s,"
         f" channels open after {opened['seconds_to_open']:.1f} s (the field's best: 900 s)")  # fmt: skip
    day = await orders.take_orders(place, opened)
    tell(f"{len(day.order_ids)} orders accepted, {day.refused} refused at once {dict(day.refusals) or ''}"
         f" {len(day.group_ids)} groups, {len(day.idle)} households want nothing")  # fmt: skip
    failure = None
    try:
        await _carry(place, opened, day, tell)
    except (NotInTime, SetUpFailed, Refused) as went_wrong:
        failure = str(went_wrong)
        tell(failure)
    return await report.gather(place, opened, day, bus=bus, failure=failure)


async def _set_up(case: Case, voices: Voices, tell: Tell) -> Town:
    place = await town.found(case, voices)
    tell(f"{len(case.facts.villages)} villages, {len(place.households)} households registered;"
         f" {case.facts.shops} shops in the ledger, {len(place.outlets)} qualified")  # fmt: skip
    await goods.list_goods(place)
    tell(f"{len(place.products)} products on sale; {place.price_refusals} prices above their cap refused")
    await people.gather_people(place)
    tell(f"{case.facts.whitelisted} people on the whitelist, {len(place.vehicles)} vehicles with passes")
    return place


async def _carry(place: Town, opened: Item, day: Day, tell: Tell) -> None:
    await zone.wait_until_closed(place, opened["zone_id"])
    decided = await orders.wait_until_decided(place, day.order_ids)
    refused = [order for order in decided if order["status"] == "refused"]
    confirmed = len(decided) - len(refused)
    tell(f"cut-off: {confirmed} orders confirmed, {len(refused)} refused with their reasons")
    await orders.ask_refused(place, refused)

    trips = await deliveries.plan_wave(place, opened)
    tell(f"{len(trips)} trips planned and committed")
    await deliveries.suspend_drivers(place, opened)
    tell(f"{place.case.assumed.suspended_drivers} driver tested positive: the work went to others")
    households = {order["order_id"]: order["household_id"] for order in decided}
    handed = await deliveries.carry(place, opened, households)
    tell(f"{handed} hand-overs recorded over three legs")
    await deliveries.wait_until_fulfilled(place, opened)
