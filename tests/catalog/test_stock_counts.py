from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.catalog.stock.counts.domain import Change, Kind, Outcome, Shelf, apply_changes
from services.kit.ids import new_id
from tests.catalog import goods
from tests.catalog.goods import make_change
from tests.serving import headers

NOON = datetime(2022, 4, 5, 12, tzinfo=UTC)


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def count(quantity, minutes=0, **given):
    return Change(plu="1", kind=Kind.COUNT, quantity=quantity, observed_at=at(minutes), **given)


def adjust(quantity, minutes=0, **given):
    return Change(
        plu="1", kind=Kind.ADJUSTMENT, quantity=quantity, observed_at=at(minutes), reason="sold", **given
    )


def run(*changes, on_hand=0, reserved=0):
    shelf = Shelf(offer_id=new_id(), on_hand=on_hand, reserved=reserved, counted_at=None)
    applied = apply_changes(changes, {"1": shelf}, now=at(60))
    return shelf, [(one.outcome, one.code, one.on_hand) for one in applied]


def test_what_is_older_than_the_last_count_is_superseded() -> None:
    shelf, outcomes = run(count(10, 5), count(99, 4), adjust(-1, 4), adjust(-2, 6))
    assert outcomes == [
        (Outcome.APPLIED, None, 10), (Outcome.SUPERSEDED, None, 10), (Outcome.SUPERSEDED, None, 10),
        (Outcome.APPLIED, None, 8),
    ]  # fmt: skip
    assert shelf.on_hand == 8


def test_a_late_count_leaves_what_was_sold_after_it_sold() -> None:
    shelf, outcomes = run(adjust(20, 1), adjust(-3, 6), count(19, 5))
    assert [one[2] for one in outcomes] == [20, 17, 16]
    assert shelf.on_hand == 16


def test_a_reference_is_applied_once() -> None:
    shelf, outcomes = run(adjust(5, 1, reference="till-7"), adjust(5, 2, reference="till-7"))
    assert [one[0] for one in outcomes] == [Outcome.APPLIED, Outcome.REPEATED]
    assert shelf.on_hand == 5


def test_a_repeated_change_is_repeated_even_when_a_count_came_between() -> None:
    _, outcomes = run(adjust(5, 1, reference="r"), count(4, 3), adjust(5, 1, reference="r"))
    assert [one[0] for one in outcomes] == [Outcome.APPLIED, Outcome.APPLIED, Outcome.REPEATED]


def test_what_is_expected_must_be_there() -> None:
    shelf, outcomes = run(count(10), adjust(-1, 1, expected=9), adjust(-1, 1, expected=10))
    assert outcomes[1:] == [
        (Outcome.REFUSED, "catalog.stock_changed", 10), (Outcome.APPLIED, None, 9),
    ]  # fmt: skip
    assert shelf.on_hand == 9


def test_a_shelf_is_never_below_nothing_nor_beyond_all_measure() -> None:
    _, outcomes = run(adjust(-1), adjust(1_000_000_000, 1), adjust(1, 2), on_hand=0)
    assert outcomes == [
        (Outcome.REFUSED, "catalog.stock_below_zero", 0), (Outcome.APPLIED, None, 1_000_000_000),
        (Outcome.REFUSED, "catalog.stock_too_large", 1_000_000_000),
    ]  # fmt: skip


def test_a_clock_five_minutes_ahead_is_believed_and_one_further_is_not() -> None:
    _, outcomes = run(count(1, 65), count(2, 66))
    assert outcomes == [
        (Outcome.APPLIED, None, 1), (Outcome.REFUSED, "catalog.observed_in_future", 1),
    ]  # fmt: skip


MOMENTS = st.lists(st.integers(0, 50), min_size=1, max_size=8, unique=True)


@given(data=st.data(), moments=MOMENTS)
def test_any_order_and_any_repetition_ends_at_the_same_shelf(data, moments) -> None:
    changes = [
        count(data.draw(st.integers(50, 99)), minute, reference=f"c{minute}")
        if data.draw(st.booleans())
        else adjust(data.draw(st.integers(-5, 5)), minute, reference=f"a{minute}")
        for minute in sorted(moments)
    ]
    straight, _ = run(*changes, on_hand=50)
    shuffled, _ = run(*data.draw(st.permutations(changes + changes)), on_hand=50)
    assert shuffled.on_hand == straight.on_hand


async def make_stocked(client, sessions, units=10):
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    offer_id = await goods.stock_up(client, outlet_id, product_id, units)
    return outlet_id, product_id, offer_id


async def test_a_batch_answers_for_each_change_and_the_ledger_sums_to_the_shelf(
    client, service_sessions
) -> None:
    outlet_id, _, offer_id = await make_stocked(client, service_sessions)
    old = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    items = await goods.change_stock(
        client,
        outlet_id,
        make_change(kind="adjustment", quantity=-3, reference="r1"),
        make_change(kind="adjustment", quantity=-3, reference="r1"),
        make_change(quantity=99, observed_at=old),
        make_change(kind="adjustment", quantity=-8),
        make_change("9999"),
        make_change(quantity=5, expected=6),
    )
    assert [
        (one["outcome"], one["on_hand"], [error["code"] for error in one["errors"]]) for one in items
    ] == [
        ("applied", 7, []),
        ("repeated", 7, []),
        ("superseded", 7, []),
        ("refused", 7, ["catalog.stock_below_zero"]),
        ("refused", None, ["catalog.offer_unknown"]),
        ("refused", 7, ["catalog.stock_changed"]),
    ]
    assert items[5]["errors"][0] == {
        "pointer": "/changes/5/expected", "code": "catalog.stock_changed",
        "params": {"expected": 6, "on_hand": 7},
        "detail": "The stock is another than expected: expected 6, there are 7",
    }  # fmt: skip
    assert await goods.read_shelf(service_sessions, offer_id) == (7, 0)
    [again] = await goods.change_stock(
        client, outlet_id, make_change(kind="adjustment", quantity=-3, reference="r1")
    )
    assert (again["outcome"], again["on_hand"]) == ("repeated", 7)


async def test_a_dry_run_tells_and_changes_nothing(client, service_sessions) -> None:
    outlet_id, _, offer_id = await make_stocked(client, service_sessions)
    [item] = await goods.change_stock(client, outlet_id, make_change(quantity=3), dry_run=True)
    assert (item["outcome"], item["on_hand"]) == ("applied", 3)
    assert await goods.read_shelf(service_sessions, offer_id) == (10, 0)


async def test_a_count_below_what_is_promised_is_the_truth_and_says_so(client, service_sessions) -> None:
    outlet_id, product_id, offer_id = await make_stocked(client, service_sessions)
    zone_id = await goods.supply_zone(service_sessions, [outlet_id])
    placed = goods.make_placed(zone_id, goods.wanted(product_id, 8))
    await goods.tell(service_sessions, placed)
    [item] = await goods.change_stock(client, outlet_id, make_change(quantity=5))
    assert (item["outcome"], item["on_hand"], item["reserved"], item["short"]) == ("applied", 5, 8, True)
    assert await goods.read_shelf(service_sessions, offer_id) == (5, 8)
    assert await goods.read_status(service_sessions, placed.order_id) == "held"
    [offer] = await goods.read_offers(client, outlet_id)
    assert offer["available"] == 0


async def test_an_outlet_changes_its_own_stock_alone(client, service_sessions) -> None:
    outlet_id, _, offer_id = await make_stocked(client, service_sessions)
    for head in (goods.as_outlet(new_id()), headers("commander", key="k")):
        refused = await client.post(
            f"/v1/outlets/{outlet_id}/stock-changes",
            json={"changes": [make_change(quantity=1)]},
            headers=head,
        )
        assert (refused.status_code, refused.json()["code"]) == (403, "kit.forbidden")
    assert await goods.read_shelf(service_sessions, offer_id) == (10, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantity": -1},
        {"quantity": 2**31},
        {"kind": "adjustment", "reason": None},
        {"observed_at": "2022-04-05T12:00:00"},
        {"observed_at": "0001-01-01T00:00:00+14:00"},
        {"observed_at": "9999-12-31T23:59:59-12:00"},
        {"kind": "guess"},
    ],
)
async def test_a_change_of_another_form_is_refused(client, service_sessions, wrong) -> None:
    outlet_id, _, offer_id = await make_stocked(client, service_sessions)
    refused = await client.post(
        f"/v1/outlets/{outlet_id}/stock-changes",
        json={"changes": [make_change() | wrong]},
        headers=goods.as_outlet(outlet_id),
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "kit.invalid")
    assert await goods.read_shelf(service_sessions, offer_id) == (10, 0)


async def test_five_hundred_changes_are_a_batch_and_one_more_is_none(client, service_sessions) -> None:
    outlet_id, _, _ = await make_stocked(client, service_sessions)
    many = [make_change(kind="adjustment", quantity=1, reference=str(number)) for number in range(501)]
    path = f"/v1/outlets/{outlet_id}/stock-changes"
    refused = await client.post(path, json={"changes": many}, headers=goods.as_outlet(outlet_id))
    assert refused.status_code == 422
    items = await goods.change_stock(client, outlet_id, *many[:500])
    assert items[-1]["on_hand"] == 510


@pytest.mark.parametrize(
    "wrong", ["UPDATE stock_ledger SET delta = 0", "DELETE FROM stock_ledger", "DELETE FROM price_decisions"]
)
async def test_what_was_written_down_stays(client, service_sessions, wrong) -> None:
    await make_stocked(client, service_sessions)
    with pytest.raises(IntegrityError):
        async with service_sessions.begin() as session:
            await session.execute(text(wrong))
