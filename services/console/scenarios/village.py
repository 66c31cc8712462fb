"""The small village that `make run` loads: enough to order something, and a token for each role."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from services.console.machine.folder import Folder, FolderUnusable
from services.console.scenarios import case as cases
from services.console.scenarios import goods, people, renewal, town, zone
from services.console.scenarios.case import Item
from services.console.scenarios.voices import Voices
from services.contracts.access import Role

Tell = Callable[[str], None]
SLOT_DAYS = 7
CUT_OFF_HOUR = 18


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person needs to try things: the zone, a household, somebody of each role."""

    zone_id: str
    area_id: str
    household_id: str
    outlet_id: str
    steward_id: str
    driver_id: str
    product_id: str
    people: list[str]


async def load(voices: Voices, home: Folder, tell: Tell) -> None:
    """Load the village into a fresh folder; in one that has it, renew what has run out meanwhile."""
    kept, loading = home.path / "village.json", home.path / "village.loading"
    if loading.exists():
        raise FolderUnusable(
            f"a run was ended while it loaded its village into {home.path}:"
            " delete that folder and start again"
        )
    if kept.exists():
        shown = Shown(**json.loads(kept.read_text()))
        await _renew(voices, shown)
        tell("the village of the last run goes on")
    else:
        loading.touch()
        shown = await _found(voices)
        kept.write_text(json.dumps(asdict(shown)))
        loading.unlink()
        tell("a small village is loaded and its zone is open")
    _write_tokens(voices, home, shown)
    await _write_variables(voices, home, shown)


def welcome(gateway: str, home: Folder) -> str:
    """Return what is printed when everything is up."""
    tokens = home.path / "tokens"
    names = ", ".join(path.name for path in sorted(tokens.iterdir()))
    return f"""
[bold green]Baton is ready:[/] {gateway}

  a token for each role   {tokens}/: {names}
  what to try it with     . {home.variables}   (BATON, TOKEN, ZONE, SLOT, PRODUCT, PRICE …)
  the interfaces          {gateway}/v1/openapi/orders.json (catalog, dispatch, whitelist likewise)
  logs of the processes   {home.logs}/

  the menu     curl -s -H "Authorization: Bearer $TOKEN" $BATON/v1/zones/$ZONE/menu
  an order     the README has it, line by line

Ctrl-C stops everything; the next run goes on with its data."""


async def _found(voices: Voices) -> Shown:
    case = cases.load("village")
    place = await town.found(case, voices)
    await goods.list_goods(place)
    await people.gather_people(place)
    opened = await zone.open_zone(place, _slots(datetime.now(UTC)))
    household = place.households[0]
    steward = place.stewards[household["village"]]
    staff = [person for team in place.stewards.values() for person in team] + place.drivers
    return Shown(
        zone_id=opened["zone_id"],
        area_id=place.root_id,
        household_id=household["household_id"],
        outlet_id=next(iter(place.outlets)),
        steward_id=next(
            person
            for number, person in enumerate(steward)
            if household["building_id"] in place.buildings_of(number, household["village"])
        ),
        driver_id=place.drivers[0],
        product_id=next(iter(place.products.values())),
        people=staff,
    )


async def _renew(voices: Voices, shown: Shown) -> None:
    """Add the slots and the tests of the days that have come since; let no duty and no pass run out."""
    commander = voices.of(Role.COMMANDER, zone_ids=[shown.area_id])
    path = f"/v1/zones/{shown.zone_id}/slots"
    there = {datetime.fromisoformat(slot["cut_off_at"]) for slot in (await commander.get(path))["slots"]}
    missing = [
        slot for slot in _slots(datetime.now(UTC)) if datetime.fromisoformat(slot["cut_off_at"]) not in there
    ]
    if missing:
        await commander.post(path, {"slots": missing})
    health_officer = voices.of(Role.HEALTH_OFFICER)
    await people.sample(health_officer, shown.people)
    await renewal.renew_duties(health_officer, shown.people)
    await renewal.renew_fleet(commander, cases.load("village").assumed.plate_prefix)


def _slots(now: datetime) -> list[Item]:
    """Return a slot for each of the next days, ordered until 18:00 (the supermarkets' own cut-off)."""
    first = now.replace(hour=CUT_OFF_HOUR, minute=0, second=0, microsecond=0)
    first += timedelta(days=first < now + timedelta(minutes=30))
    return [zone.slot_at(first + timedelta(days=day)) for day in range(SLOT_DAYS)]


async def _write_variables(voices: Voices, home: Folder, shown: Shown) -> None:
    """Write what a shell needs to try things: the README's first order reads it."""
    resident = voices.of(Role.RESIDENT, household_id=shown.household_id)
    slots = (await resident.get(f"/v1/zones/{shown.zone_id}/slots"))["slots"]
    menu = (await resident.get(f"/v1/zones/{shown.zone_id}/menu"))["lines"]
    price = next(line["price_fen"] for line in menu if line["product_id"] == shown.product_id)
    variables = {
        "BATON": home.address.read_text(),
        "TOKEN": resident.token,
        "ZONE": shown.zone_id,
        "HOUSEHOLD": shown.household_id,
        "SLOT": next(slot["slot_id"] for slot in slots if slot["status"] == "open"),
        "PRODUCT": shown.product_id,
        "PRICE": str(price),
        "OUTLET": shown.outlet_id,
    }
    home.variables.touch(mode=0o600)
    home.variables.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))


def _write_tokens(voices: Voices, home: Folder, shown: Shown) -> None:
    folder = home.path / "tokens"
    folder.mkdir(exist_ok=True, mode=0o700)
    area = [shown.area_id]
    tokens = {
        Role.RESIDENT: voices.of(Role.RESIDENT, household_id=shown.household_id),
        Role.LEADER: voices.of(Role.LEADER, zone_ids=area),
        Role.STEWARD: voices.of(Role.STEWARD, subject=shown.steward_id),
        Role.OUTLET: voices.of(Role.OUTLET, outlet_id=shown.outlet_id),
        Role.DRIVER: voices.of(Role.DRIVER, subject=shown.driver_id),
        Role.HOTLINE: voices.of(Role.HOTLINE, zone_ids=area),
        Role.COMMANDER: voices.of(Role.COMMANDER, zone_ids=area),
    }
    for role in Role:
        voice = tokens.get(role) or voices.of(role)
        path = folder / role.value
        path.touch(mode=0o600)
        path.write_text(voice.token)
