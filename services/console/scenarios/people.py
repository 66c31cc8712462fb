"""Who carries: stewards, drivers, village teams; their tests, duties, vehicles and passes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.console.scenarios.case import Item
from services.console.scenarios.town import SetUpFailed, Town, each, taken
from services.console.scenarios.voices import Voice
from services.contracts.values import ZoneClass

COMMITMENT = "志愿服务承诺书-1"
TEST_MAX_AGE_HOURS = 48
FLEET_DAYS = 30


async def gather_people(town: Town) -> None:
    """Bring in the whitelist, cleared by a fresh test and a signed commitment, and the vehicles."""
    answers = await town.health_officer.import_all("/v1/people", "people", _staff(town))
    ids = taken(answers, "person_id")
    stewards = town.case.assumed.stewards_a_village
    for place, village in enumerate(town.case.sealed):
        town.stewards[village.code] = ids[place * stewards : (place + 1) * stewards]
    first_driver = stewards * len(town.case.sealed)
    town.drivers = ids[first_driver : first_driver + town.case.assumed.drivers]
    await _set_policies(town)
    await each(ids, lambda person: town.health_officer.post(
        f"/v1/people/{person}/commitment",
        {"text_version": COMMITMENT, "signed_at": datetime.now(UTC).isoformat()},
    ))  # fmt: skip
    await sample(town.health_officer, ids)
    await _gather_vehicles(town)


def _staff(town: Town) -> list[Item]:
    """Return everyone: the villages' stewards first, then the drivers, then the teams."""
    case = town.case
    stewards = [
        {"external_id": f"{village.code}-s{number}", "role": "steward",
         "name": f"{village.title}楼管{number}", "phone": f"1980000{number:04d}",
         "home_area_id": town.areas[village.code]}
        for village in case.sealed
        for number in range(case.assumed.stewards_a_village)
    ]  # fmt: skip
    drivers = [
        {"external_id": f"{case.name}-driver-{number}", "role": "driver",
         "name": f"司机{number}", "phone": f"1970000{number:04d}"}
        for number in range(case.assumed.drivers)
    ]  # fmt: skip
    teams = [
        {"external_id": f"{case.name}-team-{number}", "role": "runner",
         "name": f"队员{number}", "phone": f"1960000{number:04d}"}
        for number in range(case.scale.whitelisted - len(stewards) - len(drivers))
    ]  # fmt: skip
    return [*stewards, *drivers, *teams]


async def _set_policies(town: Town) -> None:
    for zone_class in ZoneClass:
        await town.health_officer.post("/v1/policies", {
            "zone_class": zone_class.value, "roles": ["driver", "steward", "runner"],
            "valid_from": "2022-11-01T00:00:00Z", "pcr_max_age_hours": TEST_MAX_AGE_HOURS,
            "commitment_version": COMMITMENT, "legal_ref": "assumed: 48 h, signed commitment",
        })  # fmt: skip


async def sample(health_officer: Voice, person_ids: Sequence[str]) -> None:
    """Record a fresh negative test of each person."""
    sampled = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    checks = [
        {"person_id": person, "kind": "pcr", "outcome": "negative", "sampled_at": sampled,
         "reference": f"{person}-{sampled}"}
        for person in person_ids
    ]  # fmt: skip
    for answer in await health_officer.import_all("/v1/checks", "checks", checks):
        if answer["outcome"] == "refused":
            raise SetUpFailed(f"a test was refused: {answer}")


async def record_positive(town: Town, person_ids: Sequence[str]) -> None:
    """Record a positive test of each person: from now on they may touch nothing."""
    now = datetime.now(UTC).isoformat()
    checks = [
        {"person_id": person, "kind": "antigen", "outcome": "positive", "sampled_at": now,
         "reference": f"{person}-{now}"}
        for person in person_ids
    ]  # fmt: skip
    await town.health_officer.import_all("/v1/checks", "checks", checks)


async def _gather_vehicles(town: Town) -> None:
    now, case = datetime.now(UTC), town.case
    until = (now + timedelta(days=FLEET_DAYS)).isoformat()
    plates = [f"{case.assumed.plate_prefix}{number:05d}" for number in range(case.assumed.vehicles)]
    vehicles = [
        {"plate": plate, "kind": case.assumed.vehicle_kind, "capacity_g": case.assumed.vehicle_capacity_g,
         "capacity_pieces": case.assumed.vehicle_capacity_pieces, "base": case.assumed.centre.model_dump(),
         "shift_starts_at": (now - timedelta(hours=1)).isoformat(),
         "shift_ends_at": until}
        for plate in plates
    ]  # fmt: skip
    town.vehicles = taken(await town.commander.import_all("/v1/vehicles", "vehicles", vehicles), "vehicle_id")
    passes = [
        {"number": f"{case.district}{number:06d}", "plate": plate, "goods_class": "生活必需品",
         "origin_code": case.district, "destination_code": case.district,
         "valid_from": (now - timedelta(hours=1)).isoformat(), "valid_to": until,
         "crew": [town.drivers[number % len(town.drivers)]]}
        for number, plate in enumerate(plates)
    ]  # fmt: skip
    taken(await town.commander.import_all("/v1/passes", "passes", passes), "pass_id")


def duties(town: Town, *, hours: int) -> list[Item]:
    """Return the stewards' duties from a minute ago on: each building of each sealed village has one."""
    now: datetime = datetime.now(UTC)
    times: dict[str, Any] = {
        "starts_at": (now - timedelta(minutes=1)).isoformat(),
        "ends_at": (now + timedelta(hours=hours)).isoformat(),
    }
    return [
        {"person_id": person, "role": "steward", "community_id": town.areas[village],
         "building_ids": town.buildings_of(number, village), **times}
        for village, people in town.stewards.items()
        for number, person in enumerate(people)
    ]  # fmt: skip
