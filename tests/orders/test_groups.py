import asyncio
import re
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from services.contracts import sharing
from services.contracts.catalog import HoldOverdue
from services.contracts.values import WantedLine
from services.kit import database
from services.kit.ids import new_id
from services.orders.groups import application, sharing_out
from services.orders.intake import application as intake
from services.orders.intake import deciding
from services.orders.intake.domain import Channel, NewOrder
from tests.orders.bus import deliver
from tests.orders.ground import CABBAGE, RICE, line, open_ground, taken, told, value, words
from tests.orders.grouping import (
    filled,
    grant,
    granted,
    group_body,
    join,
    leader,
    lock,
    moment,
    open_group,
    pass_the_cut_off,
    read,
    read_part,
    run,
)
from tests.serving import headers


async def test_a_part_is_an_order_that_takes_quota_and_slot_at_once_and_is_told_to_nobody(
    client, service_sessions
) -> None:
    ground, group_id, parts = await filled(client, service_sessions)
    assert await taken(service_sessions, ground) == (3, 3, 9)
    part = await read_part(client, ground, parts[0])
    assert (part["status"], part["channel"], part["group_id"]) == ("placed", "resident", str(group_id))
    assert await told(service_sessions, parts[0]) == []
    assert await value(service_sessions, "SELECT count(*) FROM orders WHERE decide_by IS NOT NULL") == 0
    seen = await read(client, ground, group_id)
    assert (seen["status"], seen["households"], seen["seed"], seen["rule"]) == ("open", 3, None, None)
    assert seen["tally"] == sorted(
        [
            {"product_id": str(CABBAGE), "quantity": 6, "seen_price_fen": 450},
            {"product_id": str(RICE), "quantity": 3, "seen_price_fen": 450},
        ],
        key=lambda each: each["product_id"],
    )


async def test_a_group_above_its_minimum_locks_with_its_tally_and_never_its_manifest(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions, households=2)
    group_id = await open_group(client, ground)
    await join(client, ground, group_id, 0, line(CABBAGE, 2, 450))
    await join(client, ground, group_id, 1, line(CABBAGE, 3, 430))
    assert await run(service_sessions, application.end_due) == 0
    await lock(service_sessions)
    assert await told(service_sessions, group_id) == [("group_locked", 1)]
    assert await words(service_sessions, group_id) == [
        {
            "group_id": str(group_id), "zone_id": str(ground.zone_id), "slot_id": str(ground.slot_id),
            "incident_id": str(ground.incident_id), "households": 2,
            "tally": [
                {"product_id": str(CABBAGE), "quantity": 3, "seen_price_fen": 430},
                {"product_id": str(CABBAGE), "quantity": 2, "seen_price_fen": 450},
            ],
        }
    ]  # fmt: skip
    seen = await read(client, ground, group_id)
    assert (seen["status"], seen["households"], seen["rule"]) == ("locked", 2, sharing.RULE)
    assert re.fullmatch("[0-9a-f]{32}", seen["seed"])
    left = await value(service_sessions, "SELECT decide_by - locked_at FROM group_orders")
    assert left == timedelta(seconds=30)
    assert await run(service_sessions, application.end_due) == 0


async def test_two_groups_locked_at_once_have_seeds_that_nobody_could_know(client, service_sessions) -> None:
    ground, first, _ = await filled(client, service_sessions)
    second = await open_group(client, ground, minimum=1)
    await join(client, ground, second, 0)
    assert (await read(client, ground, first))["seed"] is None
    await pass_the_cut_off(service_sessions)
    assert [await run(service_sessions, application.end_due) for _ in range(2)] == [1, 1]
    seeds = {(await read(client, ground, group_id))["seed"] for group_id in (first, second)}
    assert len(seeds) == 2
    kept = await value(service_sessions, "SELECT string_agg(seed, ' ') FROM group_orders")
    assert set(kept.split()) == seeds


async def test_a_whole_grant_confirms_every_part_with_its_own_lines(client, service_sessions) -> None:
    ground, group_id, parts = await filled(client, service_sessions)
    await lock(service_sessions)
    grants = grant(CABBAGE, 6, 6), grant(RICE, 3, 3)
    await deliver(service_sessions, (granted(group_id, *grants), 1))
    for number, order_id in enumerate(parts):
        part = await read_part(client, ground, order_id, number)
        assert (part["status"], part["refusals"]) == ("confirmed", [])
        assert [(each["line"], each["quantity"]) for each in part["given"]] == [(1, 2), (2, 1)]
        assert await told(service_sessions, order_id) == [("order_confirmed", 1)]
        (said,) = await words(service_sessions, order_id)
        assert said["group_id"] == str(group_id)
    assert (await read(client, ground, group_id))["status"] == "decided"
    assert await taken(service_sessions, ground) == (3, 3, 9)


async def test_a_short_grant_is_shared_to_the_unit_and_every_short_line_is_named(
    client, service_sessions
) -> None:
    ground, group_id, parts = await filled(client, service_sessions)
    await lock(service_sessions)
    grants = grant(CABBAGE, 6, 3, 2), grant(RICE, 3, 1)
    await deliver(service_sessions, (granted(group_id, *grants), 1))
    seen = [await read_part(client, ground, order_id, number) for number, order_id in enumerate(parts)]
    assert {part["status"] for part in seen} == {"confirmed"}
    for given in grants:
        for part in given.parts:
            of_part = [
                each["quantity"]
                for order in seen
                for each in order["given"]
                if each["offer_id"] == str(part.offer_id)
            ]
            assert sum(of_part) == part.quantity
    seed = (await read(client, ground, group_id))["seed"]
    with_rice, *without = sharing.draw(ground.household_ids, seed=seed, product_id=RICE)
    full_of_cabbage = set(sharing.draw(ground.household_ids, seed=seed, product_id=CABBAGE)[:2])
    for household_id, order in zip(ground.household_ids, seen, strict=True):
        short = {each["params"]["line"]: each["params"] for each in order["refusals"]}
        assert {each["code"] for each in order["refusals"]} <= {"orders.group_short"}
        assert (1 in short) is (household_id not in full_of_cabbage)
        assert (2 in short) is (household_id in without)
        if household_id in without:
            assert short[2] == {"line": 2, "product_id": str(RICE), "asked": 1, "available": 0}
    assert with_rice in ground.household_ids


async def test_a_part_that_gets_nothing_is_refused_and_gives_its_quota_and_slot_back(
    client, service_sessions
) -> None:
    ground, group_id, parts = await filled(client, service_sessions, lines=(line(CABBAGE, 1),))
    await lock(service_sessions)
    await deliver(service_sessions, (granted(group_id, grant(CABBAGE, 3, 2)), 1))
    seen = [await read_part(client, ground, order_id, number) for number, order_id in enumerate(parts)]
    assert sorted(part["status"] for part in seen) == ["confirmed", "confirmed", "refused"]
    (refused,) = [part for part in seen if part["status"] == "refused"]
    assert refused["refusals"][0]["code"] == "orders.group_short"
    (said,) = await words(service_sessions, refused["order_id"])
    assert (said["reservation_id"], said["lines"]) == (str(group_id), [])
    assert await taken(service_sessions, ground) == (2, 2, 2)


async def test_a_part_that_saw_a_price_below_every_offer_is_alone_without_goods(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions, households=3)
    group_id = await open_group(client, ground)
    prices = (450, 0, 450)
    parts = [
        UUID((await join(client, ground, group_id, number, line(CABBAGE, 1, seen))).json()["order_id"])
        for number, seen in enumerate(prices)
    ]
    await lock(service_sessions)
    await deliver(service_sessions, (granted(group_id, grant(CABBAGE, 3, 2)), 1))
    seen = [await read_part(client, ground, order_id, number) for number, order_id in enumerate(parts)]
    assert [part["status"] for part in seen] == ["confirmed", "refused", "confirmed"]
    [refusal] = seen[1]["refusals"]
    assert (refusal["code"], refusal["params"]["asked"]) == ("catalog.price_changed", 0)


async def test_a_second_grant_changes_nothing_and_one_for_nobody_is_not_swallowed(
    client, service_sessions
) -> None:
    ground, group_id, parts = await filled(client, service_sessions)
    with pytest.raises(sharing_out.UnknownGroup):
        await deliver(service_sessions, (granted(group_id, grant(CABBAGE, 6, 6)), 1))
    await lock(service_sessions)
    await deliver(service_sessions, (granted(group_id, grant(CABBAGE, 6, 6), grant(RICE, 3, 3)), 1))
    await deliver(service_sessions, (granted(group_id, grant(CABBAGE, 6, 1)), 2))
    assert len((await read_part(client, ground, parts[0]))["given"]) == 2
    assert await told(service_sessions, parts[0]) == [("order_confirmed", 1)]
    with pytest.raises(sharing_out.UnknownGroup):
        await deliver(service_sessions, (granted(new_id()), 1))


async def test_below_its_minimum_a_group_ends_and_everything_is_given_back(client, service_sessions) -> None:
    ground, group_id, parts = await filled(client, service_sessions, minimum=4)
    await lock(service_sessions)
    seen = await read(client, ground, group_id)
    assert (seen["status"], seen["households"], seen["seed"]) == ("refused", 3, None)
    part = await read_part(client, ground, parts[0])
    assert part["status"] == "refused"
    assert {each["code"] for each in part["refusals"]} == {"orders.group_below_minimum"}
    assert await taken(service_sessions, ground) == (0, 0, 0)
    assert await told(service_sessions, group_id) == []
    assert await told(service_sessions, parts[0]) == [("order_refused", 1)]


async def test_below_its_minimum_a_group_is_sent_where_its_leader_said_so(client, service_sessions) -> None:
    _, group_id, _ = await filled(client, service_sessions, minimum=4, below_minimum="send")
    await lock(service_sessions)
    assert await told(service_sessions, group_id) == [("group_locked", 1)]


async def test_below_its_minimum_a_group_runs_on_once(client, service_sessions) -> None:
    until = moment(minutes=45)
    ground, group_id, _ = await filled(
        client, service_sessions, minimum=4, below_minimum="extend", extend_to=until
    )
    await lock(service_sessions)
    seen = await read(client, ground, group_id)
    assert (seen["status"], seen["was_extended"]) == ("open", True)
    assert datetime.fromisoformat(seen["cut_off_at"]) == datetime.fromisoformat(until)
    assert await run(service_sessions, application.end_due) == 0
    await lock(service_sessions)
    assert (await read(client, ground, group_id))["status"] == "refused"


async def test_a_group_of_many_products_ends_with_its_reason(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=10, units=500)
    group_id = await open_group(client, ground)
    for number in range(10):
        lines = [line(new_id(), 1) for _ in range(50)]
        assert (await join(client, ground, group_id, number, *lines)).status_code == 202
    await lock(service_sessions)
    codes = await value(
        service_sessions, "SELECT string_agg(DISTINCT refusals -> 0 ->> 'code', ',') FROM orders"
    )
    assert codes == "orders.group_too_varied"


async def test_a_closed_group_takes_no_part(client, service_sessions) -> None:
    ground, group_id, _ = await filled(client, service_sessions, 3)
    await pass_the_cut_off(service_sessions)
    ground_of_four = await join(client, ground, group_id, 2)
    assert ground_of_four.status_code == 422
    assert {error["code"] for error in ground_of_four.json()["errors"]} == {
        "orders.group_closed", "orders.already_in_group",
    }  # fmt: skip
    await lock(service_sessions)
    refused = await join(client, ground, group_id, 2)
    assert "orders.group_closed" in {error["code"] for error in refused.json()["errors"]}
    assert await taken(service_sessions, ground) == (3, 3, 9)


async def test_a_household_has_one_part_and_may_take_it_back_until_the_groups_cut_off(
    client, service_sessions
) -> None:
    ground, group_id, parts = await filled(client, service_sessions)
    twice = await join(client, ground, group_id, 0)
    assert (twice.status_code, twice.json()["code"]) == (422, "orders.already_in_group")
    cancel = f"/v1/orders/{parts[0]}/cancellation"
    assert (await client.post(cancel, headers=ground.resident(key="c"))).status_code == 200
    assert await told(service_sessions, parts[0]) == [("order_cancelled", 1)]
    assert await taken(service_sessions, ground) == (2, 2, 6)
    assert (await read(client, ground, group_id))["households"] == 2
    assert (await join(client, ground, group_id, 0)).status_code == 202
    await pass_the_cut_off(service_sessions)
    late = await client.post(f"/v1/orders/{parts[1]}/cancellation", headers=ground.resident(1, key="c"))
    assert (late.status_code, late.json()["code"]) == (409, "orders.too_late_to_cancel")


async def test_a_part_of_a_group_that_was_told_is_not_taken_back_by_a_transaction_begun_before(
    client, service_sessions
) -> None:
    ground, _, parts = await filled(client, service_sessions)
    await lock(service_sessions)
    async with service_sessions.begin() as session:
        # The clock of the group, as one transaction sees it whose beginning lies before the cut-off.
        await session.execute(text("UPDATE group_orders SET cut_off_at = now() + interval '1 minute'"))
    late = await client.post(f"/v1/orders/{parts[0]}/cancellation", headers=ground.resident(key="c"))
    assert (late.status_code, late.json()["code"]) == (409, "orders.too_late_to_cancel")
    assert await told(service_sessions, parts[0]) == []


async def test_one_household_at_once_from_many_hands_has_one_part(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    group_id = await open_group(client, ground)
    answers = await asyncio.gather(*(join(client, ground, group_id, 0) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [202] + [422] * 11
    assert await taken(service_sessions, ground) == (1, 1, 2)


async def test_parts_and_the_clock_at_once_leave_no_part_behind(client, service_sessions) -> None:
    ground = await open_ground(service_sessions, households=20)
    group_id = await open_group(client, ground, minimum=1, cut_off_at=moment(seconds=0.4))

    async def end():
        while not await run(service_sessions, application.end_due):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def join_later(number):
        await asyncio.sleep(number * 0.03)
        return await join(client, ground, group_id, number)

    answers = await asyncio.gather(*(join_later(number) for number in range(20)), end())
    joined = sum(answer.status_code == 202 for answer in answers[:-1])
    (said,) = await words(service_sessions, group_id)
    assert (said["households"], said["tally"][0]["quantity"]) == (joined, 2 * joined)


async def test_a_part_of_another_community_or_of_no_group_is_refused(client, service_sessions) -> None:
    ground, other = await open_ground(service_sessions), await open_ground(service_sessions)
    group_id = await open_group(client, ground)
    answer = await join(client, other, group_id, 0)
    assert (answer.status_code, answer.json()["code"]) == (422, "orders.slot_unknown")
    answer = await join(client, ground, new_id(), 0)
    assert (answer.status_code, answer.json()["code"]) == (404, "kit.not_found")
    strange = await client.post(
        f"/v1/group-orders/{group_id}/parts",
        json={"lines": [line()], "household_id": str(ground.household_ids[0])},
        headers=other.resident(key="k"),
    )
    assert strange.status_code == 404
    assert await value(service_sessions, "SELECT count(*) FROM orders") == 0


async def test_a_group_without_an_answer_is_refused_in_time_and_a_late_grant_is_let_go_line_by_line(
    client, service_sessions
) -> None:
    ground, group_id, parts = await filled(client, service_sessions)
    await lock(service_sessions)
    assert await run(service_sessions, application.refuse_overdue) == 0
    await pass_the_cut_off(service_sessions, "decide_by")
    assert await run(service_sessions, application.refuse_overdue) == 1
    part = await read_part(client, ground, parts[0])
    assert (part["status"], part["refusals"][0]["code"]) == ("refused", "orders.decision_overdue")
    assert await taken(service_sessions, ground) == (0, 0, 0)
    late = granted(group_id, grant(CABBAGE, 6, 6), grant(RICE, 3, 2))
    await deliver(service_sessions, (late, 1))
    released = [line for order_id in parts for line in (await words(service_sessions, order_id))[-1]["lines"]]
    assert sum(each["quantity"] for each in released if each["product_id"] == str(CABBAGE)) == 6
    assert sum(each["quantity"] for each in released if each["product_id"] == str(RICE)) == 2
    assert await told(service_sessions, parts[0]) == [("order_refused", 1), ("order_refused", 2)]
    assert await taken(service_sessions, ground) == (0, 0, 0)
    await deliver(service_sessions, (late, 2))
    assert len(await told(service_sessions, parts[0])) == 2


async def test_while_our_own_words_cannot_leave_the_groups_decision_is_put_off(
    client, service_sessions
) -> None:
    ground, group_id, _ = await filled(client, service_sessions)
    await lock(service_sessions)
    await pass_the_cut_off(service_sessions, "decide_by")
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE outbox_event SET recorded_at = now() - interval '11 s'"))
    assert await run(service_sessions, application.refuse_overdue) == 1
    seen = await read(client, ground, group_id)
    assert (seen["status"], seen["delayed"]) == ("locked", True)


async def test_an_overdue_hold_of_a_group_is_told_again_by_its_parts(client, service_sessions) -> None:
    _, group_id, parts = await filled(client, service_sessions)
    await lock(service_sessions)
    await deliver(service_sessions, (HoldOverdue(reservation_id=group_id), 1))
    assert await told(service_sessions, parts[0]) == []
    await deliver(service_sessions, (granted(group_id, grant(CABBAGE, 6, 6), grant(RICE, 3, 3)), 1))
    await deliver(service_sessions, (HoldOverdue(reservation_id=group_id), 2))
    assert await told(service_sessions, parts[0]) == [("order_confirmed", 1), ("order_confirmed", 2)]


async def test_a_slot_waits_for_its_groups(client, service_sessions) -> None:
    ground, group_id, _ = await filled(client, service_sessions)
    await lock(service_sessions)
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE slots SET cut_off_at = cut_off_at - interval '2 hours'"))
    assert await run(service_sessions, deciding.close_slots) == 0
    await deliver(service_sessions, (granted(group_id, grant(CABBAGE, 6, 6), grant(RICE, 3, 3)), 1))
    assert await run(service_sessions, deciding.close_slots) == 1
    assert (await words(service_sessions, ground.slot_id))[0]["confirmed"] == 3


@pytest.mark.parametrize(
    ("given", "pointers"),
    [
        ({"cut_off_at": moment(seconds=-1)}, ["/cut_off_at"]),
        ({"cut_off_at": moment(hours=2)}, ["/cut_off_at"]),
        ({"below_minimum": "extend", "extend_to": moment(minutes=10)}, ["/extend_to"]),
        (
            {"below_minimum": "extend", "cut_off_at": moment(hours=2), "extend_to": moment(hours=1.5)},
            ["/cut_off_at", "/extend_to"],
        ),
    ],
)
async def test_a_groups_cut_off_lies_ahead_and_before_its_slots(
    client, service_sessions, given, pointers
) -> None:
    ground = await open_ground(service_sessions)
    answer = await client.post(
        "/v1/group-orders", json=group_body(ground, **given), headers=leader(ground, key="k")
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "orders.cut_off_out_of_range")
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers
    assert await value(service_sessions, "SELECT count(*) FROM group_orders") == 0


async def test_a_group_stands_in_an_open_slot_of_its_communitys_zone(client, service_sessions) -> None:
    ground, other = await open_ground(service_sessions), await open_ground(service_sessions)
    closed = await open_ground(service_sessions, status="activated")
    for body, head, code in (
        (group_body(ground, slot_id=str(other.slot_id)), leader(ground, key="k"), "orders.slot_unknown"),
        (group_body(ground, slot_id=str(new_id())), leader(ground, key="k"), "orders.slot_unknown"),
        (group_body(closed), leader(closed, key="k"), "orders.channels_closed"),
        (
            group_body(closed, cut_off_at=moment(hours=3)),
            leader(closed, key="k"),
            "orders.group_rejected",
        ),
    ):
        answer = await client.post("/v1/group-orders", json=body, headers=head)
        assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    "change",
    [
        {"minimum": 0},
        {"minimum": 10_001},
        {"below_minimum": "wait"},
        {"below_minimum": "extend"},
        {"extend_to": moment(minutes=40)},
        {"cut_off_at": "2022-04-05T08:00:00"},
        {"leader": "me"},
    ],
)
async def test_a_group_out_of_its_bounds_is_refused(client, service_sessions, change) -> None:
    ground = await open_ground(service_sessions)
    answer = await client.post(
        "/v1/group-orders", json=group_body(ground) | change, headers=leader(ground, key="k")
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "kit.invalid")


async def test_only_a_leader_whose_role_reaches_the_community_opens_a_group(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    for head in (
        headers("leader", zone_ids=[new_id()], key="k"),
        headers("commander", zone_ids=[ground.village_id], key="k"),
        ground.resident(key="k"),
    ):
        answer = await client.post("/v1/group-orders", json=group_body(ground), headers=head)
        assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
    body = group_body(ground, community_id=str(new_id()))
    assert (
        await client.post("/v1/group-orders", json=body, headers=leader(ground, key="k"))
    ).status_code == 404
    assert await value(service_sessions, "SELECT count(*) FROM group_orders") == 0


async def test_the_leader_alone_moves_the_cut_off_and_only_of_an_open_group(client, service_sessions) -> None:
    ground, group_id, _ = await filled(client, service_sessions)
    path, until = f"/v1/group-orders/{group_id}/cut-off", moment(minutes=10)

    async def move(head, to=until):
        return await client.post(path, json={"cut_off_at": to}, headers=head)

    assert (await move(leader(ground, subject=new_id(), key="k"))).status_code == 403
    assert (await move(leader(ground, key="k"))).status_code == 200
    seen = await read(client, ground, group_id)
    assert datetime.fromisoformat(seen["cut_off_at"]) == datetime.fromisoformat(until)
    for to in (moment(seconds=-1), moment(hours=2)):
        answer = await move(leader(ground, key=to), to)
        assert (answer.status_code, answer.json()["code"]) == (422, "orders.cut_off_out_of_range")
    await pass_the_cut_off(service_sessions)
    answer = await move(leader(ground, key="late"))
    assert (answer.status_code, answer.json()["code"]) == (409, "orders.group_closed")


async def test_groups_of_a_community_are_listed(client, service_sessions) -> None:
    ground, group_id, _ = await filled(client, service_sessions)
    other = await open_group(client, ground)
    answer = await client.get(f"/v1/group-orders?community_id={ground.village_id}", headers=ground.resident())
    assert [(item["group_id"], item["households"]) for item in answer.json()["items"]] == [
        (str(group_id), 3), (str(other), 0),
    ]  # fmt: skip
    assert answer.json()["items"][0] == await read(client, ground, group_id)
    assert (await client.get(f"/v1/group-orders/{new_id()}", headers=ground.resident())).status_code == 404


async def test_a_group_takes_nobody_of_another_community_of_its_zone(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    group_id = await open_group(client, ground)
    async with service_sessions.begin() as session:
        given = {"other": new_id(), "town": ground.town_id, "zone": ground.zone_id}
        await session.execute(
            text("""
                INSERT INTO areas (area_id, code, title, level, parent_id, path, head_count, sequence)
                VALUES (:other, 'other', 't', 'community', :town, ARRAY[:town, CAST(:other AS uuid)], 0, 1)
            """),
            given,
        )
        await session.execute(text("INSERT INTO zone_communities VALUES (:zone, :other, true)"), given)
        await session.execute(text("UPDATE group_orders SET community_id = :other"), given)
    answer = await join(client, ground, group_id, 0)
    assert (answer.status_code, answer.json()["code"]) == (422, "orders.not_in_community")
    assert await taken(service_sessions, ground) == (0, 0, 0)


async def test_two_thousand_households_are_one_decision_and_every_sum_is_exact(
    client, service_sessions
) -> None:
    ground = await open_ground(service_sessions, households=2000, capacity=2000)
    group_id = await open_group(client, ground)
    products = [new_id() for _ in range(5)]
    lines = tuple(
        WantedLine(line=number, product_id=product_id, quantity=2, seen_price_fen=450)
        for number, product_id in enumerate(products, start=1)
    )
    parts = [
        NewOrder(
            order_id=new_id(), household_id=household_id, slot_id=None, channel=Channel.RESIDENT, lines=lines,
            correlation_id="c", client="c", group_id=group_id,
        )
        for household_id in ground.household_ids
    ]  # fmt: skip
    for start in range(0, 2000, 500):
        async with service_sessions.begin() as session:
            now = await database.now(session)
            await intake.place_orders(session, parts[start : start + 500], now)
    await lock(service_sessions)
    grants = [grant(product_id, 4000, 1500, 1700) for product_id in products]
    await deliver(service_sessions, (granted(group_id, *grants), 1))
    async with service_sessions() as session:
        found = await session.execute(
            text("""
                SELECT offer_id, sum(quantity) AS given
                FROM orders
                CROSS JOIN LATERAL jsonb_to_recordset(given) AS line (offer_id uuid, quantity integer)
                GROUP BY offer_id
            """)
        )
        given = {row.offer_id: row.given for row in found}
    assert given == {part.offer_id: part.quantity for each in grants for part in each.parts}
    short = "SELECT count(*) FROM orders CROSS JOIN LATERAL jsonb_array_elements(refusals)"
    assert await value(service_sessions, short) == 5 * 800
    assert await value(service_sessions, "SELECT count(*) FROM orders WHERE status = 'confirmed'") == 2000


async def test_a_part_says_who_brought_it(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    group_id = await open_group(client, ground)
    body = {"lines": [line()], "household_id": str(ground.household_ids[0])}
    hotline = headers("hotline", zone_ids=[ground.town_id], key="k")
    answer = await client.post(f"/v1/group-orders/{group_id}/parts", json=body, headers=hotline)
    assert answer.status_code == 202, answer.text
    part = await read_part(client, ground, answer.json()["order_id"])
    assert (part["channel"], part["group_id"]) == ("hotline", str(group_id))


async def test_a_part_takes_no_substitutes(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    group_id = await open_group(client, ground)
    other = {**line(RICE), "substitutes": [str(new_id())]}
    answer = await join(client, ground, group_id, 0, line(), other)
    assert (answer.status_code, answer.json()["code"]) == (422, "orders.substitutes_in_group")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/lines/1/substitutes"]
    assert await taken(service_sessions, ground) == (0, 0, 0)


async def test_who_has_no_right_to_order_brings_no_part(client, service_sessions) -> None:
    ground = await open_ground(service_sessions)
    group_id = await open_group(client, ground)
    body, head = {"lines": [line()]}, headers("regulator", key="k")
    answer = await client.post(f"/v1/group-orders/{group_id}/parts", json=body, headers=head)
    assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
