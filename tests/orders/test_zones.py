import asyncio
from datetime import UTC, datetime, timedelta
from itertools import permutations, product
from uuid import UUID

from prometheus_client import REGISTRY
from sqlalchemy import text

from services.contracts.values import MissingSupply, OutletKind
from services.kit import database
from services.kit.ids import new_id
from services.orders import consumers, timers
from tests.orders.bus import deliver, received
from tests.orders.openings import (
    activate,
    capacity,
    close,
    duty,
    prepare,
    show,
    slot_times,
    supplied,
    zone_body,
)
from tests.orders.towns import area, plant_town
from tests.serving import headers


async def events(sessions, name):
    async with sessions() as session:
        rows = await session.execute(
            text("SELECT key, version, payload FROM outbox_event WHERE type = :name ORDER BY id"),
            {"name": name},
        )
        return [(row.key, row.version, row.payload) for row in rows]


async def scalar(sessions, statement, **given):
    async with sessions() as session:
        return (await session.execute(text(statement), given)).scalar_one()


async def activated(client, town, **given):
    zone = await prepare(client, town)
    answer = await activate(client, town, zone["zone_id"], **given)
    assert answer.status_code == 202, answer.text
    return zone, answer.json()["incident_id"]


def codes(answer):
    return answer.status_code, answer.json()["code"], [error["code"] for error in answer.json()["errors"]]


async def test_a_prepared_zone_tells_nobody(client, service_sessions) -> None:
    town = await plant_town(client, villages=2)
    zone = await prepare(client, town, slots=[slot_times(), slot_times(hours=5)])
    seen = await show(client, zone["zone_id"])
    assert (seen["status"], seen["incident_id"], seen["quota"]) == (
        "prepared",
        None,
        {"orders": 2, "units": 20},
    )
    assert set(seen["community_ids"]) == {str(village) for village in town.villages}
    assert len(zone["slot_ids"]) == 2
    assert await events(service_sessions, "orders.zone_opened.v1") == []


async def test_every_slot_whose_times_do_not_follow_is_named(client, service_sessions) -> None:
    town = await plant_town(client, households=0)
    good = slot_times()
    late = {**good, "cut_off_at": good["starts_at"]}
    backward = {**good, "ends_at": good["starts_at"]}
    answer = await client.post(
        "/v1/zones", json=zone_body(town, slots=[good, late, backward]), headers=town.commander(key="k")
    )
    assert codes(answer) == (
        422,
        "orders.cut_off_not_before_start",
        ["orders.cut_off_not_before_start", "orders.slot_without_length"],
    )
    assert [error["pointer"] for error in answer.json()["errors"]] == [
        "/slots/1/cut_off_at",
        "/slots/2/ends_at",
    ]
    past = {name: (datetime.fromisoformat(at) - timedelta(days=1)).isoformat() for name, at in good.items()}
    gone = await client.post(
        "/v1/zones", json=zone_body(town, slots=[past, good, past]), headers=town.commander(key="k")
    )
    assert codes(gone) == (422, "orders.slot_past", ["orders.slot_past", "orders.slot_past"])
    assert [error["pointer"] for error in gone.json()["errors"]] == ["/slots/0/ends_at", "/slots/2/ends_at"]
    none = await client.post("/v1/zones", json=zone_body(town, slots=[]), headers=town.commander(key="k"))
    assert (none.status_code, none.json()["code"]) == (422, "kit.invalid")
    assert await scalar(service_sessions, "SELECT count(*) FROM zones") == 0


async def test_a_zone_is_made_of_communities_that_the_register_knows(client, service_sessions) -> None:
    town = await plant_town(client, households=0)
    wanted = [str(town.villages[0]), str(town.all_buildings[0]), str(new_id())]
    answer = await client.post(
        "/v1/zones", json=zone_body(town, community_ids=wanted), headers=town.commander(key="k")
    )
    assert codes(answer) == (422, "orders.community_unknown", ["orders.community_unknown"] * 2)
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/community_ids/1", "/community_ids/2"]
    assert await scalar(service_sessions, "SELECT count(*) FROM zones") == 0


async def test_only_a_commander_of_the_area_prepares_activates_and_closes(client, service_sessions) -> None:
    town = await plant_town(client, households=0)
    zone = await prepare(client, town)
    heads = [headers(role, key="k") for role in ("resident", "leader", "steward", "regulator")]
    elsewhere = headers("commander", key="k", zone_ids=[new_id()])
    asked = (
        ("", zone_body(town)),
        (f"/{zone['zone_id']}/activation", {}),
        (f"/{zone['zone_id']}/closure", {"reason": "x"}),
    )
    for head, (path, body) in product((*heads, elsewhere), asked):
        answer = await client.post(f"/v1/zones{path}", json=body, headers=head)
        assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
    assert (await show(client, zone["zone_id"]))["status"] == "prepared"
    assert await scalar(service_sessions, "SELECT count(*) FROM zones") == 1


async def test_activation_tells_the_zone_whole_and_restates_its_areas(client, service_sessions) -> None:
    town = await plant_town(client, villages=2, buildings=2, households=3)
    pinned = {"outlet_id": str(new_id()), "reason": "has the baker"}
    bare = str(town.all_buildings[0])
    zone, incident_id = await activated(client, town, pinned_outlets=[pinned], bare_building_ids=[bare])

    ((key, version, told),) = await events(service_sessions, "orders.zone_opened.v1")
    assert (key, version) == (zone["zone_id"], 1)
    assert (told["incident_id"], told["zone_class"], told["title"]) == (
        incident_id,
        "sealed",
        "three villages",
    )
    assert set(told["path"]) == {zone["zone_id"], str(town.town_id), *map(str, town.villages)}
    assert told["needed_kinds"] == ["supermarket", "greengrocer", "pharmacy", "caterer"]
    assert told["pinned_outlets"] == [{"subject_id": pinned["outlet_id"], "reason": "has the baker"}]
    assert [slot["slot_id"] for slot in told["slots"]] == zone["slot_ids"]
    by_id = {community["community_id"]: community for community in told["communities"]}
    for village in town.villages:
        community = by_id[str(village)]
        assert (community["head_count"], community["households"]) == (1200, 6)
        assert set(community["building_ids"]) == {str(building) for building in town.buildings[village]}

    stated = await events(service_sessions, "orders.area_stated.v1")
    sealed = {key for key, version, payload in stated if payload["zone_class"] == "sealed"}
    assert sealed == {str(each) for each in (*town.villages, *town.all_buildings)}
    assert {version for key, version, payload in stated if key in sealed} == {1, 2}
    seen = await show(client, zone["zone_id"])
    assert seen["bare_building_ids"] == [bare]
    assert set(seen["awaits"]["stewards"]) == {str(each) for each in town.all_buildings} - {bare}
    assert seen["awaits"]["supply"] is True
    assert seen["awaits"]["capacity"] == zone["slot_ids"]


async def test_a_building_planted_in_a_sealed_community_is_stated_as_sealed(client, service_sessions) -> None:
    town = await plant_town(client, households=0)
    await activated(client, town)
    new = {"areas": [area("late", "building", "T-0")]}
    (item,) = (await client.post("/v1/areas", json=new, headers=town.commander())).json()["items"]
    stated = await events(service_sessions, "orders.area_stated.v1")
    assert [
        (version, payload["zone_class"]) for key, version, payload in stated if key == item["area_id"]
    ] == [(1, "sealed")]


async def test_the_same_call_twice_activates_once(client, service_sessions) -> None:
    town = await plant_town(client)
    zone = await prepare(client, town)
    head = town.commander(key="once", subject="chief")
    first, second = [
        await client.post(f"/v1/zones/{zone['zone_id']}/activation", json={}, headers=head) for _ in range(2)
    ]
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.content == first.content
    assert second.headers["idempotency-replayed"] == "true"
    again = await activate(client, town, zone["zone_id"])
    assert (again.status_code, again.json()["code"]) == (409, "orders.zone_already_activated")
    assert len(await events(service_sessions, "orders.zone_opened.v1")) == 1
    assert await scalar(service_sessions, "SELECT count(*) FROM incidents") == 1


async def test_each_community_without_a_gate_is_named(client, service_sessions) -> None:
    town = await plant_town(client, villages=2, households=0)
    changed = [area(f"T-{village}", "community", "T", head_count=1200) for village in range(2)]
    await client.post("/v1/areas", json={"areas": changed}, headers=town.commander())
    zone = await prepare(client, town)
    answer = await activate(client, town, zone["zone_id"])
    assert codes(answer) == (422, "orders.gate_missing", ["orders.gate_missing"] * 2)
    named = {error["params"]["community_id"] for error in answer.json()["errors"]}
    assert named == {str(village) for village in town.villages}
    assert (await show(client, zone["zone_id"]))["status"] == "prepared"
    assert await events(service_sessions, "orders.zone_opened.v1") == []


async def test_a_community_lies_in_one_active_zone(client, service_sessions) -> None:
    town = await plant_town(client, villages=2, households=0)
    first, _ = await activated(client, town)
    second = await prepare(client, town, community_ids=[str(town.villages[1])])
    answer = await activate(client, town, second["zone_id"])
    assert codes(answer) == (422, "orders.community_in_other_zone", ["orders.community_in_other_zone"])
    assert answer.json()["errors"][0]["params"] == {
        "community_id": str(town.villages[1]),
        "zone_id": first["zone_id"],
    }
    assert (await close(client, town, first["zone_id"])).status_code == 200
    assert (await activate(client, town, second["zone_id"])).status_code == 202


async def test_of_two_zones_activated_at_once_one_gets_the_community(client, service_sessions) -> None:
    town = await plant_town(client, households=0)
    zones = [await prepare(client, town) for _ in range(2)]
    answers = await asyncio.gather(*(activate(client, town, zone["zone_id"]) for zone in zones))
    assert sorted(answer.status_code for answer in answers) == [202, 422]
    assert await scalar(service_sessions, "SELECT count(*) FROM zones WHERE status = 'activated'") == 1


async def test_a_bare_building_belongs_to_the_zone(client) -> None:
    town, other = await plant_town(client, households=0), await plant_town(client, households=0, prefix="U")
    zone = await prepare(client, town)
    wanted = [str(town.all_buildings[0]), str(other.all_buildings[0])]
    answer = await activate(client, town, zone["zone_id"], bare_building_ids=wanted)
    assert codes(answer) == (422, "orders.building_not_in_zone", ["orders.building_not_in_zone"])
    assert answer.json()["errors"][0]["pointer"] == "/bare_building_ids/1"
    assert (await show(client, zone["zone_id"]))["status"] == "prepared"


async def test_a_pin_has_a_reason(client) -> None:
    town = await plant_town(client, households=0)
    zone = await prepare(client, town)
    answer = await activate(client, town, zone["zone_id"], pinned_vehicles=[{"vehicle_id": str(new_id())}])
    assert (answer.status_code, answer.json()["code"]) == (422, "kit.invalid")
    assert answer.json()["errors"][0]["pointer"] == "/pinned_vehicles/0/reason"


async def test_a_zone_joins_an_incident_or_makes_one(client, service_sessions) -> None:
    town, other = await plant_town(client, households=0), await plant_town(client, households=0, prefix="U")
    _, incident_id = await activated(client, town, incident_title="November")
    zone = await prepare(client, other)
    unknown = await activate(client, other, zone["zone_id"], incident_id=str(new_id()))
    assert codes(unknown) == (422, "orders.incident_unknown", ["orders.incident_unknown"])
    both = await activate(client, other, zone["zone_id"], incident_id=incident_id, incident_title="x")
    assert (both.status_code, both.json()["code"]) == (422, "kit.invalid")
    joined = await activate(client, other, zone["zone_id"], incident_id=incident_id)
    assert joined.json()["incident_id"] == incident_id
    assert await scalar(service_sessions, "SELECT title FROM incidents") == "November"
    assert await scalar(
        service_sessions, "SELECT count(*) FROM vault_keys WHERE scope_id = :id", id=UUID(incident_id)
    ) == 1  # fmt: skip


async def test_without_a_valid_policy_no_zone_is_opened(client, service_sessions) -> None:
    town = await plant_town(client, households=0)
    zone = await prepare(client, town)
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE supply_policies SET valid_to = '2022-12-01Z'"))
    answer = await activate(client, town, zone["zone_id"])
    assert codes(answer) == (422, "orders.supply_policy_missing", ["orders.supply_policy_missing"])


async def test_a_zone_too_large_to_be_told_at_once_is_refused(client, service_sessions) -> None:
    town = await plant_town(client, households=0)
    for batch in range(4):
        many = [area(f"x{batch}-{number}", "building", "T-0") for number in range(450)]
        answer = await client.post("/v1/areas", json={"areas": many}, headers=town.commander())
        assert answer.status_code == 200
    zone = await prepare(client, town)
    answer = await activate(client, town, zone["zone_id"])
    assert codes(answer) == (422, "orders.zone_too_large", ["orders.zone_too_large"])
    assert answer.json()["errors"][0]["params"] == {"buildings": 1801}
    assert await events(service_sessions, "orders.zone_opened.v1") == []


async def test_the_channels_open_with_the_last_word_whichever_it_is(client, service_sessions) -> None:
    for order in permutations("scd"):
        town = await plant_town(client, buildings=2, prefix="".join(order))
        zone, incident_id = await activated(client, town)
        words = {
            "s": supplied(zone["zone_id"], incident_id),
            "c": capacity(zone, incident_id),
            "d": duty(town, *town.all_buildings),
        }
        for word in order[:2]:
            await deliver(service_sessions, (words[word], 1))
        assert (await show(client, zone["zone_id"]))["status"] == "activated", order
        await deliver(service_sessions, (words[order[2]], 1))

        seen = await show(client, zone["zone_id"])
        assert (seen["status"], seen["seconds_to_assign"]) == ("open", 7.5), order
        assert seen["awaits"] == {"supply": False, "capacity": [], "stewards": []}
        assert 0 <= seen["seconds_to_open"] < 60
        slots = await client.get(f"/v1/zones/{zone['zone_id']}/slots", headers=headers("resident"))
        (slot,) = slots.json()["slots"]
        assert (slot["status"], slot["capacity"], slot["taken"], slot["over_by"]) == ("open", 300, 0, 0)


async def test_words_that_come_before_the_activation_count(client, service_sessions) -> None:
    town = await plant_town(client)
    zone = await prepare(client, town)
    await deliver(
        service_sessions,
        (capacity(zone, str(new_id())), 1),
        (duty(town, *town.all_buildings), 1),
        (supplied(zone["zone_id"], str(new_id())), 1),
    )
    assert (await show(client, zone["zone_id"]))["status"] == "prepared"
    await activate(client, town, zone["zone_id"])
    assert (await show(client, zone["zone_id"]))["status"] == "open"


async def say(session, handler, event):
    """Handle one event in a transaction that the test holds open."""
    arrived = received(event).as_arrived(type(event))
    await handler(session, [arrived], await database.now(session))


async def test_of_two_words_that_complete_a_zone_at_once_the_second_sees_the_first(
    client, service_sessions
) -> None:
    town = await plant_town(client)
    zone, incident_id = await activated(client, town)
    await deliver(service_sessions, (duty(town, *town.all_buildings), 1))
    async with service_sessions.begin() as session:
        await say(session, consumers.on_slot_capacity_stated, capacity(zone, incident_id))
        second = asyncio.create_task(deliver(service_sessions, (supplied(zone["zone_id"], incident_id), 1)))
        await asyncio.wait([second], timeout=0.3)
    await second
    assert (await show(client, zone["zone_id"]))["status"] == "open"


async def test_a_duty_stated_while_the_zone_is_activated_is_not_missed(client, service_sessions) -> None:
    town = await plant_town(client)
    zone = await prepare(client, town)
    await deliver(
        service_sessions,
        (capacity(zone, str(new_id())), 1),
        (supplied(zone["zone_id"], str(new_id())), 1),
    )
    async with service_sessions.begin() as session:
        await say(session, consumers.on_duty_stated, duty(town, *town.all_buildings))
        call = asyncio.create_task(activate(client, town, zone["zone_id"]))
        await asyncio.wait([call], timeout=0.3)
    assert (await call).status_code == 202
    assert (await show(client, zone["zone_id"]))["status"] == "open"


async def test_a_bare_building_is_not_waited_for(client, service_sessions) -> None:
    town = await plant_town(client, buildings=2)
    one, two = town.all_buildings
    zone, incident_id = await activated(client, town, bare_building_ids=[str(two)])
    await deliver(
        service_sessions, (supplied(zone["zone_id"], incident_id), 1), (capacity(zone, incident_id), 1)
    )
    assert (await show(client, zone["zone_id"]))["awaits"]["stewards"] == [str(one)]
    await deliver(service_sessions, (duty(town, one), 1))
    assert (await show(client, zone["zone_id"]))["status"] == "open"


async def test_a_zone_that_lacks_something_opens_and_says_what(client, service_sessions) -> None:
    town = await plant_town(client)
    zone, incident_id = await activated(client, town)
    lack = MissingSupply(kind=OutletKind.PHARMACY, code="catalog.no_candidate", needed=40, found=0)
    await deliver(
        service_sessions,
        (supplied(zone["zone_id"], incident_id, missing=(lack,)), 1),
        (capacity(zone, incident_id), 1),
        (duty(town, *town.all_buildings), 1),
    )
    seen = await show(client, zone["zone_id"])
    assert (seen["status"], seen["missing"]) == ("open", [lack.model_dump(mode="json")])

    await deliver(service_sessions, (supplied(zone["zone_id"], incident_id), 3))
    await deliver(service_sessions, (supplied(zone["zone_id"], incident_id, missing=(lack,)), 2))
    assert (await show(client, zone["zone_id"]))["missing"] == []


async def test_an_older_capacity_changes_nothing_and_a_lower_one_cancels_nobody(
    client, service_sessions
) -> None:
    town = await plant_town(client)
    zone, incident_id = await activated(client, town)
    await deliver(service_sessions, (capacity(zone, incident_id, portions=10), 2))
    await deliver(service_sessions, (capacity(zone, incident_id, portions=99), 1))
    assert await scalar(service_sessions, "SELECT capacity FROM slots") == 10
    async with service_sessions.begin() as session:
        await session.execute(text("UPDATE slots SET taken = 8"))
    await deliver(service_sessions, (capacity(zone, incident_id, portions=5), 3))
    slots = await client.get(f"/v1/zones/{zone['zone_id']}/slots", headers=headers("resident"))
    (slot,) = slots.json()["slots"]
    assert (slot["capacity"], slot["taken"], slot["over_by"]) == (5, 8, 3)


async def test_a_duty_that_begins_later_opens_the_zone_when_it_begins(client, service_sessions) -> None:
    town = await plant_town(client)
    zone, incident_id = await activated(client, town)
    await deliver(
        service_sessions,
        (supplied(zone["zone_id"], incident_id), 1),
        (capacity(zone, incident_id), 1),
        (duty(town, *town.all_buildings, starts=timedelta(hours=1)), 1),
    )
    assert (await show(client, zone["zone_id"]))["status"] == "activated"

    async def begin() -> int:
        async with service_sessions.begin() as session:
            return await timers.begin_duties(session, await database.now(session))

    assert await begin() == 0
    assert (await show(client, zone["zone_id"]))["status"] == "activated"
    async with service_sessions.begin() as session:
        # An hour passes.
        hour = "interval '1 hour'"
        await session.execute(
            text(f"UPDATE duties SET starts_at = starts_at - {hour}, due_at = due_at - {hour}")
        )
    assert await begin() == 1
    assert (await show(client, zone["zone_id"]))["status"] == "open"
    assert await begin() == 0


async def test_a_duty_that_lapses_leaves_the_zone_open_and_the_building_listed(
    client, service_sessions
) -> None:
    town = await plant_town(client)
    zone, incident_id = await activated(client, town)
    served = duty(town, *town.all_buildings)
    await deliver(
        service_sessions,
        (supplied(zone["zone_id"], incident_id), 1),
        (capacity(zone, incident_id), 1),
        (served, 1),
    )
    ended = served.model_copy(update={"ends_at": datetime.now(UTC)})
    await deliver(service_sessions, (ended, 2))
    seen = await show(client, zone["zone_id"])
    assert seen["status"] == "open"
    assert seen["awaits"]["stewards"] == [str(building) for building in town.all_buildings]


async def test_how_long_it_took_is_measured_once_for_each_zone(client, service_sessions) -> None:
    def counts() -> list[float]:
        names = ("zone_assign_seconds_count", "zone_open_seconds_count")
        return [REGISTRY.get_sample_value(name) or 0.0 for name in names]

    town = await plant_town(client)
    zone, incident_id = await activated(client, town)
    before = counts()
    await deliver(service_sessions, (supplied(zone["zone_id"], incident_id), 1))
    await deliver(service_sessions, (supplied(zone["zone_id"], incident_id), 2))
    await deliver(service_sessions, (capacity(zone, incident_id), 1), (duty(town, *town.all_buildings), 1))
    assert [after - earlier for after, earlier in zip(counts(), before, strict=True)] == [1.0, 1.0]


async def test_a_closed_zone_takes_nothing_and_lifts_the_regime(client, service_sessions) -> None:
    town = await plant_town(client)
    zone, incident_id = await activated(client, town)
    await deliver(
        service_sessions,
        (supplied(zone["zone_id"], incident_id), 1),
        (capacity(zone, incident_id), 1),
        (duty(town, *town.all_buildings), 1),
    )
    answer = await close(client, town, zone["zone_id"])
    assert answer.json()["status"] == "closed"
    assert await events(service_sessions, "orders.zone_closed.v1") == [
        (zone["zone_id"], 2, {"zone_id": zone["zone_id"], "incident_id": incident_id, "zone_class": None})
    ]
    stated = await events(service_sessions, "orders.area_stated.v1")
    lifted = {key for key, version, payload in stated if version == 3 and payload["zone_class"] is None}
    assert lifted == {str(each) for each in (*town.villages, *town.all_buildings)}
    slots = await client.get(f"/v1/zones/{zone['zone_id']}/slots", headers=headers("resident"))
    assert [slot["status"] for slot in slots.json()["slots"]] == ["closed"]
    again = await close(client, town, zone["zone_id"])
    assert (again.status_code, again.json()["code"]) == (409, "orders.zone_closed")
    reopened = await activate(client, town, zone["zone_id"])
    assert (reopened.status_code, reopened.json()["code"]) == (409, "orders.zone_already_activated")


async def test_a_zone_that_was_never_activated_is_not_closed(client) -> None:
    town = await plant_town(client, households=0)
    zone = await prepare(client, town)
    answer = await close(client, town, zone["zone_id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "orders.zone_not_activated")


async def test_a_zone_that_does_not_exist_is_not_found(client) -> None:
    for path in (f"/v1/zones/{new_id()}", f"/v1/zones/{new_id()}/slots"):
        answer = await client.get(path, headers=headers("resident"))
        assert (answer.status_code, answer.json()["code"]) == (404, "kit.not_found")


async def test_zones_are_listed(client) -> None:
    town = await plant_town(client, households=0)
    made = [(await prepare(client, town))["zone_id"] for _ in range(3)]
    page = await client.get("/v1/zones", params={"limit": 2}, headers=headers("resident"))
    assert [zone["zone_id"] for zone in page.json()["items"]] == made[:2]
    assert page.json()["cursor"]
