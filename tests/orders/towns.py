"""A small town in the register, for tests that need people to live somewhere."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from tests.serving import headers


@dataclass(frozen=True, kw_only=True)
class Town:
    """A town (a street of the tree) with villages, each with buildings, each with households."""

    town_id: UUID
    villages: list[UUID]
    buildings: dict[UUID, list[UUID]]
    households: dict[UUID, list[UUID]]

    @property
    def all_buildings(self) -> list[UUID]:
        return [building for village in self.villages for building in self.buildings[village]]

    def commander(self, **given: Any) -> dict[str, str]:
        """Headers of a commander whose role is on the town."""
        return headers("commander", zone_ids=[self.town_id], **given)


def area(code: str, level: str, parent: str | None = None, **given: Any) -> dict[str, Any]:
    return {
        "code": code,
        "title": f"area {code}",
        "level": level,
        "parent_code": parent,
        "head_count": 10,
        **given,
    }


def household(external_id: str, building_id: UUID, **given: Any) -> dict[str, Any]:
    contact = {"name": f"name of {external_id}", "phone": f"1380000{external_id[-4:]:0>4}"}
    rest = {"unit": "2-301", "persons": 3, "contact": contact}
    return {"external_id": external_id, "building_id": str(building_id), **rest, **given}


async def plant_town(
    client: httpx.AsyncClient,
    *,
    villages: int = 1,
    buildings: int = 1,
    households: int = 1,
    prefix: str = "T",
) -> Town:
    """Import a town; every village has a gate."""
    wanted = [area(prefix, "street")]
    for village in range(villages):
        code = f"{prefix}-{village}"
        wanted.append(area(code, "community", prefix, gate={"lat": 39.65, "lon": 116.28}, head_count=1200))
        wanted += [area(f"{code}-{number}", "building", code) for number in range(buildings)]
    answer = await client.post("/v1/areas", json={"areas": wanted}, headers=headers("commander"))
    assert answer.status_code == 200, answer.text
    ids = {item["code"]: UUID(item["area_id"]) for item in answer.json()["items"]}
    of_village = {
        ids[f"{prefix}-{village}"]: [ids[f"{prefix}-{village}-{number}"] for number in range(buildings)]
        for village in range(villages)
    }
    lived_in = [building for each in of_village.values() for building in each]
    town = Town(town_id=ids[prefix], villages=list(of_village), buildings=of_village, households={})
    if not households:
        return town
    people = [
        household(f"{prefix}{place:03}{number:04}", building)
        for place, building in enumerate(lived_in)
        for number in range(households)
    ]
    answer = await client.post("/v1/households", json={"households": people}, headers=town.commander())
    assert answer.status_code == 200, answer.text
    for person, item in zip(people, answer.json()["items"], strict=True):
        town.households.setdefault(UUID(person["building_id"]), []).append(UUID(item["household_id"]))
    return town
