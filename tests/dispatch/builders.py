"""What others say to dispatch, valid by default; and how it is told."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.contracts.access import Role
from services.contracts.orders import OrderCancelled, OrderConfirmed, ZoneOpened
from services.contracts.values import Clearance, Community, GivenLine, OutletKind, Point, Slot, ZoneClass
from services.contracts.whitelist import DutyStated, PersonCleared, PersonSuspended
from services.dispatch.consumers import HANDLERS
from services.dispatch.loads import application as loads_application
from services.kit import database
from services.kit.database import Sessions
from services.kit.event import Arrived, Event
from services.kit.ids import new_id

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
GATE = Point(lat=39.64, lon=116.28)


def arrived(event: Event, sequence: int = 1, at: datetime = NOW - HOUR) -> Arrived[Any]:
    return Arrived(event, sequence, new_id(), at, "tests")


async def tell(sessions: Sessions, *events: Event, sequence: int = 1, at: datetime = NOW - HOUR) -> None:
    """Let dispatch hear events of one type together, said at a moment; they are of different keys."""
    async with sessions.begin() as session:
        now = await database.now(session)
        await HANDLERS[type(events[0])](session, [arrived(event, sequence, at) for event in events], now)


async def pack(sessions: Sessions) -> int:
    """Let dispatch pack every group that is ready; return how many there were."""
    packed = 0
    while True:
        async with sessions.begin() as session:
            if not await loads_application.pack_group(session, await database.now(session)):
                return packed
        packed += 1


async def rows(sessions: Sessions, query: str, **given: Any) -> Sequence[Any]:
    async with sessions() as session:
        return (await session.execute(text(query), given)).all()


async def said(sessions: Sessions, name: str) -> list[tuple[int, dict[str, Any]]]:
    """What dispatch has said under a wire name: sequence and payload, in order."""
    found = await rows(
        sessions, "SELECT version, payload FROM outbox_event WHERE type = :name ORDER BY id", name=name
    )
    return [(row.version, row.payload) for row in found]


def make_slot(**given: Any) -> Slot:
    wanted = {
        "slot_id": new_id(),
        "starts_at": NOW + 2 * HOUR,
        "ends_at": NOW + 4 * HOUR,
        "cut_off_at": NOW + HOUR,
    }
    return Slot(**{**wanted, **given})


def make_zone(*, head_count: int = 900, slots: Sequence[Slot] = (), **given: Any) -> ZoneOpened:
    zone_id = given.pop("zone_id", None) or new_id()
    town_id = given.pop("town_id", None) or new_id()
    community = Community(
        community_id=new_id(),
        name="马村",
        gate=GATE,
        head_count=head_count,
        households=head_count // 3,
        building_ids=(new_id(),),
    )
    wanted = {
        "zone_id": zone_id,
        "incident_id": new_id(),
        "title": "北臧村镇",
        "zone_class": ZoneClass.SEALED,
        "path": (zone_id, town_id, community.community_id),
        "communities": (community,),
        "slots": tuple(slots) or (make_slot(),),
        "needed_kinds": (OutletKind.SUPERMARKET,),
        "activated_at": NOW,
    }
    return ZoneOpened(**{**wanted, **given})


def make_line(**given: Any) -> GivenLine:
    wanted = {
        "line": 1,
        "product_id": new_id(),
        "name": "大白菜",
        "offer_id": new_id(),
        "outlet_id": new_id(),
        "quantity": 2,
        "grams": 1500,
        "price_fen": 450,
    }
    return GivenLine(**{**wanted, **given})


def make_order(zone: ZoneOpened, *lines: GivenLine, **given: Any) -> OrderConfirmed:
    community = zone.communities[0]
    wanted = {
        "order_id": new_id(),
        "incident_id": zone.incident_id,
        "zone_id": zone.zone_id,
        "slot_id": zone.slots[0].slot_id,
        "community_id": community.community_id,
        "building_id": community.building_ids[0],
        "household_id": new_id(),
        "lines": lines or (make_line(),),
    }
    return OrderConfirmed(**{**wanted, **given})


def make_cancelled(order: OrderConfirmed) -> OrderCancelled:
    return OrderCancelled(
        order_id=order.order_id, incident_id=order.incident_id, reservation_id=order.reservation_id
    )


def make_cleared(person_id: UUID | None = None, role: Role = Role.DRIVER, **given: Any) -> PersonCleared:
    until = given.pop("until", NOW + 24 * HOUR)
    wanted = {
        "person_id": person_id or new_id(),
        "role": role,
        "clearances": tuple(Clearance(zone_class=each, valid_until=until) for each in ZoneClass),
    }
    return PersonCleared(**{**wanted, **given})


def make_suspended(person_id: UUID, role: Role = Role.DRIVER) -> PersonSuspended:
    return PersonSuspended(person_id=person_id, role=role, codes=("whitelist.pcr_positive",))


def make_duty(person_id: UUID, zone: ZoneOpened, **given: Any) -> DutyStated:
    community = zone.communities[0]
    wanted = {
        "duty_id": new_id(),
        "person_id": person_id,
        "role": Role.STEWARD,
        "community_id": community.community_id,
        "building_ids": community.building_ids,
        "starts_at": NOW - HOUR,
        "ends_at": NOW + 8 * HOUR,
    }
    return DutyStated(**{**wanted, **given})


def make_vehicle(**given: Any) -> dict[str, Any]:
    """A vehicle as it is imported."""
    wanted = {
        "plate": "京A00001",
        "kind": "van",
        "capacity_g": 1_020_000,
        "capacity_pieces": 400,
        "base": {"lat": 39.65, "lon": 116.3},
        "shift_starts_at": (NOW - HOUR).isoformat(),
        "shift_ends_at": (NOW + 10 * HOUR).isoformat(),
    }
    return {**wanted, **given}


def make_pass(**given: Any) -> dict[str, Any]:
    """A pass as it is imported."""
    wanted = {
        "number": "110115000001",
        "plate": "京A00001",
        "goods_class": "生活必需品",
        "origin_code": "110115",
        "destination_code": "110115",
        "valid_from": (NOW - HOUR).isoformat(),
        "valid_to": (NOW + 24 * HOUR).isoformat(),
        "crew": [],
    }
    return {**wanted, **given}
