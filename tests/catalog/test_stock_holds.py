from uuid import UUID

import pytest
from sqlalchemy import text

from services.catalog.stock.holds.queries import ReservationMissing
from services.contracts.dispatch import Leg
from services.contracts.orders import OrderRefused
from services.contracts.values import TallyLine
from services.kit.ids import new_id
from tests.catalog import goods
from tests.catalog.goods import make_cancelled, make_confirmed, make_handed_over, make_placed, wanted


@pytest.fixture
async def town(client, service_sessions):
    """A zone that one shop supplies with ten cabbages."""
    return await make_town(client, service_sessions)


async def make_town(client, sessions, units=10, **given):
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    offer_id = await goods.stock_up(client, outlet_id, product_id, units)
    zone_id = await goods.supply_zone(sessions, [outlet_id], **given)
    return Town(outlet_id, UUID(product_id), offer_id, zone_id)


class Town:
    def __init__(self, outlet_id, product_id, offer_id, zone_id) -> None:
        self.outlet_id = outlet_id
        self.product_id = product_id
        self.offer_id = offer_id
        self.zone_id = zone_id

    def place(self, quantity=1, **given):
        return make_placed(self.zone_id, wanted(self.product_id, quantity, **given))

    def lock(self, quantity, seen=120, households=2):
        line = TallyLine(product_id=self.product_id, quantity=quantity, seen_price_fen=seen)
        return goods.make_locked(self.zone_id, line, households=households)


async def picked(sessions):
    async with sessions() as session:
        return (await session.execute(text("SELECT coalesce(sum(taken), 0) FROM picking"))).scalar_one()


async def test_an_order_is_given_with_outlet_grams_and_price_of_each_line(service_sessions, town) -> None:
    placed = town.place(3)
    await goods.tell(service_sessions, placed)
    assert await goods.read_events(service_sessions, placed.order_id) == [
        (
            "stock_reserved",
            1,
            {
                "reservation_id": str(placed.order_id),
                "lines": [
                    {
                        "line": 1, "product_id": str(town.product_id), "name": "大白菜",
                        "offer_id": str(town.offer_id), "outlet_id": str(town.outlet_id), "quantity": 3,
                        "grams": 500, "price_fen": 120,
                    }
                ],
            },
        )
    ]  # fmt: skip
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 3)
    assert await goods.read_status(service_sessions, placed.order_id) == "held"
    assert await picked(service_sessions) == 1


async def test_a_refused_order_holds_nothing_and_names_each_failing_line(service_sessions, town) -> None:
    other = new_id()
    placed = make_placed(town.zone_id, wanted(town.product_id, 11), wanted(other, number=2))
    await goods.tell(service_sessions, placed)
    [(name, sequence, content)] = await goods.read_events(service_sessions, placed.order_id)
    assert (name, sequence) == ("stock_refused", 1)
    assert [(one["line"], one["code"], one["asked"], one["available"]) for one in content["failures"]] == [
        (1, "catalog.out_of_stock", 11, 10), (2, "catalog.product_not_offered", 1, 0),
    ]  # fmt: skip
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 0)
    assert await goods.read_status(service_sessions, placed.order_id) == "refused"
    assert await picked(service_sessions) == 0


async def test_an_order_that_comes_twice_is_decided_once(service_sessions, town) -> None:
    placed = town.place(3)
    await goods.tell(service_sessions, placed)
    await goods.tell(service_sessions, placed)
    assert len(await goods.read_events(service_sessions, placed.order_id)) == 1
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 3)


async def test_a_blocked_offer_is_never_promised_even_before_the_timer_judges_it(
    client, service_sessions, town
) -> None:
    await goods.bind_ceiling(client, 200)
    placed = town.place()
    await goods.tell(service_sessions, placed)
    [(name, _, content)] = await goods.read_events(service_sessions, placed.order_id)
    assert (name, content["failures"][0]["code"]) == ("stock_refused", "catalog.product_not_offered")
    [offer] = await goods.read_offers(client, town.outlet_id)
    assert (offer["is_blocked"], offer["cap_fen"]) == (True, 100)
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 0)


async def test_a_rule_of_the_zone_binds_the_first_order_of_it(client, service_sessions) -> None:
    zone_id = new_id()
    await goods.bind_ceiling(client, 200, zone_id=str(zone_id))
    town = await make_town(client, service_sessions, zone_id=zone_id)
    placed = town.place()
    await goods.tell(service_sessions, placed)
    assert (await goods.read_events(service_sessions, placed.order_id))[0][0] == "stock_refused"


async def test_the_whole_life_of_a_hold(service_sessions, town) -> None:
    placed = town.place(4)
    await goods.tell(service_sessions, placed)
    given = await goods.read_given(service_sessions, placed.order_id)
    await goods.tell(service_sessions, make_confirmed(placed.order_id, given), sequence=2)
    assert await goods.read_status(service_sessions, placed.order_id) == "committed"
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 4)

    await goods.tell(service_sessions, make_handed_over(placed.order_id, town.outlet_id))
    assert await goods.read_status(service_sessions, placed.order_id) == "handed_over"
    assert await goods.read_shelf(service_sessions, town.offer_id) == (6, 0)


async def test_a_confirmation_told_again_changes_nothing(service_sessions, town) -> None:
    placed = town.place(4)
    await goods.tell(service_sessions, placed)
    given = await goods.read_given(service_sessions, placed.order_id)
    for sequence in (2, 3):
        await goods.tell(service_sessions, make_confirmed(placed.order_id, given), sequence=sequence)
    async with service_sessions() as session:
        rows = (await session.execute(text("SELECT held, committed, quantity FROM holds"))).all()
    assert [tuple(row) for row in rows] == [(0, 4, 4)]


@pytest.mark.parametrize("was_confirmed", [False, True])
async def test_a_cancelled_order_gives_its_whole_hold_back_once(
    service_sessions, town, was_confirmed
) -> None:
    placed = town.place(4)
    await goods.tell(service_sessions, placed)
    given = await goods.read_given(service_sessions, placed.order_id)
    if was_confirmed:
        await goods.tell(service_sessions, make_confirmed(placed.order_id, given), sequence=2)
    for sequence in (3, 4):
        await goods.tell(service_sessions, make_cancelled(placed.order_id, given), sequence=sequence)
        assert await goods.read_status(service_sessions, placed.order_id) == "released"
        assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 0)
        assert await picked(service_sessions) == 0


async def test_what_orders_refuses_by_its_own_clock_is_given_back(service_sessions, town) -> None:
    placed = town.place(4)
    await goods.tell(service_sessions, placed)
    refused = OrderRefused(
        order_id=placed.order_id, incident_id=goods.INCIDENT, reservation_id=placed.order_id, refusals=()
    )
    await goods.tell(service_sessions, refused, sequence=2)
    assert await goods.read_status(service_sessions, placed.order_id) == "released"
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 0)


async def test_the_echo_of_our_own_refusal_changes_nothing(service_sessions, town) -> None:
    placed = town.place(11)
    await goods.tell(service_sessions, placed)
    refused = OrderRefused(
        order_id=placed.order_id, incident_id=goods.INCIDENT, reservation_id=placed.order_id, refusals=()
    )
    await goods.tell(service_sessions, refused, sequence=2)
    assert await goods.read_status(service_sessions, placed.order_id) == "refused"
    assert len(await goods.read_events(service_sessions, placed.order_id)) == 1


async def test_a_cancellation_that_overtakes_its_order_leaves_nothing_to_promise(
    service_sessions, town
) -> None:
    placed = town.place(4)
    await goods.tell(service_sessions, make_cancelled(placed.order_id), sequence=2)
    await goods.tell(service_sessions, placed)
    assert await goods.read_status(service_sessions, placed.order_id) is None
    assert await goods.read_events(service_sessions, placed.order_id) == []
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 0)


async def test_an_order_and_its_cancellation_in_one_batch_hold_nothing(service_sessions, town) -> None:
    placed = town.place(4)
    await goods.tell(service_sessions, placed, make_cancelled(placed.order_id))
    assert await goods.read_status(service_sessions, placed.order_id) == "released"
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 0)


async def test_a_hand_over_before_the_confirmation_waits_for_it(service_sessions, town) -> None:
    placed = town.place(4)
    await goods.tell(service_sessions, placed)
    given = await goods.read_given(service_sessions, placed.order_id)
    await goods.tell(service_sessions, make_handed_over(placed.order_id, town.outlet_id))
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 4)
    await goods.tell(service_sessions, make_confirmed(placed.order_id, given), sequence=2)
    assert await goods.read_status(service_sessions, placed.order_id) == "handed_over"
    assert await goods.read_shelf(service_sessions, town.offer_id) == (6, 0)


async def make_committed(service_sessions, town, quantity=4):
    placed = town.place(quantity)
    await goods.tell(service_sessions, placed)
    given = await goods.read_given(service_sessions, placed.order_id)
    await goods.tell(service_sessions, make_confirmed(placed.order_id, given), sequence=2)
    return placed.order_id, given


@pytest.mark.parametrize(
    "legs", [(Leg.PICK_UP, Leg.GATE, Leg.DOOR), (Leg.GATE, Leg.PICK_UP), (Leg.DOOR, Leg.PICK_UP)]
)
async def test_goods_leave_the_shelf_once_with_the_first_baton_that_is_told_of(
    service_sessions, town, legs
) -> None:
    order_id, _ = await make_committed(service_sessions, town)
    for leg in (*legs, *legs):
        await goods.tell(service_sessions, make_handed_over(order_id, town.outlet_id, leg=leg))
        assert await goods.read_shelf(service_sessions, town.offer_id) == (6, 0)
    assert await goods.read_status(service_sessions, order_id) == "handed_over"


async def test_a_load_for_many_leaves_the_shelf_with_what_each_gets_of_the_same_goods(
    service_sessions, town
) -> None:
    first, _ = await make_committed(service_sessions, town, 4)
    second, _ = await make_committed(service_sessions, town, 3)
    left = make_handed_over(first, town.outlet_id).model_copy(update={"order_ids": (first, second)})
    await goods.tell(service_sessions, left)
    assert await goods.read_shelf(service_sessions, town.offer_id) == (3, 0)
    assert {await goods.read_status(service_sessions, each) for each in (first, second)} == {"handed_over"}


async def test_a_hand_over_of_another_outlet_leaves_this_one_alone(service_sessions, town) -> None:
    order_id, _ = await make_committed(service_sessions, town)
    await goods.tell(service_sessions, make_handed_over(order_id, new_id()))
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 4)


async def test_a_count_after_the_departure_has_seen_it(client, service_sessions, town) -> None:
    order_id, _ = await make_committed(service_sessions, town)
    left = make_handed_over(order_id, town.outlet_id)
    await goods.change_stock(client, town.outlet_id, goods.make_change(quantity=6))
    await goods.tell(service_sessions, left)
    assert await goods.read_shelf(service_sessions, town.offer_id) == (6, 0)
    assert await goods.read_status(service_sessions, order_id) == "handed_over"


async def test_goods_that_left_after_their_release_are_off_the_shelf_all_the_same(
    service_sessions, town
) -> None:
    order_id, given = await make_committed(service_sessions, town)
    await goods.tell(service_sessions, make_cancelled(order_id, given), sequence=3)
    for _ in range(2):
        await goods.tell(service_sessions, make_handed_over(order_id, town.outlet_id))
        assert await goods.read_shelf(service_sessions, town.offer_id) == (6, 0)
    assert await goods.read_status(service_sessions, order_id) == "released"


async def test_a_cancellation_after_the_departure_gives_nothing_back(service_sessions, town) -> None:
    order_id, given = await make_committed(service_sessions, town)
    await goods.tell(service_sessions, make_handed_over(order_id, town.outlet_id))
    await goods.tell(service_sessions, make_cancelled(order_id, given), sequence=3)
    assert await goods.read_shelf(service_sessions, town.offer_id) == (6, 0)
    assert await goods.read_status(service_sessions, order_id) == "handed_over"


async def test_a_confirmation_of_goods_that_nobody_reserved_is_for_a_person_to_see(
    service_sessions, town
) -> None:
    placed = town.place(4)
    await goods.tell(service_sessions, placed)
    given = await goods.read_given(service_sessions, placed.order_id)
    with pytest.raises(ReservationMissing):
        await goods.tell(service_sessions, make_confirmed(new_id(), given))
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 4)


async def test_a_group_is_granted_as_far_as_it_goes_and_lives_by_its_parts(service_sessions, town) -> None:
    locked = town.lock(12)
    await goods.tell(service_sessions, locked)
    [(name, sequence, content)] = await goods.read_events(service_sessions, locked.group_id)
    assert (name, sequence) == ("group_granted", 1)
    assert [(one["asked"], one["granted"], one["code"]) for one in content["grants"]] == [
        (12, 10, "catalog.out_of_stock")
    ]
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 10)
    assert await picked(service_sessions) == 2

    [part] = await goods.read_given(service_sessions, locked.group_id)
    first, second = [(new_id(), [part.model_copy(update={"quantity": units, "line": 1})]) for units in (6, 4)]
    third = new_id()
    group = {"group_id": locked.group_id}
    await goods.tell(service_sessions, make_confirmed(*first, **group), make_confirmed(*second, **group))
    assert await goods.read_status(service_sessions, locked.group_id) == "committed"

    await goods.tell(service_sessions, make_cancelled(*second, **group), make_cancelled(third, **group))
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 6)
    assert await picked(service_sessions) == 1

    await goods.tell(service_sessions, make_handed_over(first[0], town.outlet_id))
    assert await goods.read_shelf(service_sessions, town.offer_id) == (4, 0)
    assert await goods.read_status(service_sessions, locked.group_id) == "handed_over"


async def test_a_part_of_a_group_that_is_refused_gives_back_exactly_its_lines(service_sessions, town) -> None:
    locked = town.lock(10)
    await goods.tell(service_sessions, locked)
    [part] = await goods.read_given(service_sessions, locked.group_id)
    refused = OrderRefused(
        order_id=new_id(), incident_id=goods.INCIDENT, reservation_id=locked.group_id, refusals=(),
        lines=(part.model_copy(update={"quantity": 3}),),
    )  # fmt: skip
    for sequence in (1, 2):
        await goods.tell(service_sessions, refused, sequence=sequence)
        assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 7)
    assert await goods.read_status(service_sessions, locked.group_id) == "held"


async def test_a_part_that_was_refused_before_its_group_was_granted_gives_its_lines_back_too(
    service_sessions, town
) -> None:
    locked = town.lock(10)
    await goods.tell(service_sessions, locked)
    [part] = await goods.read_given(service_sessions, locked.group_id)
    refused = OrderRefused(
        order_id=new_id(), incident_id=goods.INCIDENT, reservation_id=locked.group_id, refusals=()
    )
    await goods.tell(service_sessions, refused)
    assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 10)
    late = refused.model_copy(update={"lines": (part,)})
    for sequence in (2, 3):
        await goods.tell(service_sessions, late, sequence=sequence)
        assert await goods.read_shelf(service_sessions, town.offer_id) == (10, 0)
    assert await goods.read_status(service_sessions, locked.group_id) == "released"
    assert await picked(service_sessions) == 0


async def test_a_group_that_is_shared_out_gives_back_the_picking_that_no_household_needs(
    client, service_sessions
) -> None:
    shops = [await goods.make_shop(client, f"shop-{number}") for number in (1, 2)]
    product_id = await goods.make_product(client)
    for shop, units in zip(shops, (4, 2), strict=True):
        await goods.stock_up(client, shop, product_id, units)
    town = Town(shops[0], UUID(product_id), None, await goods.supply_zone(service_sessions, shops))
    locked = town.lock(6, households=4)
    await goods.tell(service_sessions, locked)
    assert await picked(service_sessions) == 6

    first, second = await goods.read_given(service_sessions, locked.group_id)
    group = {"group_id": locked.group_id}
    whole = [make_confirmed(new_id(), [first.model_copy(update={"quantity": 2})], **group) for _ in range(2)]
    await goods.tell(service_sessions, *whole)
    assert await picked(service_sessions) == 6
    await goods.tell(service_sessions, make_confirmed(new_id(), [second], **group))
    assert await picked(service_sessions) == 3


async def test_a_group_that_gets_nothing_holds_nothing(service_sessions, town) -> None:
    locked = town.lock(5, seen=119)
    await goods.tell(service_sessions, locked)
    [(_, _, content)] = await goods.read_events(service_sessions, locked.group_id)
    assert [(one["granted"], one["code"]) for one in content["grants"]] == [(0, "catalog.price_changed")]
    assert await goods.read_status(service_sessions, locked.group_id) == "refused"
    assert await picked(service_sessions) == 0


async def test_an_outlet_picks_no_more_than_it_accepted_in_a_day(client, service_sessions) -> None:
    town = await make_town(client, service_sessions, orders=2)
    orders = [town.place() for _ in range(3)]
    await goods.tell(service_sessions, *orders)
    names = [(await goods.read_events(service_sessions, order.order_id))[0] for order in orders]
    assert [one[0] for one in names] == ["stock_reserved", "stock_reserved", "stock_refused"]
    assert names[2][2]["failures"][0]["code"] == "catalog.picking_full"
    await goods.tell(service_sessions, make_cancelled(orders[0].order_id), sequence=2)
    again = town.place()
    await goods.tell(service_sessions, again)
    assert await goods.read_status(service_sessions, again.order_id) == "held"
