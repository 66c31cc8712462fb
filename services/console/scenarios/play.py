"""A case, from the ledger to every door: a town set up, sealed, its orders taken, carried, counted."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from services.console.scenarios import (
    goods,
    market_run,
    orders,
    people,
    report,
    sealed_day,
    town,
    work_sites,
    zone,
)
from services.console.scenarios.case import Case
from services.console.scenarios.report import Report
from services.console.scenarios.town import SetUpFailed, Tell, Town
from services.console.scenarios.voices import Refused, Voices
from services.console.scenarios.zone import NotInTime


def _nothing() -> None:
    """Do nothing: what happens in the middle of an ordinary day."""


async def play(
    case: Case, voices: Voices, tell: Tell, *, bus: str, in_mid_split: Callable[[], None] = _nothing
) -> Report:
    """Play a case and return its situation report, also when the day went wrong: then it says how.

    `in_mid_split` is called while a market's stewards share out what has come.
    """
    place = await _set_up(case, voices, tell)
    cut_off = datetime.now(UTC) + timedelta(seconds=case.assumed.cut_off_seconds)
    opened = await zone.open_zone(place, [zone.slot_at(cut_off, minutes=case.assumed.slot_minutes)])
    tell(f"{_names(case)} sealed: outlets assigned after {opened['seconds_to_assign']:.1f} s,"
         f" channels open after {opened['seconds_to_open']:.1f} s (the field's best: 900 s)")  # fmt: skip
    day = await orders.take_orders(place, opened)
    tell(f"{len(day.order_ids)} orders accepted, {day.refused} refused at once {dict(day.refusals) or ''}"
         f" {len(day.group_ids)} groups, {len(day.idle)} households want nothing")  # fmt: skip
    failure = None
    try:
        await orders.see_decided(place, opened, day, tell)
        households = {order["order_id"]: order["household_id"] for order in day.decided}
        if case.facts.market:
            await market_run.carry(place, opened, households, tell, in_mid_split=in_mid_split)
        else:
            await sealed_day.carry(place, opened, households, tell)
    except (NotInTime, SetUpFailed, Refused) as went_wrong:
        failure = str(went_wrong)
        tell(failure)
    return await report.gather(place, opened, day, bus=bus, failure=failure)


async def _set_up(case: Case, voices: Voices, tell: Tell) -> Town:
    place = await town.found(case, voices)
    tell(f"{len(case.facts.villages)} villages, {len(place.households)} households registered;"
         f" {case.scale.shops} shops in the ledger, {len(place.outlets)} qualified")  # fmt: skip
    await goods.list_goods(place)
    tell(f"{len(place.products)} products on sale; {place.price_refusals} prices above their cap refused")
    await people.gather_people(place)
    tell(f"{case.scale.whitelisted} people on the whitelist, {len(place.vehicles)} vehicles with passes")
    if case.facts.market:
        await work_sites.lay_out(place)
        tell(f"{case.facts.market.work_sites} work sites serve {len(case.sealed)} communities")
    return place


def _names(case: Case) -> str:
    titles = [village.title for village in case.sealed]
    return ", ".join(titles) if len(titles) <= 3 else f"{len(titles)} communities of {case.title}"  # noqa: PLR2004 - a line's length
