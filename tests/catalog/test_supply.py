import asyncio
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from structlog.testing import capture_logs

from services.catalog.consumers import HANDLERS
from services.catalog.supply import application, queries
from services.catalog.supply.queries import SupplyingOutlet
from services.contracts.catalog import ZoneSupplied
from services.contracts.values import AssignedOutlet, MissingSupply, OutletKind, Pin
from services.kit import database
from services.kit.consumer import deliver
from services.kit.ids import new_id
from tests.catalog.builders import (
    BEIZANG,
    import_outlets,
    make_outlet,
    make_received,
    make_zone_closed,
    make_zone_opened,
    qualify_outlets,
)
from tests.serving import headers

# A village of 100 households needs 110 orders a day of a supermarket.
SUPERMARKET, PHARMACY = OutletKind.SUPERMARKET, OutletKind.PHARMACY


async def hear(sessions, *events, sequence=1) -> None:
    batch = [make_received(event, sequence=sequence) for event in events]
    await deliver(sessions, batch, consumer="catalog", handlers=HANDLERS)


async def read_stated(sessions, zone_id) -> list[tuple[int, ZoneSupplied]]:
    async with sessions() as session:
        rows = await session.execute(
            text("SELECT version, type, payload::text FROM outbox_event WHERE key = :key ORDER BY version"),
            {"key": str(zone_id)},
        )
        found = rows.all()
    assert {row.type for row in found} <= {ZoneSupplied.name}
    return [(row.version, ZoneSupplied.model_validate_json(row.payload)) for row in found]


async def read_zone(client, zone_id) -> dict:
    answer = await client.get(f"/v1/zones/{zone_id}/assignments", headers=headers("commander"))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def read_asked(client, zone_id) -> list[tuple[UUID, str, int]]:
    items = (await read_zone(client, zone_id))["items"]
    return [(UUID(item["outlet_id"]), item["status"], item["asked_orders"]) for item in items]


async def answer_ask(client, zone_id, outlet_id, *, orders=None, reason=None):
    items = (await read_zone(client, zone_id))["items"]
    (ask,) = [item for item in items if item["outlet_id"] == str(outlet_id)]
    path = f"/v1/outlets/{outlet_id}/assignments/{ask['assignment_id']}"
    me = headers("outlet", outlet_id=outlet_id)
    if reason is not None:
        return await client.post(f"{path}/refusal", json={"reason": reason}, headers=me)
    return await client.post(f"{path}/acceptance", json={"capacity_orders": orders}, headers=me)


async def let_time_pass(sessions, seconds) -> int:
    async with sessions.begin() as session:
        now = await database.now(session)
        return await application.look_after_due(session, now + timedelta(seconds=seconds))


async def test_an_unknown_zone_has_no_outlets(client, service_sessions) -> None:
    zone_id = new_id()
    async with service_sessions() as session:
        assert await queries.outlets_of_zone(session, [zone_id]) == {zone_id: ()}
    answer = await client.get(f"/v1/zones/{zone_id}/assignments", headers=headers("commander"))
    assert (answer.status_code, answer.json()["code"]) == (404, "catalog.zone_unknown")


async def test_a_zone_is_supplied_once_its_outlets_accept(client, service_sessions) -> None:
    (outlet_id,) = await qualify_outlets(client, make_outlet())
    zone = make_zone_opened()
    await hear(service_sessions, zone)
    assert await read_asked(client, zone.zone_id) == [(outlet_id, "asked", 110)]
    assert await read_stated(service_sessions, zone.zone_id) == []

    accepted = await answer_ask(client, zone.zone_id, outlet_id, orders=500)
    assert (accepted.status_code, accepted.json()["status"], accepted.json()["capacity_orders"]) == (
        200, "accepted", 110,
    )  # fmt: skip
    ((sequence, event),) = await read_stated(service_sessions, zone.zone_id)
    assert sequence == 1
    assert 10 < event.seconds_to_assign < 60
    assert event == ZoneSupplied(
        zone_id=zone.zone_id,
        incident_id=zone.incident_id,
        outlets=(
            AssignedOutlet(
                outlet_id=outlet_id, name="北臧村超市", kind=SUPERMARKET, position=BEIZANG, rank=1,
                capacity_orders=110,
            ),
        ),
        missing=(),
        seconds_to_assign=event.seconds_to_assign,
    )  # fmt: skip
    shown = await read_zone(client, zone.zone_id)
    assert shown["needs"] == [{"kind": "supermarket", "needed": 110, "found": 110}]
    assert (shown["seconds_to_assign"], shown["missing"]) == (event.seconds_to_assign, [])
    async with service_sessions() as session:
        assert await queries.outlets_of_zone(session, [zone.zone_id]) == {
            zone.zone_id: (
                SupplyingOutlet(outlet_id=outlet_id, kind=SUPERMARKET, rank=1, capacity_orders=110),
            )
        }


async def test_a_second_delivery_and_a_second_acceptance_change_nothing(client, service_sessions) -> None:
    (outlet_id,) = await qualify_outlets(client, make_outlet())
    zone = make_zone_opened()
    received = make_received(zone)
    for _ in range(2):
        await deliver(service_sessions, [received], consumer="catalog", handlers=HANDLERS)
    first = await answer_ask(client, zone.zone_id, outlet_id, orders=110)
    again = await answer_ask(client, zone.zone_id, outlet_id, orders=110)
    await hear(service_sessions, zone)

    assert (again.status_code, again.json()) == (200, first.json())
    assert await read_asked(client, zone.zone_id) == [(outlet_id, "accepted", 110)]
    assert [sequence for sequence, _ in await read_stated(service_sessions, zone.zone_id)] == [1]


async def test_what_an_outlet_cannot_give_is_asked_of_the_next(client, service_sessions) -> None:
    first, second, third = await qualify_outlets(
        client, *(make_outlet(external_id=str(n), reserve_person_days=9 - n) for n in range(3))
    )
    zone = make_zone_opened()
    await hear(service_sessions, zone)
    await answer_ask(client, zone.zone_id, first, orders=80)
    refused = await answer_ask(client, zone.zone_id, second, reason="no van today")

    assert (refused.json()["status"], refused.json()["refusal_reason"]) == ("refused", "no van today")
    assert await read_asked(client, zone.zone_id) == [
        (first, "accepted", 110), (second, "refused", 30), (third, "asked", 30),
    ]  # fmt: skip
    assert await read_stated(service_sessions, zone.zone_id) == []
    await answer_ask(client, zone.zone_id, third, orders=30)
    ((_, event),) = await read_stated(service_sessions, zone.zone_id)
    assert [(one.outlet_id, one.rank, one.capacity_orders) for one in event.outlets] == [
        (first, 1, 80), (third, 3, 30),
    ]  # fmt: skip


async def test_silence_is_logged_and_the_next_outlet_is_asked(client, service_sessions) -> None:
    first, second = await qualify_outlets(
        client, make_outlet(reserve_person_days=9), make_outlet(external_id="2", reserve_person_days=8)
    )
    zone = make_zone_opened()
    await hear(service_sessions, zone)
    assert await let_time_pass(service_sessions, 29) == 0
    with capture_logs() as logs:
        assert await let_time_pass(service_sessions, 601) == 1

    assert await read_asked(client, zone.zone_id) == [(first, "silent", 110), (second, "asked", 110)]
    (silent,) = [entry for entry in logs if entry["event"] == "assignment.silent"]
    assert (silent["outlet_id"], silent["zone_id"], silent["asked_orders"]) == (
        str(first), str(zone.zone_id), 110,
    )  # fmt: skip
    late = await answer_ask(client, zone.zone_id, first, orders=110)
    assert (late.status_code, late.json()["code"], late.json()["errors"][0]["params"]) == (
        409, "catalog.assignment_ended", {"status": "silent"},
    )  # fmt: skip
    assert await read_asked(client, zone.zone_id) == [(first, "silent", 110), (second, "asked", 110)]


async def test_a_late_acceptance_is_taken_while_the_zone_still_lacks_something(
    client, service_sessions
) -> None:
    (outlet_id,) = await qualify_outlets(client, make_outlet())
    zone = make_zone_opened()
    await hear(service_sessions, zone)
    await let_time_pass(service_sessions, 601)
    ((_, before),) = await read_stated(service_sessions, zone.zone_id)
    assert before.missing == (
        MissingSupply(kind=SUPERMARKET, code="catalog.kind_missing", needed=110, found=0),
    )

    late = await answer_ask(client, zone.zone_id, outlet_id, orders=60)
    assert (late.status_code, late.json()["capacity_orders"]) == (200, 60)
    stated = await read_stated(service_sessions, zone.zone_id)
    assert [sequence for sequence, _ in stated] == [1, 2]
    assert stated[1][1].missing == (
        MissingSupply(kind=SUPERMARKET, code="catalog.capacity_short", needed=110, found=60),
    )
    assert stated[1][1].seconds_to_assign == before.seconds_to_assign


async def test_a_zone_without_any_outlet_says_what_is_missing_at_once(client, service_sessions) -> None:
    await import_outlets(client, make_outlet())
    zone = make_zone_opened(needed_kinds=(SUPERMARKET, PHARMACY))
    await hear(service_sessions, zone)
    ((_, event),) = await read_stated(service_sessions, zone.zone_id)
    assert (event.outlets, event.missing) == (
        (),
        (
            MissingSupply(kind=SUPERMARKET, code="catalog.kind_missing", needed=110, found=0),
            MissingSupply(kind=PHARMACY, code="catalog.kind_missing", needed=6, found=0),
        ),
    )


async def test_an_outlet_that_qualifies_later_is_asked_and_the_supply_stated_again(
    client, service_sessions
) -> None:
    zone = make_zone_opened()
    await hear(service_sessions, zone)
    (outlet_id,) = await qualify_outlets(client, make_outlet())
    assert await let_time_pass(service_sessions, 31) == 1
    await answer_ask(client, zone.zone_id, outlet_id, orders=110)
    stated = await read_stated(service_sessions, zone.zone_id)
    assert [(sequence, len(event.outlets), len(event.missing)) for sequence, event in stated] == [
        (1, 0, 1), (2, 1, 0),
    ]  # fmt: skip


async def test_an_outlet_that_qualifies_no_more_falls_away_and_is_replaced(client, service_sessions) -> None:
    first, second = await qualify_outlets(
        client, make_outlet(reserve_person_days=9), make_outlet(external_id="2", reserve_person_days=8)
    )
    zone = make_zone_opened()
    await hear(service_sessions, zone)
    await answer_ask(client, zone.zone_id, first, orders=110)
    await import_outlets(client, make_outlet(risk="high"))
    await let_time_pass(service_sessions, 31)

    assert await read_asked(client, zone.zone_id) == [(first, "withdrawn", 110), (second, "asked", 110)]
    _, (sequence, event) = await read_stated(service_sessions, zone.zone_id)
    assert (sequence, event.outlets) == (2, ())
    assert [one.code for one in event.missing] == ["catalog.kind_missing"]


async def test_capacity_promised_to_one_zone_is_not_promised_to_another(client, service_sessions) -> None:
    one, other = await qualify_outlets(
        client, make_outlet(capacity_orders=150, reserve_person_days=9000), make_outlet(external_id="2")
    )
    later, earlier = make_zone_opened(), make_zone_opened()
    earlier = earlier.model_copy(update={"activated_at": later.activated_at - timedelta(seconds=1)})
    await hear(service_sessions, later, earlier)
    assert await read_asked(client, earlier.zone_id) == [(one, "asked", 110)]
    assert await read_asked(client, later.zone_id) == [(one, "asked", 40), (other, "asked", 70)]

    last = make_zone_opened()
    await hear(service_sessions, last)
    assert await read_asked(client, last.zone_id) == [(other, "asked", 110)]


async def test_zones_that_open_at_once_never_promise_an_outlet_twice(client, service_sessions) -> None:
    await qualify_outlets(client, *(make_outlet(external_id=str(n), capacity_orders=50) for n in range(4)))
    opened = [make_zone_opened() for _ in range(6)]
    await asyncio.gather(*(hear(service_sessions, zone) for zone in opened))
    asked = [ask for zone in opened for ask in await read_asked(client, zone.zone_id)]
    given = Counter()
    for outlet_id, _, orders in asked:
        given[outlet_id] += orders
    assert sorted(given.values()) == [50, 50, 50, 50]


async def test_a_pinned_outlet_is_asked_first_and_an_unfit_pin_is_passed_over(
    client, service_sessions
) -> None:
    near, far = await qualify_outlets(
        client,
        make_outlet(),
        make_outlet(external_id="far", position={"lat": 40.0, "lon": 116.0}, risk="medium"),
    )
    (unfit,) = await import_outlets(client, make_outlet(external_id="unfit"))
    unknown = new_id()
    pins = [Pin(subject_id=outlet_id, reason="its own cold store") for outlet_id in (unfit, unknown, far)]
    zone = make_zone_opened(pinned_outlets=tuple(pins))
    await hear(service_sessions, zone)

    shown = await read_zone(client, zone.zone_id)
    assert [(item["outlet_id"], item["pin_reason"]) for item in shown["items"]] == [
        (str(far), "its own cold store")
    ]
    assert shown["items"][0]["distance_m"] > 40_000
    assert [(one["outlet_id"], one["code"]) for one in shown["passed_over"]] == [
        (str(unfit), "catalog.outlet_not_qualified"), (str(unknown), "catalog.outlet_unknown"),
    ]  # fmt: skip
    assert near not in {UUID(item["outlet_id"]) for item in shown["items"]}


async def test_closing_ends_what_is_asked_and_keeps_what_was_promised(client, service_sessions) -> None:
    first, second = await qualify_outlets(
        client,
        make_outlet(capacity_orders=100, reserve_person_days=9),
        make_outlet(external_id="2", reserve_person_days=8),
    )
    zone = make_zone_opened()
    await hear(service_sessions, zone)
    await answer_ask(client, zone.zone_id, first, orders=100)
    await hear(service_sessions, make_zone_closed(zone), sequence=2)

    assert await read_asked(client, zone.zone_id) == [(first, "accepted", 100), (second, "ended", 10)]
    late = [
        await answer_ask(client, zone.zone_id, second, orders=10),
        await answer_ask(client, zone.zone_id, second, reason="too late"),
        await answer_ask(client, zone.zone_id, first, reason="too late"),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in late} == {
        (409, "catalog.assignment_ended")
    }
    assert await let_time_pass(service_sessions, 3600) == 0
    assert await read_stated(service_sessions, zone.zone_id) == []
    async with service_sessions() as session:
        found = await queries.outlets_of_zone(session, [zone.zone_id])
    assert [outlet.outlet_id for outlet in found[zone.zone_id]] == [first]

    # What a closed zone was promised is free for others.
    other = make_zone_opened()
    await hear(service_sessions, other)
    assert (await read_asked(client, other.zone_id))[0] == (first, "asked", 100)


async def test_a_zone_closed_before_it_was_heard_of_asks_nobody(client, service_sessions) -> None:
    await qualify_outlets(client, make_outlet())
    zone = make_zone_opened()
    await hear(service_sessions, make_zone_closed(zone), sequence=2)
    await hear(service_sessions, zone, sequence=1)
    shown = await read_zone(client, zone.zone_id)
    assert (shown["is_open"], shown["items"], shown["needs"]) == (False, [], [])
    assert await read_stated(service_sessions, zone.zone_id) == []


async def test_a_zone_restated_with_more_heads_asks_for_the_difference(client, service_sessions) -> None:
    first, second = await qualify_outlets(
        client,
        make_outlet(capacity_orders=110, reserve_person_days=9),
        make_outlet(external_id="2", reserve_person_days=8),
    )
    zone = make_zone_opened()
    await hear(service_sessions, zone)
    await answer_ask(client, zone.zone_id, first, orders=110)
    (village,) = zone.communities
    grown = zone.model_copy(update={"communities": (village.model_copy(update={"head_count": 524}),)})
    await hear(service_sessions, grown, sequence=2)
    assert await read_asked(client, zone.zone_id) == [(first, "accepted", 110), (second, "asked", 110)]


async def test_an_outlet_answers_for_itself_only(client, service_sessions) -> None:
    asked, other = await qualify_outlets(
        client, make_outlet(reserve_person_days=9), make_outlet(external_id="2", reserve_person_days=8)
    )
    zone = make_zone_opened()
    await hear(service_sessions, zone)
    (ask,) = (await read_zone(client, zone.zone_id))["items"]
    tail = f"assignments/{ask['assignment_id']}/acceptance"
    body = {"capacity_orders": 110}
    foreign = headers("outlet", outlet_id=other)

    through_mine = await client.post(f"/v1/outlets/{other}/{tail}", json=body, headers=foreign)
    assert (through_mine.status_code, through_mine.json()["code"]) == (404, "catalog.assignment_unknown")
    refused = [
        await client.post(f"/v1/outlets/{asked}/{tail}", json=body, headers=foreign),
        await client.post(f"/v1/outlets/{asked}/{tail}", json=body, headers=headers("commander")),
        await client.get(f"/v1/outlets/{asked}/assignments", headers=foreign),
        await client.get(f"/v1/zones/{zone.zone_id}/assignments", headers=foreign),
    ]
    assert [answer.status_code for answer in refused] == [403] * 4
    mine = await client.get(f"/v1/outlets/{asked}/assignments", headers=headers("outlet", outlet_id=asked))
    assert [(item["zone_id"], item["status"]) for item in mine.json()["items"]] == [
        (str(zone.zone_id), "asked")
    ]


async def test_an_acceptance_of_nothing_is_no_acceptance(client, service_sessions) -> None:
    (outlet_id,) = await qualify_outlets(client, make_outlet())
    zone = make_zone_opened()
    await hear(service_sessions, zone)
    for orders in (0, -1, 2**40):
        answer = await answer_ask(client, zone.zone_id, outlet_id, orders=orders)
        assert (answer.status_code, answer.json()["code"]) == (422, "kit.invalid")
    assert await read_asked(client, zone.zone_id) == [(outlet_id, "asked", 110)]


async def test_the_figures_that_became_valid_last_are_in_force(client, service_sessions) -> None:
    figures = {
        "answer_seconds": 5, "surcharge_permille": 0, "legal_ref": "town order 7",
        "valid_from": "2022-11-20T00:00:00+08:00",
    }  # fmt: skip
    path, me = "/v1/supply-policies", headers("commander", key="k1")
    made = await client.post(path, json=figures, headers=me)
    later = figures | {"answer_seconds": 7, "valid_from": "2099-01-01T00:00:00Z"}
    assert (await client.post(path, json=later, headers=headers("commander", key="k2"))).status_code == 201
    twin = await client.post(path, json=figures, headers=headers("commander", key="k3"))
    assert (made.status_code, made.json()["look_again_seconds"]) == (201, 30)
    assert (twin.status_code, twin.json()["code"]) == (409, "catalog.policy_exists")
    listed = (await client.get(path, headers=headers("regulator"))).json()["items"]
    assert [item["answer_seconds"] for item in listed] == [600, 5, 7]
    assert (await client.post(path, json=figures, headers=headers("outlet", key="k4"))).status_code == 403

    await qualify_outlets(client, make_outlet())
    zone = make_zone_opened()
    await hear(service_sessions, zone)
    (ask,) = (await read_zone(client, zone.zone_id))["items"]
    asked_at, answer_by = (datetime.fromisoformat(ask[name]) for name in ("asked_at", "answer_by"))
    assert (ask["asked_orders"], answer_by - asked_at) == (100, timedelta(seconds=5))
