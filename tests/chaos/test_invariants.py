"""An invariant that cannot fail proves nothing: each is shown a town in which it does not hold."""

import ast
import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from services.kit.bus.records import Received
from tests import databases
from tests.chaos import books as ledgers
from tests.chaos import invariants, of_events, of_people, of_stock
from tests.chaos.books import Books
from tests.chaos.invariants import Evidence
from tests.chaos.journal import Ask, Journal, Outcome, Told
from tests.chaos.planting import plant
from tests.chaos.quiescence import Restless, rest

NOW = datetime.now(UTC)
PHONE = "19912345678"


@pytest.fixture(scope="module")
async def kept(postgres: str) -> AsyncIterator[Books]:
    """The books of a town as its migrations make them: opened once, for a test leaves nothing in them."""
    urls = {
        service: databases.address_of(postgres, await databases.build_template(postgres, service))
        for service in of_events.SERVICES
    }
    async with ledgers.opened(urls) as books:
        yield books


@pytest.fixture
async def books(kept: Books) -> AsyncIterator[Books]:
    async with AsyncExitStack() as stack:
        for connection in kept.connections.values():
            transaction = connection.transaction()
            await transaction.start()
            stack.push_async_callback(transaction.rollback)
        yield kept


@pytest.fixture
def journal() -> Journal:
    return Journal()


def ask_for(journal: Journal, kind: str, reference: str, *told: Told, path: str = "/v1/orders") -> Ask:
    ask = Ask(kind, "caller", path, f"key-{reference}", b"{}", reference, "token", list(told))
    journal.asks.append(ask)
    return ask


def accepted(order_id: UUID, status: str = "placed") -> Told:
    return Told(202, json.dumps({"order_id": str(order_id), "status": status}).encode())


def refused() -> Told:
    return Told(422, b'{"code": "orders.slot_closed"}')


def record_of(key: str, sequence: int, *, topic: str = "orders", value: bytes = b"{}") -> Received:
    return Received(topic, key, value, uuid4(), "orders.order_placed.v1", sequence, NOW, "none")


async def judge(books: Books, journal: Journal, *records: Received, **beside) -> dict[str, list[str]]:
    written = beside.pop("written", None) or await of_events.read_outboxes(books)
    evidence = Evidence(journal=journal, written=written, records=records, **beside)
    return await invariants.judge(books, evidence)


async def keep(books: Books, ask: Ask, body: bytes | None = None, service: str = "orders") -> None:
    """Write the key's row as the service does."""
    await plant(
        books.connections[service], "idempotency", principal=ask.principal, route=ask.route, key=ask.key,
        status=202, body=ask.yeses[0] if body is None else body,
    )  # fmt: skip


async def write_order(books: Books, order_id: UUID, reference: str, status: str = "refused", **more) -> None:
    await plant(
        books.connections["orders"], "orders",
        order_id=order_id, client="caller", external_id=reference, status=status, **more,
    )  # fmt: skip


async def write_hold(
    books: Books, order_id: UUID, status: str, offer_id: UUID | None = None, **units
) -> None:
    catalog = books.connections["catalog"]
    await plant(catalog, "reservations", reservation_id=order_id, status=status, is_group=False)
    if offer_id:
        await plant(catalog, "holds", reservation_id=order_id, offer_id=offer_id, **units)


def given(offer_id: UUID, *, quantity: int = 2, price_fen: int = 100) -> str:
    return json.dumps([{"offer_id": str(offer_id), "quantity": quantity, "price_fen": price_fen}])


async def test_a_town_in_order_is_found_in_order(books: Books, journal: Journal) -> None:
    order_id, offer_id, no = uuid4(), uuid4(), ask_for(journal, "order", "no", refused())
    yes = ask_for(journal, "order", "yes", Told(None), accepted(order_id), accepted(order_id))
    await keep(books, yes)
    await write_order(books, order_id, "yes", "confirmed", given=given(offer_id))
    await write_hold(books, order_id, "committed", offer_id, quantity=2, held=0, committed=2)
    await plant(books.connections["catalog"], "stock", offer_id=offer_id, on_hand=5, reserved=2)
    await plant(books.connections["catalog"], "stock_ledger", offer_id=offer_id, delta=5, on_hand=5)
    assert no.outcome is Outcome.REFUSED
    assert yes.outcome is Outcome.OK
    assert yes.was_unknown
    assert await judge(books, journal) == {}


async def test_i1_finds_an_accepted_order_that_is_not_written(books: Books, journal: Journal) -> None:
    await keep(books, ask_for(journal, "order", "lost", accepted(order_id := uuid4())))
    assert await judge(books, journal) == {"I1": [f"accepted and not written: lost {order_id}"]}


async def test_i1_finds_a_refused_order_that_is_written_after_all(books: Books, journal: Journal) -> None:
    ask_for(journal, "order", "no", refused())
    await write_order(books, order_id := uuid4(), "no")
    assert await judge(books, journal) == {"I1": [f"refused and yet written: no {order_id}"]}


async def test_i1_finds_an_order_without_an_end_and_an_answer_never_resolved(
    books: Books, journal: Journal
) -> None:
    ask_for(journal, "order", "open", Told(503, b"{}"))
    await write_order(books, order_id := uuid4(), "open", "placed")
    found = await judge(books, journal)
    assert found["I1"] == [f"undecided: {order_id}", "never resolved: order open"]


async def test_i1_finds_a_cancellation_without_effect_and_a_delivery_booked_twice(
    books: Books, journal: Journal
) -> None:
    order_id = uuid4()
    cancel = ask_for(journal, "cancel", str(order_id), accepted(order_id), path=f"/v1/{order_id}")
    delivery = ask_for(journal, "delivery", "van", Told(200, b"{}"), path="/v1/stock")
    await keep(books, cancel)
    await keep(books, delivery, service="catalog")
    await write_order(books, order_id, "taken back", "refused")
    for _ in range(2):
        await books.connections["catalog"].execute("DROP INDEX IF EXISTS stock_ledger_reference")
        await plant(books.connections["catalog"], "stock_ledger", offer_id=uuid4(), reference="van", delta=0)
    assert (await judge(books, journal))["I1"] == [
        f"taken back and yet refused: {order_id}", "a delivery that was ok is booked 2 times: van",
    ]  # fmt: skip


async def test_i1_finds_an_order_nobody_asked_for_and_one_that_is_another_than_was_accepted(
    books: Books, journal: Journal
) -> None:
    await keep(books, ask_for(journal, "order", "mine", accepted(told := uuid4())))
    await write_order(books, uuid4(), "mine")
    await write_order(books, stray := uuid4(), "never asked")
    assert await judge(books, journal) == {
        "I1": [f"accepted and not written: mine {told}", f"written and never asked: {stray}"]
    }


async def test_i1_finds_a_cancellation_that_was_refused_and_deliveries_that_are_booked_otherwise_than_told(
    books: Books, journal: Journal
) -> None:
    ask_for(journal, "cancel", str(order_id := uuid4()), refused(), path=f"/v1/{order_id}")
    await write_order(books, order_id, "taken back", "cancelled")
    await keep(
        books, ask_for(journal, "delivery", "lost", Told(200, b"{}"), path="/v1/stock"), None, "catalog"
    )
    ask_for(journal, "delivery", "refused", refused(), path="/v1/stock")
    await plant(books.connections["catalog"], "stock_ledger", offer_id=uuid4(), reference="refused", delta=0)
    assert (await judge(books, journal))["I1"] == [
        f"cancelled though nobody was told so: {order_id}",
        "a delivery that was ok is booked 0 times: lost",
        "a delivery that was refused is booked 1 times: refused",
    ]


async def test_i2_finds_an_order_that_was_given_what_nobody_holds(books: Books, journal: Journal) -> None:
    await write_order(books, order_id := uuid4(), "bare", "confirmed", given=given(offer_id := uuid4()))
    await write_hold(books, order_id, "committed")
    assert await judge(books, journal) == {"I2": [f"given and not held so: {order_id} {offer_id} 2"]}


async def test_i2_finds_two_orders_of_one_key(books: Books, journal: Journal) -> None:
    first, second = sorted([uuid4(), uuid4()], key=str)
    ask = ask_for(journal, "order", "twice", accepted(first), accepted(second))
    await keep(books, ask)
    for order_id in (first, second):
        await write_order(books, order_id, "twice")
    found = await judge(books, journal)
    assert found["I2"][0] == f"several orders of one key: key-twice ['{first}', '{second}']"
    assert found["I2"][1].startswith("written twice: twice")


async def test_i2_finds_an_order_whose_hold_is_of_another_quantity(books: Books, journal: Journal) -> None:
    await write_order(books, order_id := uuid4(), "other", "confirmed", given=given(offer_id := uuid4()))
    await write_hold(books, order_id, "committed", offer_id, quantity=3, held=0, committed=3)
    await plant(books.connections["catalog"], "stock", offer_id=offer_id, on_hand=3, reserved=3)
    await plant(books.connections["catalog"], "stock_ledger", offer_id=offer_id, delta=3)
    assert await judge(books, journal) == {"I2": [f"given and not held so: {order_id} {offer_id} 2"]}


@pytest.mark.parametrize(
    ("shelf", "booked", "held", "words"),
    [
        ({"on_hand": -1, "reserved": 0}, -1, 0, "below zero or oversold"),
        ({"on_hand": 5, "reserved": 6}, 5, 6, "below zero or oversold"),
        ({"on_hand": 5, "reserved": 2}, 4, 2, "the ledger says otherwise"),
        ({"on_hand": 5, "reserved": 2}, 5, 1, "the holds say otherwise"),
    ],
)
async def test_i3_finds_what_is_oversold_or_does_not_add_up(
    books: Books, shelf: dict[str, int], booked: int, held: int, words: str
) -> None:
    catalog, offer_id = books.connections["catalog"], uuid4()
    await plant(catalog, "stock", offer_id=offer_id, **shelf)
    await plant(catalog, "stock_ledger", offer_id=offer_id, delta=booked)
    await plant(catalog, "holds", offer_id=offer_id, quantity=held, held=0, committed=held)
    found = await judge(books, Journal())
    assert list(found) == ["I3"]
    assert [row.partition(":")[0] for row in found["I3"]] == [words]


async def test_i4_finds_a_price_and_a_charge_above_the_cap(books: Books, journal: Journal) -> None:
    offer_id = uuid4()
    await plant(
        books.connections["catalog"],
        "offers",
        offer_id=offer_id,
        is_blocked=False,
        price_fen=101,
        cap_fen=100,
    )
    await write_order(books, uuid4(), "dear", "cancelled", given=given(offer_id, price_fen=102))
    found = await judge(books, journal)
    assert [row.partition(":")[0] for row in found["I4"]] == [
        "on sale above its cap", "charged above its cap 100",
    ]  # fmt: skip


async def test_i5_finds_what_never_left_never_came_and_what_came_from_nowhere(
    books: Books, journal: Journal
) -> None:
    event_id = uuid4()
    await plant(
        books.connections["orders"], "outbox_event",
        id=1, event_id=event_id, topic="orders", key="k", version=1, day=NOW.date(),
    )  # fmt: skip
    await plant(books.connections["orders"], "outbox_pending", shard=0, id=1, day=NOW.date())
    await books.connections["orders"].execute(
        "UPDATE outbox_event SET recorded_at = now() - interval '1 min'"
    )
    stray = record_of("stray", 1)
    await plant(
        books.connections["catalog"],
        "inbox",
        consumer="catalog",
        event_day=NOW.date(),
        event_id=stray.event_id,
    )
    await plant(books.connections["dispatch"], "parked", consumer="dispatch", topic="orders", key="k")
    found = (await judge(books, journal, stray))["I5"]
    assert [row.partition(":")[0] for row in found] == [
        "never on the bus orders", "on the bus and in no outbox orders", "pending in orders",
        "never applied by catalog", "applied and in no outbox, by catalog", "never applied by dispatch",
        "parked by dispatch",
    ]  # fmt: skip


def test_i6_finds_a_gap_and_a_step_forward_and_forgives_a_copy() -> None:
    written = {"orders": [(uuid4(), "orders", "whole", 1), (uuid4(), "orders", "gap", 1),
                          (uuid4(), "orders", "gap", 3)]}  # fmt: skip
    again = [record_of("whole", 1), record_of("whole", 2), record_of("whole", 1), record_of("whole", 2)]
    assert of_events.find_out_of_order({}, again) == []
    early = [record_of("late", 2), record_of("late", 1)]
    assert of_events.find_out_of_order(written, early) == [
        "written: ('orders', 'gap') has [1, 3]", "on the bus: ('orders', 'late') goes from 0 to 2",
    ]  # fmt: skip


async def test_i7_finds_what_is_past_its_deadline_what_stays_open_and_what_ended_in_two_ways(
    books: Books, journal: Journal
) -> None:
    ago, offer_id = NOW - timedelta(seconds=90), uuid4()
    await write_order(books, late := uuid4(), "late", "placed", decide_by=ago)
    await write_hold(books, held := uuid4(), "held")
    await write_hold(
        books, both := uuid4(), "committed", offer_id, quantity=2, held=0, committed=1, released=1
    )
    await write_order(books, both, "both", "cancelled")
    await plant(
        books.connections["dispatch"], "plans", plan_id=(plan := uuid4()), status="solving", lease_until=ago
    )
    found = (await judge(books, journal))["I7"]
    assert found[:2] == [f"past its deadline: order {late}", f"past its deadline: plan {plan}"]
    assert [row.partition(":")[0] for row in found[2:4]] == ["without an end", "given and released"]
    assert found[4:] == [f"order {both} is cancelled, its goods are committed"]
    assert str(held) in found[2]


TABLES = {"group": "group_orders", "slot": "slots", "reservation": "reservations", "plan": "plans"}


@pytest.mark.parametrize(
    ("service", "what", "status", "deadline"),
    [
        ("orders", "group", "locked", "decide_by"),
        ("orders", "group", "open", "cut_off_at"),
        ("orders", "slot", "open", "cut_off_at"),
        ("catalog", "reservation", "waiting", "deadline_at"),
        ("catalog", "reservation", "held", "limit_at"),
        ("dispatch", "plan", "requested", "requested_at"),
    ],
)
async def test_i7_finds_each_kind_of_work_that_is_late_by_more_than_a_minute(
    books: Books, service: str, what: str, status: str, deadline: str
) -> None:
    await plant(books.connections["orders"], "zones", zone_id=(zone_id := uuid4()), status="open", path=[])
    more = {"slot": {"zone_id": zone_id}, "reservation": {"is_group": True}}.get(what, {})
    # A plan has a minute of its own until its solver takes it.
    allowed = 120 if what == "plan" else 60
    late = uuid4()
    for id_, seconds in ((late, allowed + 5), (uuid4(), allowed - 5)):
        at = datetime.now(UTC) - timedelta(seconds=seconds)
        row = {f"{what}_id": id_, "status": status, deadline: at}
        await plant(books.connections[service], TABLES[what], **row, **more)
    assert await of_stock.find_late(books) == [f"past its deadline: {what} {late}"]


@pytest.mark.parametrize(
    ("order", "goods"),
    [("confirmed", "released"), ("confirmed", None), ("fulfilled", "refused"), ("refused", "committed")],
)
async def test_i7_finds_goods_that_ended_otherwise_than_their_order(
    books: Books, order: str, goods: str | None
) -> None:
    await write_order(books, order_id := uuid4(), "one", order)
    if goods:
        await write_hold(books, order_id, goods)
    assert await of_stock.find_endless(books) == [f"order {order_id} is {order}, its goods are {goods}"]


@pytest.mark.parametrize(
    ("zones", "said", "is_found"),
    [
        (["sealed"], {"sealed_until": NOW + timedelta(hours=1)}, False),
        (["sealed"], {"sealed_until": NOW - timedelta(seconds=1)}, True),
        (["sealed"], {"controlled_until": NOW + timedelta(hours=1)}, True),
        (["controlled", "sealed"], {"controlled_until": NOW + timedelta(hours=1)}, True),
        (["precaution"], {"precaution_until": NOW + timedelta(hours=1), "is_suspended": True}, True),
    ],
)
async def test_i8_looks_at_each_class_of_zone_and_until_when(
    books: Books, zones: list[str], said: dict[str, object], *, is_found: bool
) -> None:
    dispatch, person, zone_ids = books.connections["dispatch"], uuid4(), [uuid4() for _ in zones]
    for zone_id, zone_class in zip(zone_ids, zones, strict=True):
        await plant(dispatch, "zones", zone_id=zone_id, zone_class=zone_class)
    said_from = NOW - timedelta(hours=1)
    await plant(dispatch, "crew_history", person_id=person, sequence=1, said_from=said_from, **said)
    for is_degraded in (False, True):
        seat = {"driver_id": person, "seated_at": NOW, "is_degraded": is_degraded}
        await plant(dispatch, "trips", trip_id=(trip := uuid4()), zone_ids=zone_ids, status="planned")
        await plant(dispatch, "trip_seats", trip_id=trip, **seat)
    assert len(await of_people.find_uncleared(books)) == is_found


async def test_i8_finds_a_record_of_a_breach_whose_hand_over_is_not_flagged(books: Books) -> None:
    dispatch = books.connections["dispatch"]
    await plant(dispatch, "hand_overs", hand_over_id=(id_ := uuid4()), leg=3, is_breach=False)
    await plant(dispatch, "breaches", hand_over_id=id_)
    (found,) = await of_people.find_uncleared(books)
    assert found.startswith("a flag without its record, or a record without its flag")


async def test_i8_finds_who_was_seated_or_took_over_without_being_cleared(
    books: Books, journal: Journal
) -> None:
    dispatch, zone_id, person = books.connections["dispatch"], uuid4(), uuid4()
    await plant(dispatch, "zones", zone_id=zone_id, zone_class="sealed")
    await plant(
        dispatch, "crew_history", person_id=person, sequence=1, said_from=NOW - timedelta(hours=1),
        sealed_until=NOW + timedelta(hours=1), is_suspended=True,
    )  # fmt: skip
    await plant(dispatch, "trips", trip_id=(trip := uuid4()), zone_ids=[zone_id], status="planned")
    await plant(dispatch, "trip_seats", trip_id=trip, driver_id=person, seated_at=NOW)
    await plant(dispatch, "loads", load_id=(load := uuid4()), zone_id=zone_id)
    await plant(dispatch, "load_units", load_unit_id=(unit := uuid4()), load_id=load)
    for is_breach in (False, True):
        await plant(
            dispatch,
            "hand_overs",
            load_unit_id=unit,
            leg=1,
            taker_id=person,
            reckoned_at=NOW,
            is_breach=is_breach,
        )
    found = (await judge(books, journal))["I8"]
    assert [row.partition(":")[0] for row in found] == [
        "seated and not cleared", "took over, was not cleared, and is not flagged",
        "a flag without its record, or a record without its flag",
    ]  # fmt: skip


async def test_i9_finds_another_answer_a_kept_refusal_and_another_body_that_was_granted(
    books: Books, journal: Journal
) -> None:
    delivery = ask_for(
        journal, "delivery", "van", Told(200, b"first"), Told(200, b"second"), path="/v1/stock"
    )
    await keep(books, delivery, service="catalog")
    await keep(books, ask_for(journal, "cancel", "no", refused(), path="/v1/x"), body=b"{}")
    delivery.abused.append(Told(200, b"first"))
    assert [row.partition(":")[0] for row in (await judge(books, journal))["I9"]] == [
        "answers differ", "another body was granted", "refused and yet kept",
    ]  # fmt: skip


async def test_i10_finds_a_person_in_an_event_and_in_a_log(
    books: Books, journal: Journal, tmp_path: Path
) -> None:
    (tmp_path / "orders-work.log").write_text(f"order.placed phone={PHONE}\n")
    (tmp_path / "orders-serve.log").write_text("order.placed\n")
    found = await judge(
        books, journal, record_of("k", 1, value=f'{{"phone": "{PHONE}"}}'.encode()),
        canaries=[PHONE], logs=tmp_path,
    )  # fmt: skip
    assert found["I10"] == [
        f"{PHONE} in event orders.order_placed.v1 of k", f"{PHONE} in log orders-work.log",
    ]  # fmt: skip


async def test_a_look_in_mid_run_counts_what_it_finds_and_one_that_meets_no_database_is_missed(
    kept: Books, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = books.connections["catalog"]
    await plant(catalog, "stock", offer_id=uuid4(), on_hand=1, reserved=2)
    await plant(catalog, "offers", is_blocked=False, price_fen=101, cap_fen=100)
    await write_order(books, uuid4(), "late", "placed", decide_by=NOW - timedelta(seconds=90))
    answers: list[bool] = [False, True]

    @asynccontextmanager
    async def opened(_urls: Mapping[str, str], *, within: float) -> AsyncIterator[Books]:
        if not answers:
            await asyncio.sleep(within * 60)
        if not answers.pop(0):
            raise ConnectionRefusedError
        yield kept

    monkeypatch.setattr(ledgers, "opened", opened)
    monkeypatch.setattr(invariants, "SAMPLES_EVERY", 0.0)
    sampler = invariants.Sampler({})
    looking = asyncio.create_task(sampler.keep_looking())
    async with asyncio.timeout(10):
        while not sampler.looked:  # noqa: ASYNC110 - it tells nobody when it has looked
            await asyncio.sleep(0.01)
    looking.cancel()
    assert (sampler.looked, sampler.missed) == (1, 1)
    assert sorted(name.partition(":")[0] for name in sampler.violations) == [
        "I3* below zero or oversold", "I3* the holds say otherwise", "I3* the ledger says otherwise",
        "I4* on sale above its cap", "I7* past its deadline",
    ]  # fmt: skip


async def test_a_town_that_does_not_come_to_rest_is_told_by_what_is_still_under_way(books: Books) -> None:
    assert await rest(books, within=5) < 5
    await write_order(books, uuid4(), "open", "placed")
    with pytest.raises(Restless, match=r"\{'undecided orders': 1\}"):
        await rest(books, within=0.1)


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        (Told(None), Outcome.UNKNOWN),
        (Told(500, b"{}"), Outcome.UNKNOWN),
        (Told(503, b"not json"), Outcome.UNKNOWN),
        (Told(429, b"{}"), Outcome.UNKNOWN),
        (Told(409, b'{"code": "kit.idempotency_in_flight"}'), Outcome.UNKNOWN),
        (Told(409, b'{"code": "orders.too_late_to_cancel"}'), Outcome.REFUSED),
        (Told(422, b"{}"), Outcome.REFUSED),
        (Told(200, b"{}"), Outcome.OK),
    ],
)
def test_an_answer_that_may_pass_by_itself_leaves_it_open(told: Told, outcome: Outcome) -> None:
    assert told.outcome is outcome


def test_the_consumers_that_are_judged_are_those_that_the_workers_have() -> None:
    for service in of_events.SERVICES:
        worker = Path(str(import_module(f"services.{service}.worker").__file__)).read_text()
        topics = re.search(r"\btopics=(\(.*?\))", worker)
        assert topics is not None
        assert ast.literal_eval(topics[1]) == of_events.READS.get(service, ())
