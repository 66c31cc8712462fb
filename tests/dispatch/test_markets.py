"""Work sites: who is served where, and where the goods then go."""

from services.contracts.orders import AreaLevel, AreaStated
from services.kit.ids import new_id
from tests.dispatch.builders import GATE, make_line, make_order, rows, tell
from tests.dispatch.towns import make_town
from tests.serving import headers

NORTH = {"lat": 39.66, "lon": 116.29}


def make_site(code="1", **given):
    return {"code": code, "title": f"作业点{code}", "position": NORTH, "community_ids": [], **given}


async def import_sites(client, *sites, role="commander"):
    return await client.post(
        "/v1/work-sites", json={"work_sites": list(sites)}, headers=headers(role, key=new_id().hex)
    )


def outcomes(response):
    assert response.status_code == 200, response.text
    return [item["outcome"] for item in response.json()["items"]]


async def served(sessions):
    found = await rows(
        sessions,
        "SELECT code, community_id FROM served_communities JOIN work_sites USING (site_id) ORDER BY 1, 2",
    )
    return [(row.code, str(row.community_id)) for row in found]


async def test_a_site_is_known_by_its_code_and_serves_whom_it_was_last_said_to(client, service_sessions):
    one, two, three = sorted(str(new_id()) for _ in range(3))

    made = await import_sites(client, make_site("1", community_ids=[one, two]), make_site("2"))
    assert outcomes(made) == ["created", "created"]
    again = await import_sites(
        client, make_site("1", community_ids=[two, one]), make_site("2", community_ids=[three])
    )
    assert outcomes(again) == ["unchanged", "updated"]
    # The second site takes a community from the first, of which this batch says nothing.
    moved = await import_sites(client, make_site("2", community_ids=[two]))

    assert outcomes(moved) == ["updated"]
    assert [item["site_id"] for item in again.json()["items"]] == [
        item["site_id"] for item in made.json()["items"]
    ]
    assert await served(service_sessions) == [("1", one), ("2", two)]


async def test_a_community_is_named_once_in_a_batch(client, service_sessions):
    one, two = str(new_id()), str(new_id())

    answer = await import_sites(
        client,
        make_site("1", community_ids=[one]),
        make_site("2", community_ids=[two, one]),
        make_site("3", community_ids=[two, two]),
        make_site("1"),
    )

    assert outcomes(answer) == ["created", "refused", "refused", "refused"]
    errors = [
        (error["pointer"], error["code"], error["params"])
        for item in answer.json()["items"]
        for error in item["errors"]
    ]
    assert errors == [
        (
            "/work_sites/1/community_ids/1",
            "dispatch.community_served_twice",
            {"community_id": one, "work_site": "1"},
        ),
        (
            "/work_sites/2/community_ids/1",
            "dispatch.community_served_twice",
            {"community_id": two, "work_site": "3"},
        ),
        ("/work_sites/3/code", "dispatch.work_site_repeated", {}),
    ]
    assert await served(service_sessions) == [("1", one)]


async def test_a_community_that_nobody_told_of_is_served_and_shown_as_unknown(client, service_sessions):
    known, unknown = new_id(), new_id()
    await tell(
        service_sessions,
        AreaStated(
            area_id=known,
            path=(known,),
            level=AreaLevel.COMMUNITY,
            title="涵口村",
            gate=GATE,
            head_count=300,
            zone_class=None,
        ),
    )

    made = await import_sites(client, make_site(community_ids=[str(known), str(unknown)]))

    (item,) = made.json()["items"]
    assert (item["outcome"], item["unknown_community_ids"]) == ("created", [str(unknown)])
    listed = (await client.get("/v1/work-sites", headers=headers("driver"))).json()
    assert listed == {
        "items": [
            {
                "site_id": item["site_id"],
                **make_site(community_ids=sorted([str(known), str(unknown)])),
                "unknown_community_ids": [str(unknown)],
            }
        ],
        "cursor": None,
    }


async def test_only_the_town_hall_says_where_the_sites_are(client, service_sessions):
    answer = await import_sites(client, make_site(), role="driver")

    assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
    assert await rows(service_sessions, "SELECT 1 FROM work_sites") == []


async def test_loads_go_to_the_site_that_serves_their_community(client, service_sessions):
    town = await make_town(client, service_sessions)
    made = await import_sites(client, make_site(community_ids=[str(town.zone.communities[0].community_id)]))
    (site,) = made.json()["items"]

    trip = await town.committed()

    assert [(stop["kind"], stop["place_title"]) for stop in trip["stops"]] == [
        ("pick_up", "田园"),
        ("gate", "作业点1"),
    ]
    assert trip["stops"][1]["place_id"] == site["site_id"]
    assert sorted(trip["stops"][1]["load_ids"]) == [str(load_id) for load_id in await town.load_ids()]
    # The base is the outlet; 1.4 × 1,404 m to the site and as much home.
    assert trip["metres"] == 2 * 1965


async def test_a_community_that_moves_leaves_the_trips_that_were_made_as_they_are(client, service_sessions):
    town = await make_town(client, service_sessions)
    community = str(town.zone.communities[0].community_id)
    await import_sites(client, make_site("1", community_ids=[community]))
    plan_id = await town.plan()

    await import_sites(client, make_site("1"), make_site("2", community_ids=[community]))
    assert (await town.commit(plan_id)).status_code == 200

    (trip,) = (await town.read_plan(plan_id))["trips"]
    assert [stop["place_title"] for stop in trip["stops"]] == ["田园", "作业点1"]
    late = make_order(town.zone, make_line(outlet_id=town.orders[0].lines[0].outlet_id))
    await tell(service_sessions, late)
    again = await town.plan()
    (after,) = (await town.read_plan(again))["trips"]
    assert [stop["place_title"] for stop in after["stops"]] == ["田园", "作业点2"]
