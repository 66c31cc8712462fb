"""Setting a town up before anything happens: ledger, goods, register, people, vehicles."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from services.console.scenarios.case import Case, Item
from services.console.scenarios.voices import AT_ONCE, Refused, Voice, Voices
from services.contracts.access import Role

T = TypeVar("T")
R = TypeVar("R")

Tell = Callable[[str], None]

PLEDGE = "保供稳价承诺书-1"


class SetUpFailed(Exception):
    """Something of the case was refused that should have been taken; the message names the first."""


@dataclass
class Town:
    """A town that is set up: who is who, by the ids that Baton gave."""

    case: Case
    voices: Voices
    commander: Voice
    regulator: Voice
    health_officer: Voice
    areas: dict[str, str] = field(default_factory=dict)
    households: list[Item] = field(default_factory=list)
    outlets: dict[str, Item] = field(default_factory=dict)
    products: dict[str, str] = field(default_factory=dict)
    stewards: dict[str, list[str]] = field(default_factory=dict)
    drivers: list[str] = field(default_factory=list)
    vehicles: list[str] = field(default_factory=list)
    price_refusals: int = 0

    @property
    def root_id(self) -> str:
        """Return the area that covers everything."""
        return self.areas[self.case.facts.areas[0].code]

    def buildings_of(self, steward: int, village: str) -> list[str]:
        """Return the buildings of a village's n-th steward: shared out in turn."""
        count = self.case.assumed.buildings_a_village
        return [
            self.areas[f"{village}-{number:02d}"]
            for number in range(1, count + 1)
            if number % self.case.assumed.stewards_a_village == steward
        ]

    def steward_of(self, building_id: str) -> str:
        """Return who has the duty at a building."""
        for village, people in self.stewards.items():
            for number, person in enumerate(people):
                if building_id in self.buildings_of(number, village):
                    return person
        raise LookupError(f"building {building_id} has no steward")

    def outlet(self, outlet_id: str) -> Voice:
        """Return the voice of an outlet."""
        return self.voices.of(Role.OUTLET, outlet_id=outlet_id)


async def found(case: Case, voices: Voices) -> Town:
    """Register the areas and households of a case, and keep its ledger of shops."""
    town = Town(
        case=case,
        voices=voices,
        commander=voices.of(Role.COMMANDER),
        regulator=voices.of(Role.REGULATOR),
        health_officer=voices.of(Role.HEALTH_OFFICER),
    )
    await _register(town)
    await _keep_ledger(town)
    return town


async def each(items: Iterable[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
    """Do the same for many at once, as many people would; the answers are in the order of the items."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def pass_gate(item: T) -> R:
        async with gate:
            return await work(item)

    # A group: the first that fails ends the others, and its error is the one that is told.
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(pass_gate(item)) for item in items]
    except* (Refused, SetUpFailed) as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def taken(answers: Sequence[Item], id_name: str) -> list[str]:
    """Return the ids of a batch's answers; raise `SetUpFailed` where one was refused."""
    refused = [answer for answer in answers if answer["outcome"] == "refused"]
    if refused:
        raise SetUpFailed(f"{len(refused)} of {len(answers)} were refused, the first: {refused[0]}")
    return [answer[id_name] for answer in answers]


async def _register(town: Town) -> None:
    areas = list(town.case.areas())
    # The root is nobody's yet: who lays the tree covers what he lays.
    answers = await town.commander.import_all("/v1/areas", "areas", areas)
    town.areas = dict(zip([area["code"] for area in areas], taken(answers, "area_id"), strict=True))
    town.commander = town.voices.of(Role.COMMANDER, zone_ids=[town.root_id])
    households = list(town.case.households())
    answers = await town.commander.import_all("/v1/households", "households", households)
    ids = taken(answers, "household_id")
    town.households = [
        {
            "household_id": household_id,
            "building_id": town.areas[household["building_code"]],
            "village": household["building_code"].rpartition("-")[0],
        }
        for household, household_id in zip(households, ids, strict=True)
    ]


async def _keep_ledger(town: Town) -> None:
    shops = list(town.case.shops())
    answers = await town.commander.import_all("/v1/outlets", "outlets", shops)
    listed = [
        {**shop, "outlet_id": outlet_id}
        for shop, outlet_id in zip(shops, taken(answers, "outlet_id"), strict=True)
    ]

    async def sign_and_qualify(shop: Item) -> Item | None:
        path = f"/v1/outlets/{shop['outlet_id']}"
        pledge = {"text_version": PLEDGE, "signed_by": shop["name"]}
        await town.outlet(shop["outlet_id"]).post(f"{path}/pledge", pledge)
        try:
            await town.regulator.post(f"{path}/qualification")
        except Refused:
            return None
        return shop

    qualified = [shop for shop in await each(listed, sign_and_qualify) if shop is not None]
    if len(qualified) != town.case.scale.qualified:
        raise SetUpFailed(f"{len(qualified)} shops qualify, and the case has {town.case.scale.qualified}")
    town.outlets = {shop["outlet_id"]: shop for shop in qualified}
    await town.commander.post("/v1/emergency-outlets")
