"""A zone on its way to open channels, and what the others say to it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from services.contracts.access import Role
from services.contracts.catalog import ZoneSupplied
from services.contracts.dispatch import SlotCapacityStated
from services.contracts.values import AssignedOutlet, Clearance, MissingSupply, OutletKind, Point, ZoneClass
from services.contracts.whitelist import DutyStated, PersonCleared, PersonSuspended
from services.kit.ids import new_id
from tests.orders.towns import Town
from tests.serving import headers


def slot_times(*, cut_off: timedelta = timedelta(hours=1), hours: int = 2) -> dict[str, str]:
    cut_off_at = datetime.now(UTC) + cut_off
    starts_at = cut_off_at + timedelta(hours=hours)
    return {
        "cut_off_at": cut_off_at.isoformat(),
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(hours=3)).isoformat(),
    }


def zone_body(town: Town, **given: Any) -> dict[str, Any]:
    wanted = {
        "title": "three villages",
        "zone_class": "sealed",
        "community_ids": [str(village) for village in town.villages],
        "slots": [slot_times()],
        "quota": {"orders": 2, "units": 20},
    }
    return wanted | given


async def prepare(client: httpx.AsyncClient, town: Town, **given: Any) -> dict[str, Any]:
    answer = await client.post(
        "/v1/zones", json=zone_body(town, **given), headers=town.commander(key=str(new_id()))
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


async def activate(client: httpx.AsyncClient, town: Town, zone_id: str, **given: Any) -> httpx.Response:
    return await client.post(
        f"/v1/zones/{zone_id}/activation", json=given, headers=town.commander(key=str(new_id()))
    )


async def close(client: httpx.AsyncClient, town: Town, zone_id: str, **given: Any) -> httpx.Response:
    body = {"reason": "lifted", **given}
    return await client.post(
        f"/v1/zones/{zone_id}/closure", json=body, headers=town.commander(key=str(new_id()))
    )


async def show(client: httpx.AsyncClient, zone_id: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/zones/{zone_id}", headers=headers("resident"))
    assert answer.status_code == 200, answer.text
    return answer.json()


def supplied(zone_id: str, incident_id: str, *, missing: tuple[MissingSupply, ...] = ()) -> ZoneSupplied:
    outlet = AssignedOutlet(
        outlet_id=new_id(),
        name="shop",
        kind=OutletKind.SUPERMARKET,
        position=Point(lat=39.6, lon=116.3),
        rank=1,
        capacity_orders=400,
    )
    return ZoneSupplied(
        zone_id=UUID(zone_id),
        incident_id=UUID(incident_id),
        outlets=(outlet,),
        missing=missing,
        seconds_to_assign=7.5,
    )


def capacity(zone: dict[str, Any], incident_id: str, *, portions: int = 300) -> SlotCapacityStated:
    return SlotCapacityStated(
        slot_id=UUID(zone["slot_ids"][0]),
        zone_id=UUID(zone["zone_id"]),
        incident_id=UUID(incident_id),
        portions=portions,
    )


def suspended(person_id: UUID) -> PersonSuspended:
    return PersonSuspended(person_id=person_id, role=Role.STEWARD, codes=("whitelist.health_requirement",))


def cleared(person_id: UUID, *, ends: timedelta = timedelta(hours=40)) -> PersonCleared:
    now = datetime.now(UTC)
    sooner = Clearance(zone_class=ZoneClass.SEALED, valid_until=now + ends - timedelta(hours=1))
    later = Clearance(zone_class=ZoneClass.PRECAUTION, valid_until=now + ends)
    return PersonCleared(person_id=person_id, role=Role.STEWARD, clearances=(sooner, later))


def duty(
    town: Town,
    *buildings: UUID,
    starts: timedelta = timedelta(hours=-1),
    ends: timedelta = timedelta(hours=8),
    **given: Any,
) -> DutyStated:
    now = datetime.now(UTC)
    wanted: dict[str, Any] = {
        "duty_id": new_id(),
        "person_id": new_id(),
        "role": Role.STEWARD,
        "community_id": town.villages[0],
        "building_ids": buildings,
        "starts_at": now + starts,
        "ends_at": now + ends,
    }
    return DutyStated(**(wanted | given))
