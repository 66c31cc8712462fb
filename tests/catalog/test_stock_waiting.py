from datetime import timedelta

from sqlalchemy import text

from services.catalog.stock.holds import application
from services.contracts.values import TallyLine
from services.kit import database
from services.kit.ids import new_id
from tests.catalog import goods
from tests.catalog.goods import make_cancelled, make_placed, wanted


async def decide_waiting(sessions, *, later=0):
    async with sessions.begin() as session:
        now = await database.now(session) + timedelta(seconds=later)
        return await application.decide_waiting(session, now)


async def ask_about_overdue(sessions, *, later=0):
    async with sessions.begin() as session:
        now = await database.now(session) + timedelta(seconds=later)
        return await application.ask_about_overdue(session, now)


async def make_shelf(client, units=10):
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    return outlet_id, product_id, await goods.stock_up(client, outlet_id, product_id, units)


async def test_an_order_that_comes_before_its_zone_is_supplied_waits_for_that(
    client, service_sessions
) -> None:
    outlet_id, product_id, offer_id = await make_shelf(client)
    zone_id = new_id()
    placed = make_placed(zone_id, wanted(product_id, 3))
    line = TallyLine(product_id=product_id, quantity=9, seen_price_fen=120)
    locked = goods.make_locked(zone_id, line)
    await goods.tell(service_sessions, placed)
    await goods.tell(service_sessions, locked)
    assert await goods.read_status(service_sessions, placed.order_id) == "waiting"
    assert await decide_waiting(service_sessions) == 0
    assert await goods.read_events(service_sessions, placed.order_id) == []

    await goods.supply_zone(service_sessions, [outlet_id], zone_id=zone_id)
    assert await decide_waiting(service_sessions) == 2
    assert await goods.read_status(service_sessions, placed.order_id) == "held"
    [(name, sequence, _)] = await goods.read_events(service_sessions, placed.order_id)
    assert (name, sequence) == ("stock_reserved", 1)
    [(name, _, content)] = await goods.read_events(service_sessions, locked.group_id)
    assert (name, content["grants"][0]["granted"]) == ("group_granted", 7)
    assert await goods.read_shelf(service_sessions, offer_id) == (10, 10)
    assert await decide_waiting(service_sessions) == 0


async def test_what_waits_past_its_deadline_is_refused_with_its_own_code(client, service_sessions) -> None:
    placed = make_placed(new_id(), wanted(new_id(), 3), wanted(new_id(), number=2))
    line = TallyLine(product_id=new_id(), quantity=9, seen_price_fen=120)
    locked = goods.make_locked(new_id(), line)
    await goods.tell(service_sessions, placed, locked)
    assert await decide_waiting(service_sessions, later=19) == 0
    assert await decide_waiting(service_sessions, later=20) == 2
    [(name, sequence, content)] = await goods.read_events(service_sessions, placed.order_id)
    assert (name, sequence) == ("stock_refused", 1)
    assert [(one["line"], one["code"]) for one in content["failures"]] == [
        (1, "catalog.zone_not_supplied"), (2, "catalog.zone_not_supplied"),
    ]  # fmt: skip
    [(_, _, content)] = await goods.read_events(service_sessions, locked.group_id)
    assert [(one["granted"], one["code"]) for one in content["grants"]] == [(0, "catalog.zone_not_supplied")]
    assert await goods.read_status(service_sessions, placed.order_id) == "refused"


async def test_what_is_cancelled_while_it_waits_is_decided_no_more(client, service_sessions) -> None:
    outlet_id, product_id, offer_id = await make_shelf(client)
    placed = make_placed(new_id(), wanted(product_id, 3))
    await goods.tell(service_sessions, placed)
    await goods.tell(service_sessions, make_cancelled(placed.order_id), sequence=2)
    await goods.supply_zone(service_sessions, [outlet_id], zone_id=placed.zone_id)
    assert await decide_waiting(service_sessions, later=60) == 0
    assert await goods.read_status(service_sessions, placed.order_id) == "released"
    assert await goods.read_events(service_sessions, placed.order_id) == []
    assert await goods.read_shelf(service_sessions, offer_id) == (10, 0)


async def test_a_hold_past_its_limit_is_asked_about_and_never_ended(client, service_sessions) -> None:
    outlet_id, product_id, offer_id = await make_shelf(client)
    zone_id = await goods.supply_zone(service_sessions, [outlet_id])
    placed, confirmed = (make_placed(zone_id, wanted(product_id)) for _ in range(2))
    await goods.tell(service_sessions, placed, confirmed)
    given = await goods.read_given(service_sessions, confirmed.order_id)
    await goods.tell(service_sessions, goods.make_confirmed(confirmed.order_id, given), sequence=2)

    assert await ask_about_overdue(service_sessions, later=299) == 0
    assert await ask_about_overdue(service_sessions, later=301) == 1
    assert await ask_about_overdue(service_sessions, later=301) == 0
    assert await ask_about_overdue(service_sessions, later=602) == 1
    events = await goods.read_events(service_sessions, placed.order_id)
    assert [one[:2] for one in events] == [("stock_reserved", 1), ("hold_overdue", 2), ("hold_overdue", 3)]
    assert len(await goods.read_events(service_sessions, confirmed.order_id)) == 1
    assert await goods.read_status(service_sessions, placed.order_id) == "held"
    assert await goods.read_shelf(service_sessions, offer_id) == (10, 2)


async def test_a_policy_of_a_later_day_is_not_in_force_yet(client, service_sessions) -> None:
    async with service_sessions.begin() as session:
        await session.execute(
            text("INSERT INTO hold_policies VALUES (now() + interval '1 day', 1, 1, 'a test')")
        )
    placed = make_placed(new_id(), wanted(new_id()))
    await goods.tell(service_sessions, placed)
    assert await decide_waiting(service_sessions, later=19) == 0
