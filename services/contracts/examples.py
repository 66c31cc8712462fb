"""A published example of each event, all of one story: a sealed village and one household's cabbage."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from services.contracts import catalog, dispatch, orders, sharing, whitelist
from services.contracts.access import Role
from services.contracts.values import (
    AssignedOutlet,
    Clearance,
    Community,
    GivenLine,
    Grant,
    LineFailure,
    MissingSupply,
    OutletKind,
    Pin,
    Point,
    ShortLine,
    Slot,
    TallyLine,
    WantedLine,
    ZoneClass,
)
from services.kit.event import Event


def _id(number: int) -> UUID:
    return UUID(f"01930000-0000-7000-8000-{number:012d}")


TOWN, VILLAGE, BUILDING, HOUSEHOLD = _id(1), _id(2), _id(3), _id(4)
ZONE, INCIDENT, SLOT, ORDER, GROUP = _id(10), _id(11), _id(12), _id(13), _id(14)
OUTLET, PRODUCT, OFFER, LOAD, PORTION = _id(20), _id(21), _id(22), _id(23), _id(24)
PERSON, STEWARD, VEHICLE, TRIP, DUTY = _id(30), _id(31), _id(32), _id(33), _id(34)
NOON = datetime(2022, 11, 20, 4, 0, tzinfo=UTC)
GATE = Point(lat=39.64, lon=116.28)

WANTED = WantedLine(line=1, product_id=PRODUCT, quantity=2, seen_price_fen=450)
GIVEN = GivenLine(
    line=1,
    product_id=PRODUCT,
    name="大白菜",
    offer_id=OFFER,
    outlet_id=OUTLET,
    quantity=2,
    grams=1000,
    price_fen=440,
)
FEWER = ShortLine(line=1, product_id=PRODUCT, offer_id=OFFER, promised=2, given=1)
SHORT = LineFailure(line=1, product_id=PRODUCT, code="catalog.out_of_stock", asked=2, available=1)
PLACES: Final[dict[str, Any]] = {
    "order_id": ORDER, "incident_id": INCIDENT, "zone_id": ZONE, "slot_id": SLOT, "community_id": VILLAGE,
    "building_id": BUILDING, "household_id": HOUSEHOLD,
}  # fmt: skip

_ALL: tuple[Event, ...] = (
    catalog.ZoneSupplied(
        zone_id=ZONE,
        incident_id=INCIDENT,
        outlets=(
            AssignedOutlet(
                outlet_id=OUTLET,
                name="马村超市",
                kind=OutletKind.SUPERMARKET,
                position=GATE,
                rank=1,
                capacity_orders=400,
            ),
        ),
        missing=(MissingSupply(kind=OutletKind.CATERER, code="catalog.kind_missing", needed=20, found=0),),
        seconds_to_assign=42.5,
    ),
    catalog.StockReserved(reservation_id=ORDER, lines=(GIVEN,)),
    catalog.StockRefused(reservation_id=ORDER, failures=(SHORT,)),
    catalog.GroupGranted(
        reservation_id=GROUP,
        grants=(
            Grant(
                product_id=PRODUCT,
                asked=3,
                granted=2,
                code="catalog.out_of_stock",
                parts=(GIVEN.model_copy(update={"line": 0}),),
            ),
        ),
    ),
    catalog.HoldOverdue(reservation_id=ORDER),
    orders.AreaStated(
        area_id=VILLAGE,
        path=(TOWN, VILLAGE),
        level=orders.AreaLevel.COMMUNITY,
        title="马村",
        gate=GATE,
        head_count=1400,
        zone_class=ZoneClass.SEALED,
    ),
    orders.ZoneOpened(
        zone_id=ZONE,
        incident_id=INCIDENT,
        title="北臧村镇封控区",
        zone_class=ZoneClass.SEALED,
        path=(TOWN, VILLAGE, ZONE),
        communities=(
            Community(
                community_id=VILLAGE,
                name="马村",
                gate=GATE,
                head_count=1400,
                households=534,
                building_ids=(BUILDING,),
            ),
        ),
        slots=(
            Slot(
                slot_id=SLOT,
                starts_at=NOON + timedelta(hours=20),
                ends_at=NOON + timedelta(hours=24),
                cut_off_at=NOON + timedelta(hours=4),
            ),
        ),
        needed_kinds=(
            OutletKind.SUPERMARKET,
            OutletKind.GREENGROCER,
            OutletKind.PHARMACY,
            OutletKind.CATERER,
        ),
        pinned_outlets=(Pin(subject_id=OUTLET, reason="the only shop inside the village's road block"),),
        activated_at=NOON,
    ),
    orders.ZoneClosed(zone_id=ZONE, incident_id=INCIDENT, zone_class=ZoneClass.CONTROLLED),
    orders.SlotClosed(slot_id=SLOT, zone_id=ZONE, incident_id=INCIDENT, confirmed=312),
    orders.GroupLocked(
        group_id=GROUP,
        zone_id=ZONE,
        slot_id=SLOT,
        incident_id=INCIDENT,
        households=31,
        tally=(
            TallyLine(product_id=PRODUCT, quantity=2, seen_price_fen=430),
            TallyLine(product_id=PRODUCT, quantity=60, seen_price_fen=450),
        ),
    ),
    orders.GroupDecided(
        group_id=GROUP,
        zone_id=ZONE,
        slot_id=SLOT,
        community_id=VILLAGE,
        incident_id=INCIDENT,
        form=orders.Form.BULK,
        confirmed=30,
        rule=sharing.RULE,
        seed="5d41402abc4b2a76b9719d911017c592",
    ),
    orders.OrderPlaced(**PLACES, lines=(WANTED,)),
    orders.OrderConfirmed(**PLACES, lines=(GIVEN,)),
    orders.OrderRefused(order_id=ORDER, incident_id=INCIDENT, reservation_id=ORDER, refusals=(SHORT,)),
    orders.OrderCancelled(order_id=ORDER, incident_id=INCIDENT, reservation_id=GROUP, lines=(GIVEN,)),
    orders.OrderShortened(
        order_id=ORDER, incident_id=INCIDENT, household_id=HOUSEHOLD, lines=(FEWER,), refund_fen=440
    ),
    orders.OrderFulfilled(order_id=ORDER, incident_id=INCIDENT),
    dispatch.SlotCapacityStated(slot_id=SLOT, zone_id=ZONE, incident_id=INCIDENT, portions=1800),
    dispatch.TripDeparted(
        trip_id=TRIP,
        incident_id=INCIDENT,
        vehicle_id=VEHICLE,
        driver_id=PERSON,
        load_ids=(LOAD,),
        departed_at=NOON + timedelta(hours=20),
    ),
    dispatch.LoadHandedOver(
        load_id=LOAD,
        order_ids=(ORDER,),
        outlet_id=OUTLET,
        incident_id=INCIDENT,
        leg=dispatch.Leg.GATE,
        giver_id=PERSON,
        taker_id=STEWARD,
        occurred_at=NOON + timedelta(hours=21),
        is_breach=False,
    ),
    dispatch.PortionShortened(
        portion_id=PORTION,
        order_id=ORDER,
        incident_id=INCIDENT,
        household_id=HOUSEHOLD,
        found_at=NOON + timedelta(hours=21),
        lines=(FEWER,),
        is_empty=False,
    ),
    dispatch.PortionDelivered(
        portion_id=PORTION,
        order_id=ORDER,
        incident_id=INCIDENT,
        household_id=HOUSEHOLD,
        delivered_at=NOON + timedelta(hours=22),
    ),
    whitelist.PersonCleared(
        person_id=PERSON,
        role=Role.DRIVER,
        clearances=(Clearance(zone_class=ZoneClass.SEALED, valid_until=NOON + timedelta(hours=24)),),
    ),
    whitelist.PersonSuspended(person_id=PERSON, role=Role.DRIVER, codes=("whitelist.health_requirement",)),
    whitelist.DutyStated(
        duty_id=DUTY,
        person_id=STEWARD,
        role=Role.STEWARD,
        community_id=VILLAGE,
        building_ids=(BUILDING,),
        starts_at=NOON,
        ends_at=NOON + timedelta(hours=12),
    ),
    whitelist.Heartbeat(partition=0, key_of_partition="beat-0", beat_at=NOON),
)

EXAMPLES: Mapping[str, Event] = {event.name: event for event in _ALL}
