from datetime import timedelta

from services.kit.ids import new_id
from tests.orders.bus import deliver
from tests.orders.openings import capacity, close, duty, prepare, show, slot_times, supplied
from tests.orders.test_zones import activated, codes, events
from tests.orders.towns import plant_town
from tests.serving import headers

TOMORROW = slot_times(cut_off=timedelta(days=1))


async def add(client, town, zone_id, *slots, head=None):
    head = head or town.commander(key=str(new_id()))
    return await client.post(f"/v1/zones/{zone_id}/slots", json={"slots": list(slots)}, headers=head)


async def list_slots(client, zone_id):
    answer = await client.get(f"/v1/zones/{zone_id}/slots", headers=headers("resident"))
    return [(slot["status"], slot["capacity"]) for slot in answer.json()["slots"]]


async def test_an_open_zone_gets_the_slots_of_a_further_day_and_tells_of_all(
    client, service_sessions
) -> None:
    town = await plant_town(client, buildings=1)
    zone, incident_id = await activated(client, town)
    for word in (
        supplied(zone["zone_id"], incident_id),
        capacity(zone, incident_id),
        duty(town, *town.all_buildings),
    ):
        await deliver(service_sessions, (word, 1))

    answer = await add(client, town, zone["zone_id"], TOMORROW)

    assert answer.status_code == 201, answer.text
    (first, added) = answer.json()["slot_ids"]
    # Shut until dispatch has stated what it can carry: its capacity is not known.
    assert await list_slots(client, zone["zone_id"]) == [("open", 300), ("open", None)]
    told = await events(service_sessions, "orders.zone_opened.v1")
    assert [(key, sequence) for key, sequence, _ in told] == [(zone["zone_id"], 1), (zone["zone_id"], 2)]
    before, after = told[0][2], told[1][2]
    assert [slot["slot_id"] for slot in after["slots"]] == [first, added]
    assert {**after, "slots": []} == {**before, "slots": []}

    await deliver(service_sessions, (capacity({**zone, "slot_ids": [added]}, incident_id, portions=70), 1))
    assert await list_slots(client, zone["zone_id"]) == [("open", 300), ("open", 70)]


async def test_slots_added_twice_with_one_key_are_added_once(client, service_sessions) -> None:
    town = await plant_town(client, buildings=1)
    zone, _ = await activated(client, town)
    head = town.commander(key="k")
    answers = [await add(client, town, zone["zone_id"], TOMORROW, head=head) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert len(await list_slots(client, zone["zone_id"])) == 2
    assert len(await events(service_sessions, "orders.zone_opened.v1")) == 2


async def test_a_prepared_zone_gets_slots_and_tells_nobody(client, service_sessions) -> None:
    town = await plant_town(client, buildings=1)
    zone = await prepare(client, town)
    assert (await add(client, town, zone["zone_id"], TOMORROW)).status_code == 201
    assert await list_slots(client, zone["zone_id"]) == [("waiting", None), ("waiting", None)]
    assert await events(service_sessions, "orders.zone_opened.v1") == []


async def test_a_closed_zone_gets_no_slots(client, service_sessions) -> None:
    town = await plant_town(client, buildings=1)
    zone, _ = await activated(client, town)
    await close(client, town, zone["zone_id"])
    answer = await add(client, town, zone["zone_id"], TOMORROW)
    assert (answer.status_code, answer.json()["code"]) == (409, "orders.zone_closed")
    assert len(await list_slots(client, zone["zone_id"])) == 1


async def test_a_slot_whose_times_do_not_follow_is_named_and_only_a_commander_of_the_area_adds(
    client,
) -> None:
    town = await plant_town(client, buildings=1)
    zone, _ = await activated(client, town)
    wrong = {**TOMORROW, "ends_at": TOMORROW["starts_at"]}
    answer = await add(client, town, zone["zone_id"], TOMORROW, wrong)
    assert codes(answer) == (422, "orders.slot_without_length", ["orders.slot_without_length"])
    yesterday = slot_times(cut_off=timedelta(hours=-30))
    answer = await add(client, town, zone["zone_id"], TOMORROW, yesterday)
    assert codes(answer) == (422, "orders.slot_past", ["orders.slot_past"])
    stranger = await client.post(
        f"/v1/zones/{zone['zone_id']}/slots",
        json={"slots": [TOMORROW]},
        headers=headers("commander", key="k", zone_ids=[new_id()]),
    )
    assert (stranger.status_code, stranger.json()["code"]) == (403, "kit.forbidden")
    assert (await show(client, zone["zone_id"]))["status"] == "activated"
    assert len(await list_slots(client, zone["zone_id"])) == 1
