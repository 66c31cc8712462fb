from datetime import UTC, datetime
from uuid import UUID

from prometheus_client import REGISTRY
from sqlalchemy import text
from structlog.testing import capture_logs

from services.catalog.supply.asks import choose_asks
from services.catalog.supply.domain import Assignment, Candidate, Short, Status, Supply
from services.contracts.values import OutletKind, Point, TallyLine
from services.kit.ids import new_id
from tests.catalog import goods
from tests.catalog.builders import make_outlet, make_zone_opened, qualify_outlets
from tests.catalog.goods import make_placed, wanted
from tests.catalog.test_supply import hear, let_time_pass, read_asked, read_stated
from tests.serving import headers

SUPERMARKET, PHARMACY, DEPOT = OutletKind.SUPERMARKET, OutletKind.PHARMACY, OutletKind.RESERVE_DEPOT
HERE = Point(lat=39.66, lon=116.33)


async def accept_all(client, zone_id) -> int:
    """Let every outlet accept what it is asked; return how many asks there were."""
    zone = await client.get(f"/v1/zones/{zone_id}/assignments", headers=headers("commander"))
    asked = [item for item in zone.json()["items"] if item["status"] == "asked"]
    for item in asked:
        answer = await client.post(
            f"/v1/outlets/{item['outlet_id']}/assignments/{item['assignment_id']}/acceptance",
            json={"capacity_orders": item["asked_orders"]},
            headers=headers("outlet", outlet_id=item["outlet_id"]),
        )
        assert answer.status_code == 200, answer.text
    return len(asked)


async def open_small_zone(client, sessions, *outlets, units=500):
    """A zone whose three households a day are expected, its goods, and its outlets' acceptance."""
    ids = await qualify_outlets(client, *outlets)
    product_id = UUID(await goods.make_product(client))
    for outlet_id in ids:
        await goods.stock_up(client, outlet_id, product_id, units)
    opened = make_zone_opened()
    small = opened.communities[0].model_copy(update={"head_count": 5, "households": 2})
    opened = opened.model_copy(update={"communities": (small,)})
    await hear(sessions, opened)
    await accept_all(client, opened.zone_id)
    async with sessions.begin() as session:
        await goods.open_slots(session, opened.zone_id)
    return opened.zone_id, product_id, ids


async def wave(sessions, zone_id, product_id, orders, households=None):
    placed = [make_placed(zone_id, wanted(product_id)) for _ in range(orders)]
    if households:
        placed = [
            one.model_copy(update={"household_id": household})
            for one, household in zip(placed, households, strict=True)
        ]
    await goods.tell(sessions, *placed)
    return [(await goods.read_events(sessions, one.order_id))[0][0] for one in placed]


async def count_shortages(sessions):
    async with sessions() as session:
        return (await session.execute(text("SELECT coalesce(sum(orders), 0) FROM shortages"))).scalar_one()


async def test_a_second_wave_is_served_once_the_outlet_accepts_to_do_more(client, service_sessions) -> None:
    zone_id, product_id, (outlet_id,) = await open_small_zone(client, service_sessions, make_outlet())
    assert await read_asked(client, zone_id) == [(outlet_id, "accepted", 3)]
    first = await wave(service_sessions, zone_id, product_id, 20)
    assert (first.count("stock_reserved"), first.count("stock_refused")) == (3, 17)

    labels = {"kind": "supermarket", "code": "catalog.picking_full"}
    before = REGISTRY.get_sample_value("supply_shortages_total", labels) or 0
    with capture_logs() as logs:
        # At once, not when the zone would be looked at anyway.
        assert await let_time_pass(service_sessions, 0) == 1
    assert (REGISTRY.get_sample_value("supply_shortages_total", labels) or 0) - before == 17
    [short] = [entry for entry in logs if entry["event"] == "zone.short"]
    assert (short["zone_id"], short["kind"], short["code"], short["orders"]) == (
        str(zone_id), "supermarket", "catalog.picking_full", 17,
    )  # fmt: skip
    assert await read_asked(client, zone_id) == [(outlet_id, "accepted", 3), (outlet_id, "asked", 17)]
    assert await let_time_pass(service_sessions, 0) == 0

    assert await accept_all(client, zone_id) == 1
    event = (await read_stated(service_sessions, zone_id))[-1][1]
    assert [(one.outlet_id, one.rank, one.capacity_orders) for one in event.outlets] == [(outlet_id, 1, 20)]
    assert event.missing == ()
    assert await count_shortages(service_sessions) == 0
    second = await wave(service_sessions, zone_id, product_id, 17)
    assert second == ["stock_reserved"] * 17
    assert await let_time_pass(service_sessions, 0) == 0


async def test_a_household_that_is_refused_again_and_again_is_short_once(client, service_sessions) -> None:
    zone_id, product_id, _ = await open_small_zone(client, service_sessions, make_outlet())
    await wave(service_sessions, zone_id, product_id, 3)
    household = new_id()
    for _ in range(2):
        refused = await wave(service_sessions, zone_id, product_id, 2, [household, household])
        assert refused == ["stock_refused"] * 2
        await let_time_pass(service_sessions, 0)
    assert [ask[1:] for ask in await read_asked(client, zone_id)] == [("accepted", 3), ("asked", 1)]


async def test_empty_shelves_let_the_next_outlet_be_asked_and_no_more_of_the_first(
    client, service_sessions
) -> None:
    outlets = make_outlet(reserve_person_days=9), make_outlet(external_id="2", risk="medium")
    zone_id, product_id, (first, second) = await open_small_zone(client, service_sessions, *outlets, units=1)
    assert await wave(service_sessions, zone_id, product_id, 2) == ["stock_reserved", "stock_refused"]
    await let_time_pass(service_sessions, 0)
    assert await read_asked(client, zone_id) == [(first, "accepted", 3), (second, "asked", 1)]
    await accept_all(client, zone_id)
    assert await wave(service_sessions, zone_id, product_id, 1) == ["stock_reserved"]


async def test_what_a_group_did_not_get_is_short_too(client, service_sessions) -> None:
    zone_id, product_id, (outlet_id,) = await open_small_zone(client, service_sessions, make_outlet())
    line = TallyLine(product_id=product_id, quantity=20, seen_price_fen=120)
    await goods.tell(service_sessions, goods.make_locked(zone_id, line, households=10))
    await let_time_pass(service_sessions, 0)
    assert await read_asked(client, zone_id) == [(outlet_id, "accepted", 3), (outlet_id, "asked", 7)]


async def test_goods_that_nobody_lists_or_at_another_price_are_no_shortage(client, service_sessions) -> None:
    zone_id, product_id, _ = await open_small_zone(client, service_sessions, make_outlet())
    unlisted = make_placed(zone_id, wanted(new_id()))
    dear = make_placed(zone_id, wanted(product_id, seen=1))
    await goods.tell(service_sessions, unlisted, dear)
    assert await count_shortages(service_sessions) == 0
    assert await let_time_pass(service_sessions, 0) == 0


def make_candidate(kind=SUPERMARKET, remaining=10, **given):
    fields = {
        "outlet_id": new_id(), "kind": kind, "position": HERE, "risk": "low", "reserve_person_days": 9,
        "remaining": remaining,
    }  # fmt: skip
    return Candidate(**(fields | given))


def make_accepted(outlet_id, *, asked=5, accepted=5, kind=SUPERMARKET, rank=1):
    return Assignment(
        assignment_id=new_id(), outlet_id=outlet_id, kind=kind, rank=rank, status=Status.ACCEPTED,
        asked_orders=asked, accepted_orders=accepted, answer_by=datetime(2022, 11, 20, tzinfo=UTC),
    )  # fmt: skip


def asked_of(kind, needed, assignments, candidates, short=None):
    supply = Supply(
        zone_id=new_id(), needs={kind: needed}, gates=(), pins=(), assignments=assignments,
        short={kind: short} if short else {},
    )  # fmt: skip
    return [(ask.outlet_id, ask.orders) for ask in choose_asks([supply], candidates)]


def test_who_supplies_already_is_asked_for_more_then_the_next_and_the_reserve_last() -> None:
    own, other, depot = make_candidate(remaining=4), make_candidate(remaining=3), make_candidate(DEPOT)
    short = Short(orders=20, of_stock=0)
    assert asked_of(SUPERMARKET, 25, (make_accepted(own.outlet_id),), [depot, other, own], short) == [
        (own.outlet_id, 4), (other.outlet_id, 3), (depot.outlet_id, 10),
    ]  # fmt: skip


def test_who_accepted_less_than_it_was_asked_is_not_asked_for_more() -> None:
    own, other = make_candidate(), make_candidate()
    accepted = make_accepted(own.outlet_id, asked=8, accepted=5)
    assert asked_of(SUPERMARKET, 7, (accepted,), [own, other]) == [(other.outlet_id, 2)]


def test_what_found_empty_shelves_is_asked_of_others_only() -> None:
    own, other = make_candidate(), make_candidate()
    accepted = make_accepted(own.outlet_id)
    short = Short(orders=5, of_stock=3)
    assert asked_of(SUPERMARKET, 10, (accepted,), [own, other], short) == [
        (own.outlet_id, 2), (other.outlet_id, 3),
    ]  # fmt: skip
    assert asked_of(SUPERMARKET, 10, (accepted,), [own], short) == [(own.outlet_id, 2)]


def test_the_reserve_stands_for_food_and_only_where_a_zone_is_short() -> None:
    depot = make_candidate(DEPOT)
    short = Short(orders=5, of_stock=0)
    assert asked_of(SUPERMARKET, 5, (), [depot], short) == [(depot.outlet_id, 5)]
    assert asked_of(SUPERMARKET, 5, (), [depot]) == []
    assert asked_of(PHARMACY, 5, (), [depot], short) == []
