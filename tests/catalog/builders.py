"""Values of catalog that are valid by default; a test overrides only what matters to it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from services.catalog.outlets.domain import Facts, Licence, LicenceKind, Risk
from services.contracts.orders import ZoneClosed, ZoneOpened
from services.contracts.values import Community, OutletKind, Point, Slot, ZoneClass
from services.kit.bus.records import Received
from services.kit.event import Event
from services.kit.ids import new_id
from tests.serving import headers

BUSINESS, FOOD, DRUG = LicenceKind.BUSINESS, LicenceKind.FOOD, LicenceKind.DRUG
TOWN_HALL = "town-hall"
BEIZANG = Point(lat=39.66, lon=116.33)


def make_facts(**given: Any) -> Facts:
    plain: dict[str, Any] = {
        "external_id": "shop-1",
        "name": "北臧村超市",
        "kind": OutletKind.SUPERMARKET,
        "position": BEIZANG,
        "scale_m2": 800,
        "capacity_orders": 300,
        "reserve_person_days": 6000,
        "licences": (Licence(BUSINESS, "B1", None), Licence(FOOD, "F1", None)),
        "risk": Risk.LOW,
    }
    return Facts(**(plain | given))


def make_outlet(**given: Any) -> dict[str, Any]:
    """An outlet as a client sends it, with every licence that any kind needs."""
    plain: dict[str, Any] = {
        "external_id": "shop-1",
        "name": "北臧村超市",
        "kind": "supermarket",
        "position": {"lat": BEIZANG.lat, "lon": BEIZANG.lon},
        "scale_m2": 800,
        "capacity_orders": 300,
        "reserve_person_days": 6000,
        "licences": [
            {"kind": "business", "number": "B1"},
            {"kind": "food", "number": "F1"},
            {"kind": "drug", "number": "D1"},
        ],
        "risk": "low",
    }
    return plain | given


async def import_outlets(
    client: httpx.AsyncClient, *outlets: dict[str, Any], subject: str = TOWN_HALL
) -> list[UUID]:
    """Import outlets and return their ids, in the order given."""
    answer = await client.post(
        "/v1/outlets", json={"outlets": outlets}, headers=headers("commander", subject=subject)
    )
    assert answer.status_code == 200, answer.text
    return [UUID(item["outlet_id"]) for item in answer.json()["items"]]


async def qualify_outlets(client: httpx.AsyncClient, *outlets: dict[str, Any]) -> list[UUID]:
    """Import outlets, sign their pledges, qualify them; return their ids, in the order given."""
    ids = await import_outlets(client, *outlets)
    for outlet_id in ids:
        pledge = {"text_version": "2022-04", "signed_by": "王店长"}
        for path, body in (("pledge", pledge), ("qualification", {})):
            answer = await client.post(
                f"/v1/outlets/{outlet_id}/{path}", json=body, headers=headers("commander")
            )
            assert answer.status_code == 200, answer.text
    return ids


def make_zone_opened(**given: Any) -> ZoneOpened:
    """A sealed village of 100 households that needs a supermarket, activated ten seconds ago."""
    now = datetime.now(UTC)
    zone_id = given.get("zone_id") or new_id()
    community = Community(
        community_id=new_id(),
        name="马村",
        gate=BEIZANG,
        head_count=262,
        households=100,
        building_ids=(new_id(),),
    )
    slot = Slot(
        slot_id=new_id(),
        starts_at=now + timedelta(hours=3),
        ends_at=now + timedelta(hours=5),
        cut_off_at=now + timedelta(hours=1),
    )
    plain: dict[str, Any] = {
        "zone_id": zone_id,
        "incident_id": new_id(),
        "title": "马村",
        "zone_class": ZoneClass.SEALED,
        "path": (new_id(), community.community_id, zone_id),
        "communities": (community,),
        "slots": (slot,),
        "needed_kinds": (OutletKind.SUPERMARKET,),
        "activated_at": now - timedelta(seconds=10),
    }
    return ZoneOpened(**(plain | given))


def make_zone_closed(opened: ZoneOpened) -> ZoneClosed:
    return ZoneClosed(zone_id=opened.zone_id, incident_id=opened.incident_id)


def make_received(event: Event, *, sequence: int = 1) -> Received:
    """An event as the bus brings it."""
    return Received(
        topic=event.topic,
        key=event.key,
        value=event.model_dump_json().encode(),
        event_id=new_id(),
        name=event.name,
        sequence=sequence,
        recorded_at=datetime.now(UTC),
        correlation_id="tests",
    )
