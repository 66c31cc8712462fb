import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from services.contracts.values import WantedLine
from services.kit import database
from services.kit.ids import new_id
from services.orders.intake import application
from services.orders.intake.domain import Channel, NewOrder
from tests.orders.ground import CABBAGE, RICE, line, open_ground, place, taken, told, value, words
from tests.serving import headers


async def ask(client, ground, body=None, *, head=None, number=0):
    head = head or ground.resident(number, key=str(new_id()))
    return await client.post("/v1/orders", json=body or ground.body(), headers=head)


def codes(answer):
    return [(error["pointer"], error["code"]) for error in answer.json()["errors"]]


async def test_an_accepted_order_is_in_the_books_with_its_quota_its_slot_and_its_word(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    head = ground.resident(key="k1")
    answer = await ask(client, ground, ground.body(line(quantity=2), line(RICE, 3)), head=head)
    assert answer.status_code == 202
    order_id = answer.json()["order_id"]
    assert answer.json() == {"order_id": order_id, "status": "placed"}
    assert answer.headers["location"] == f"/v1/orders/{order_id}"
    assert await taken(service_sessions, ground) == (1, 1, 5)
    (said,) = await words(service_sessions, order_id)
    assert said == {
        "order_id": order_id,
        "incident_id": str(ground.incident_id),
        "zone_id": str(ground.zone_id),
        "slot_id": str(ground.slot_id),
        "community_id": str(ground.village_id),
        "building_id": str(ground.building_id),
        "household_id": str(ground.household_ids[0]),
        "lines": [
            {"line": 1, "product_id": str(CABBAGE), "quantity": 2, "seen_price_fen": 450, "substitutes": []},
            {"line": 2, "product_id": str(RICE), "quantity": 3, "seen_price_fen": 450, "substitutes": []},
        ],
    }
    assert await told(service_sessions, order_id) == [("order_placed", 1)]
    read = (await client.get(f"/v1/orders/{order_id}", headers=head)).json()
    assert (read["status"], read["channel"], read["delayed"]) == ("placed", "resident", False)
    assert (read["given"], read["refusals"], read["decided_at"]) == ([], [], None)
    assert [each["quantity"] for each in read["lines"]] == [2, 3]
    until = await value(service_sessions, "SELECT decide_by - placed_at FROM orders")
    assert until == timedelta(seconds=30)


async def test_the_word_about_an_order_carries_the_id_of_its_own_request(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=5)
    asked = [
        ask(client, ground, head={**ground.resident(number, key="k"), "x-request-id": f"request-{number}"})
        for number in range(5)
    ]
    ids = [answer.json()["order_id"] for answer in await asyncio.gather(*asked)]
    async with service_sessions() as session:
        found = await session.execute(text("SELECT key, trace FROM outbox_event"))
        traces = {row.key: row.trace for row in found}
    assert traces == {order_id: f"request-{number}" for number, order_id in enumerate(ids)}


async def test_a_key_sent_twenty_times_at_once_makes_one_order_and_answers_the_same_bytes(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    head = ground.resident(key="same")
    answers = await asyncio.gather(*(ask(client, ground, head=head) for _ in range(20)))
    in_flight = [answer for answer in answers if answer.status_code == 409]
    assert {answer.json()["code"] for answer in in_flight} <= {"kit.idempotency_in_flight"}
    accepted = [answer for answer in answers if answer.status_code == 202]
    accepted.append(await ask(client, ground, head=head))
    assert len(accepted) + len(in_flight) == 21
    assert len({answer.content for answer in accepted}) == 1
    assert accepted[-1].headers["idempotency-replayed"] == "true"
    assert await value(service_sessions, "SELECT count(*) FROM orders") == 1
    assert await taken(service_sessions, ground) == (1, 1, 2)


async def test_a_key_used_for_another_body_is_refused_and_one_without_a_key_too(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    head = ground.resident(key="same")
    await ask(client, ground, head=head)
    answer = await ask(client, ground, ground.body(line(quantity=3)), head=head)
    assert (answer.status_code, answer.json()["code"]) == (422, "kit.idempotency_key_reused")
    answer = await ask(client, ground, head=ground.resident())
    assert (answer.status_code, answer.json()["code"]) == (400, "kit.idempotency_key_missing")
    assert await taken(service_sessions, ground) == (1, 1, 2)


async def test_a_refusal_uses_up_no_key(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, capacity=0)
    head = ground.resident(key="same")
    assert (await ask(client, ground, head=head)).status_code == 422
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE slots SET capacity = 1"))
    assert (await ask(client, ground, head=head)).status_code == 202


async def test_the_same_external_id_is_the_same_order_or_a_conflict(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    first = await ask(client, ground, ground.body(external_id="mine"))
    again = await ask(client, ground, ground.body(external_id="mine"))
    other = await ask(client, ground, ground.body(line(quantity=9), external_id="mine"))
    assert again.status_code == 202
    assert again.json() == first.json()
    assert (other.status_code, other.json()["code"]) == (409, "orders.external_id_taken")
    assert await taken(service_sessions, ground) == (1, 1, 2)


async def test_one_external_id_under_two_keys_at_once_makes_one_order(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    body = ground.body(external_id="mine")
    answers = await asyncio.gather(*(ask(client, ground, body) for _ in range(10)))
    refused = [answer.json()["code"] for answer in answers if answer.status_code == 409]
    assert set(refused) <= {"orders.external_id_in_flight"}
    assert len({answer.content for answer in answers if answer.status_code == 202}) == 1
    assert await value(service_sessions, "SELECT count(*) FROM orders") == 1


async def test_a_name_in_other_hands_is_told_at_once(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    subject = f"resident-{ground.household_ids[0]}"
    async with service_sessions.begin() as session:
        assert await database.try_names(session, [f"{subject}\nmine"]) == [True]
        answer = await ask(client, ground, ground.body(external_id="mine"))
    assert (answer.status_code, answer.json()["code"]) == (409, "orders.external_id_in_flight")
    assert answer.headers["retry-after"] == "1"
    assert await taken(service_sessions, ground) == (0, 0, 0)


async def test_batches_that_meet_in_opposite_order_never_wait_for_each_other(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions, households=16, slots=2, orders=100, units=1000)

    def batch(*, reverse):
        orders = [
            NewOrder(
                order_id=new_id(),
                household_id=household_id,
                slot_id=slot_id,
                channel=Channel.RESIDENT,
                lines=(WantedLine(line=1, product_id=CABBAGE, quantity=1, seen_price_fen=450),),
                correlation_id="c",
                client="c",
            )
            for household_id in ground.household_ids
            for slot_id in ground.slot_ids
        ]
        return orders[::-1] if reverse else orders

    async def write(orders):
        async with service_sessions.begin() as session:
            return await application.place_orders(session, orders, await database.now(session))

    outcomes = await asyncio.gather(*(write(batch(reverse=bool(turn % 2))) for turn in range(8)))
    placed = [each for outcome in outcomes for each in outcome if isinstance(each, application.Placed)]
    assert len(placed) == 100 + 100
    assert await taken(service_sessions, ground) == (100, 200, 200)


async def test_a_households_quota_holds_against_orders_at_once(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, orders=3, units=50)
    answers = await asyncio.gather(*(ask(client, ground) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [422] * 17
    refused = next(answer for answer in answers if answer.status_code == 422)
    assert refused.json()["code"] == "orders.quota_exceeded"
    assert refused.json()["errors"] == [
        {
            "pointer": "/household_id",
            "code": "orders.quota_exceeded",
            "params": {"measure": "orders", "asked": 1, "available": 0},
            "detail": "The household's quota does not allow so much: asked for 1, there are 0 left",
        }
    ]
    assert await taken(service_sessions, ground) == (3, 3, 6)
    assert await value(service_sessions, "SELECT count(*) FROM idempotency") == 3


async def test_a_slot_is_not_sold_twice_and_the_next_one_is_named(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=30, capacity=7, slots=2)
    answers = await asyncio.gather(*(ask(client, ground, number=number) for number in range(30)))
    assert sorted(answer.status_code for answer in answers) == [202] * 7 + [422] * 23
    refused = next(answer for answer in answers if answer.status_code == 422)
    assert refused.json()["code"] == "orders.slot_full"
    assert refused.headers["retry-after"] == "60"
    assert refused.json()["errors"][0]["params"] == {"next_slot_id": str(ground.slot_ids[1])}
    assert await taken(service_sessions, ground) == (7, 7, 14)


async def test_every_reason_is_named_at_once(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, units=3, cut_off=timedelta(seconds=-1))
    answer = await ask(client, ground, ground.body(line(quantity=2), line(quantity=2)))
    assert (answer.status_code, answer.json()["code"]) == (422, "orders.order_rejected")
    assert codes(answer) == [
        ("/lines/1/product_id", "orders.product_twice"),
        ("/lines", "orders.quota_exceeded"),
        ("/slot_id", "orders.slot_closed"),
    ]
    assert await taken(service_sessions, ground) == (0, 0, 0)
    assert await value(service_sessions, "SELECT count(*) FROM outbox_event") == 0


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"capacity": None}, "orders.channels_closed"),
        ({"status": "activated"}, "orders.channels_closed"),
        ({"cut_off": timedelta(seconds=-1)}, "orders.slot_closed"),
        ({"capacity": 0}, "orders.slot_full"),
    ],
)
async def test_a_slot_that_takes_nothing_says_why(client, service_sessions, given, code) -> None:
    ground = await open_ground(service_sessions, **given)
    answer = await ask(client, ground)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await value(service_sessions, "SELECT count(*) FROM orders") == 0


async def test_an_unknown_slot_and_that_of_another_zone_are_answered_alike(client, service_sessions) -> None:
    ground, other = await open_ground(service_sessions), await open_ground(service_sessions)
    answers = [
        await ask(client, ground, ground.body() | {"slot_id": str(slot_id)})
        for slot_id in (new_id(), other.slot_id)
    ]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].json()["code"] == "orders.slot_unknown"
    assert answers[0].content == answers[1].content


async def test_a_claim_of_a_household_that_is_not_registered_is_named(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    answer = await ask(client, ground, head=headers("resident", household_id=new_id(), key="k"))
    assert (answer.status_code, answer.json()["code"]) == (422, "orders.household_unknown")
    answer = await ask(client, ground, head=headers("hotline", zone_ids=[ground.town_id], key="k"))
    assert (answer.status_code, answer.json()["code"]) == (422, "orders.household_missing")


@pytest.mark.parametrize(
    "change",
    [
        {"lines": []},
        {"lines": [line()] * 51},
        {"lines": [line(quantity=0)]},
        {"lines": [line(quantity=1000)]},
        {"lines": [line(seen_price_fen=-1)]},
        {"lines": [line(seen_price_fen=10_000_001)]},
        {"lines": [line() | {"substitutes": [str(new_id()) for _ in range(6)]}]},
        {"lines": [line() | {"price_fen": 1}]},
        {"status": "confirmed"},
        {"external_id": ""},
        {"slot_id": "tomorrow"},
    ],
)
async def test_a_body_out_of_its_bounds_is_refused(client, service_sessions, change) -> None:
    ground = await open_ground(service_sessions)
    answer = await ask(client, ground, ground.body() | change)
    assert (answer.status_code, answer.json()["code"]) == (422, "kit.invalid")
    assert await value(service_sessions, "SELECT count(*) FROM orders") == 0


async def on_duty(sessions, ground, person_id, *, hours=1):
    now = datetime.now(UTC)
    async with sessions.begin() as session:
        duty_id = new_id()
        await session.execute(
            text("""
                INSERT INTO duties VALUES (:duty, :person, 'steward', :village,
                                           ARRAY[CAST(:building AS uuid)], :starts, :ends, 1, NULL)
            """),
            {
                "duty": duty_id, "person": person_id, "village": ground.village_id,
                "building": ground.building_id, "starts": now - timedelta(hours=2),
                "ends": now + timedelta(hours=hours),
            },
        )  # fmt: skip
        await session.execute(
            text("INSERT INTO building_stewards VALUES (:building, :duty)"),
            {"building": ground.building_id, "duty": duty_id},
        )


async def test_a_steward_on_duty_orders_on_behalf_and_one_off_duty_finds_nobody(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions)
    steward, former = new_id(), new_id()
    await on_duty(service_sessions, ground, steward)
    await on_duty(service_sessions, ground, former, hours=-1)
    body = ground.body(household_id=str(ground.household_ids[0]))
    answer = await ask(client, ground, body, head=headers("steward", subject=steward, key="k"))
    assert answer.status_code == 202
    assert await value(service_sessions, "SELECT channel FROM orders") == "steward"
    answer = await ask(client, ground, body, head=headers("steward", subject=former, key="k"))
    assert (answer.status_code, answer.json()["code"]) == (404, "kit.not_found")
    assert await taken(service_sessions, ground) == (1, 1, 2)


async def test_the_hotline_orders_for_households_of_its_area_alone(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    body = ground.body(household_id=str(ground.household_ids[0]))
    answer = await ask(client, ground, body, head=headers("hotline", zone_ids=[ground.town_id], key="k"))
    assert answer.status_code == 202
    assert await value(service_sessions, "SELECT channel FROM orders") == "hotline"
    answer = await ask(client, ground, body, head=headers("hotline", zone_ids=[new_id()], key="k"))
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("resident", 404),
        ("steward", 404),
        ("leader", 403),
        ("commander", 403),
        ("driver", 403),
        ("outlet", 403),
    ],
)
async def test_another_household_is_answered_like_one_that_does_not_exist(
    client, service_sessions, role, status
) -> None:
    ground = await open_ground(service_sessions, households=2)
    head = headers(role, household_id=ground.household_ids[1], zone_ids=[ground.town_id], key="k")
    answers = [
        await ask(client, ground, ground.body(household_id=str(household_id)), head=head)
        for household_id in (ground.household_ids[0], new_id())
    ]
    assert [answer.status_code for answer in answers] == [status, status]
    assert answers[0].content == answers[1].content
    assert await value(service_sessions, "SELECT count(*) FROM orders") == 0


async def test_an_order_is_shown_to_its_household_its_steward_and_those_over_its_area(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions, households=2)
    order_id = await place(client, ground)
    steward = new_id()
    await on_duty(service_sessions, ground, steward)
    nothing = (await client.get(f"/v1/orders/{new_id()}", headers=ground.resident())).content
    seen = {
        "own": ground.resident(0),
        "other": ground.resident(1),
        "steward": headers("steward", subject=steward),
        "other steward": headers("steward", subject=new_id()),
        "commander of the town": headers("commander", zone_ids=[ground.town_id]),
        "commander of the zone": headers("commander", zone_ids=[ground.zone_id]),
        "another commander": headers("commander", zone_ids=[new_id()]),
        "driver": headers("driver", zone_ids=[ground.town_id]),
    }
    answers = {name: await client.get(f"/v1/orders/{order_id}", headers=head) for name, head in seen.items()}
    assert [name for name, answer in answers.items() if answer.status_code == 200] == [
        "own", "steward", "commander of the town", "commander of the zone",
    ]  # fmt: skip
    assert {answer.content for answer in answers.values() if answer.status_code != 200} == {nothing}


async def test_a_household_lists_its_orders_by_pages_and_nobody_elses(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=2)
    mine = [str(await place(client, ground)) for _ in range(3)]
    await place(client, ground, 1)
    page = (await client.get("/v1/orders?limit=2", headers=ground.resident())).json()
    rest = (await client.get(f"/v1/orders?limit=2&cursor={page['cursor']}", headers=ground.resident())).json()
    assert [item["order_id"] for item in page["items"] + rest["items"]] == mine
    assert rest["cursor"] is None
    other = f"/v1/orders?household_id={ground.household_ids[1]}"
    assert (await client.get(other, headers=ground.resident())).status_code == 404
    answer = await client.get("/v1/orders", headers=headers("commander", zone_ids=[ground.town_id]))
    assert (answer.status_code, answer.json()["code"]) == (422, "orders.household_missing")
    head = headers("commander", zone_ids=[ground.town_id])
    assert len((await client.get(other, headers=head)).json()["items"]) == 1


async def test_who_has_no_right_to_order_is_told_so_before_anything_else(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    head = headers("regulator", key="k")
    for answer in (
        await ask(client, ground, head=head),
        await ask(client, ground, ground.body(household_id=str(ground.household_ids[0])), head=head),
        await client.get("/v1/orders", headers=head),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
    assert await taken(service_sessions, ground) == (0, 0, 0)
