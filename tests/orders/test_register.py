import json
from base64 import b64decode
from datetime import timedelta
from itertools import product

from sqlalchemy import text

from services.contracts.access import Role
from services.kit.ids import new_id
from services.orders.register import certificates
from services.orders.register.certificates import Certificate
from tests.orders.bus import deliver
from tests.orders.openings import duty
from tests.orders.towns import area, household, plant_town
from tests.serving import headers

NOBODY = str(new_id())


async def plant(client, *areas, head=None):
    answer = await client.post("/v1/areas", json={"areas": areas}, headers=head or headers("commander"))
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def register(client, town, *people, head=None):
    answer = await client.post(
        "/v1/households", json={"households": people}, headers=head or town.commander()
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def events(sessions, name):
    async with sessions() as session:
        rows = await session.execute(
            text("SELECT key, version, payload FROM outbox_event WHERE type = :name ORDER BY id"),
            {"name": name},
        )
        return [(row.key, row.version, row.payload) for row in rows]


async def count(sessions, table):
    async with sessions() as session:
        return (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()


def outcomes(items):
    return [(item["outcome"], [error["code"] for error in item["errors"]]) for item in items]


async def test_areas_come_in_any_order_and_each_is_stated_whole(client, service_sessions) -> None:
    house, village, town = await plant(
        client,
        area("H", "building", "V", head_count=12),
        area("V", "community", "T", gate={"lat": 39.6, "lon": 116.3}, head_count=1200),
        area("T", "street", head_count=9000),
    )
    assert [item["outcome"] for item in (house, village, town)] == ["created"] * 3
    stated = {
        key: (version, payload)
        for key, version, payload in await events(service_sessions, "orders.area_stated.v1")
    }
    version, payload = stated[village["area_id"]]
    assert version == 1
    assert payload == {
        "area_id": village["area_id"],
        "path": [town["area_id"], village["area_id"]],
        "level": "community",
        "title": "area V",
        "gate": {"lat": 39.6, "lon": 116.3},
        "head_count": 1200,
        "zone_class": None,
    }
    assert stated[house["area_id"]][1]["path"] == [town["area_id"], village["area_id"], house["area_id"]]


async def test_an_area_is_stated_again_only_where_it_changed(client, service_sessions) -> None:
    root, _ = await plant(client, area("T", "street"), area("V", "community", "T"))
    head = headers("commander", zone_ids=[root["area_id"]])
    items = await plant(client, area("T", "street"), area("V", "community", "T", head_count=11), head=head)
    assert [item["outcome"] for item in items] == ["unchanged", "updated"]
    stated = await events(service_sessions, "orders.area_stated.v1")
    assert [
        (version, payload["head_count"]) for key, version, payload in stated if key == items[1]["area_id"]
    ] == [
        (1, 10),
        (2, 11),
    ]
    assert len(stated) == 3


async def test_every_broken_item_is_named_and_the_others_are_planted(client, service_sessions) -> None:
    items = await plant(
        client,
        area("T", "street"),
        area("T", "street"),
        area("V", "community", "nowhere"),
        area("H", "building", "V"),
        area("S", "street", "S"),
        area("B", "building", "T"),
        area("D", "district", "T"),
    )
    assert outcomes(items) == [
        ("created", []),
        ("refused", ["orders.code_repeated"]),
        ("refused", ["orders.broken_tree"]),
        ("refused", ["orders.broken_tree"]),
        ("refused", ["orders.level_not_below"]),
        ("refused", ["orders.building_without_community"]),
        ("refused", ["orders.level_not_below"]),
    ]
    assert items[2]["errors"] == [
        {
            "pointer": "/areas/2/parent_code",
            "code": "orders.broken_tree",
            "params": {},
            "detail": "The area's place in the tree is none",
        }
    ]
    assert await count(service_sessions, "areas") == 1


async def test_a_place_in_the_tree_is_kept(client) -> None:
    root, *_ = await plant(client, area("T", "street"), area("U", "street"), area("V", "community", "T"))
    head = headers("commander", zone_ids=[root["area_id"]])
    assert outcomes(await plant(client, area("V", "community", "U"), head=head)) == [
        ("refused", ["orders.area_moved"])
    ]


async def test_a_commander_of_elsewhere_changes_nothing(client, service_sessions) -> None:
    await plant(client, area("T", "street"))
    items = await plant(client, area("T", "street", title="mine"), area("V", "community", "T"))
    assert outcomes(items) == [("refused", ["kit.forbidden"])] * 2
    assert await count(service_sessions, "areas") == 1


async def test_only_a_commander_keeps_the_register(client, service_sessions) -> None:
    asked = (
        ("/v1/areas", {"areas": [area("T", "street")]}),
        ("/v1/households", {"households": [household("h1", new_id())]}),
        (f"/v1/households/{new_id()}/erasure", None),
    )
    for role, (path, body) in product(("resident", "steward", "regulator", "outlet"), asked):
        answer = await client.post(path, json=body, headers=headers(role))
        assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden"), (role, path)
    assert await count(service_sessions, "areas") == 0


async def test_areas_are_listed_by_level_and_parent_in_pages(client) -> None:
    town = await plant_town(client, villages=3, buildings=2, households=0)
    head = headers("resident")
    page = (await client.get("/v1/areas", params={"level": "community", "limit": 2}, headers=head)).json()
    rest = await client.get(
        "/v1/areas", params={"level": "community", "limit": 2, "cursor": page["cursor"]}, headers=head
    )
    listed = [*page["items"], *rest.json()["items"]]
    assert {item["area_id"] for item in listed} == {str(village) for village in town.villages}
    assert rest.json()["cursor"] is None
    below = await client.get("/v1/areas", params={"parent_id": str(town.villages[0])}, headers=head)
    assert {item["area_id"] for item in below.json()["items"]} == {
        str(building) for building in town.buildings[town.villages[0]]
    }


async def test_a_household_is_created_changed_and_left_alone(client, service_sessions) -> None:
    town = await plant_town(client, households=0)
    (building,) = town.all_buildings
    (first,) = await register(client, town, household("h1", building))
    (same,) = await register(client, town, household("h1", building))
    (other,) = await register(client, town, household("h1", building, unit="3-102"))
    assert [item["outcome"] for item in (first, same, other)] == ["created", "unchanged", "updated"]
    assert first["household_id"] == same["household_id"] == other["household_id"]
    assert await count(service_sessions, "households") == 1


async def test_a_household_that_cannot_be_registered_names_its_field(client, service_sessions) -> None:
    town, foreign = await plant_town(client, households=0), await plant_town(client, households=0, prefix="U")
    (building,), (beyond,) = town.all_buildings, foreign.all_buildings
    items = await register(
        client,
        town,
        household("h1", building),
        household("h1", building),
        household("h2", new_id()),
        household("h3", town.villages[0]),
        household("h4", beyond),
        {**household("h5", building), "building_id": None, "building_code": "T-0-0"},
    )
    assert outcomes(items) == [
        ("created", []),
        ("refused", ["orders.external_id_repeated"]),
        ("refused", ["orders.building_unknown"]),
        ("refused", ["orders.building_unknown"]),
        ("refused", ["kit.forbidden"]),
        ("created", []),
    ]
    assert items[2]["errors"][0]["pointer"] == "/households/2/building_id"
    assert await count(service_sessions, "households") == 2


async def test_a_resident_reads_the_own_household_and_the_read_is_kept(client, service_sessions) -> None:
    town = await plant_town(client, households=2)
    (building,) = town.all_buildings
    mine, other = town.households[building]
    head = headers("resident", household_id=mine, subject="resident-1")
    answer = await client.get(f"/v1/households/{mine}", headers=head)
    assert answer.status_code == 200
    assert answer.json()["contact"] == {"name": "name of T0000000", "phone": "13800000000"}
    assert answer.json()["unit"] == "2-301"
    missing = await client.get(f"/v1/households/{NOBODY}", headers=head)
    refused = await client.get(f"/v1/households/{other}", headers=head)
    assert refused.status_code == missing.status_code == 404
    assert refused.json() == missing.json()
    async with service_sessions() as session:
        rows = await session.execute(text("SELECT household_id, reader, purpose FROM personal_reads"))
        assert [tuple(row) for row in rows] == [(mine, "resident-1", "own_data")]


async def test_a_steward_reads_while_on_duty_for_the_building(client, service_sessions) -> None:
    town = await plant_town(client)
    (building,) = town.all_buildings
    (home,) = town.households[building]
    for starts, ends, role, status in (
        (-1, 1, Role.STEWARD, 200),
        (1, 2, Role.STEWARD, 404),
        (-2, -1, Role.STEWARD, 404),
        (-1, 1, Role.GUARD, 404),
    ):
        given = {"starts": timedelta(hours=starts), "ends": timedelta(hours=ends), "role": role}
        stated = duty(town, building, **given)
        await deliver(service_sessions, (stated, 1))
        head = headers("steward", subject=stated.person_id)
        assert (await client.get(f"/v1/households/{home}", headers=head)).status_code == status, given
    assert (await client.get(f"/v1/households/{home}", headers=headers("steward"))).status_code == 404


async def test_a_duty_restated_takes_the_building_away_and_an_older_word_does_not_bring_it_back(
    client, service_sessions
) -> None:
    town = await plant_town(client, buildings=2)
    one, two = town.all_buildings
    first = duty(town, one)
    await deliver(service_sessions, (first.model_copy(update={"building_ids": (two,)}), 2))
    await deliver(service_sessions, (first, 1))
    head = headers("steward", subject=first.person_id)
    seen = [
        (await client.get(f"/v1/households/{town.households[building][0]}", headers=head)).status_code
        for building in (one, two)
    ]
    assert seen == [404, 200]


async def test_the_hotline_reads_in_its_area_and_a_commander_never(client) -> None:
    town = await plant_town(client)
    (home,) = town.households[town.all_buildings[0]]
    for role, zone, status in (
        ("hotline", town.town_id, 200), ("hotline", new_id(), 404), ("commander", town.town_id, 404),
    ):  # fmt: skip
        head = headers(role, zone_ids=[zone])
        assert (await client.get(f"/v1/households/{home}", headers=head)).status_code == status


async def test_a_list_of_households_names_nobody(client) -> None:
    town = await plant_town(client, households=3)
    (building,) = town.all_buildings
    page = await client.get("/v1/households", params={"building_id": str(building)}, headers=town.commander())
    assert len(page.json()["items"]) == 3
    assert "name of" not in page.text
    refused = await client.get(
        "/v1/households", params={"building_id": str(building)}, headers=headers("resident")
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "kit.forbidden")


async def test_what_names_a_household_lies_in_no_column_but_sealed(client, service_sessions) -> None:
    town = await plant_town(client, households=0)
    (building,) = town.all_buildings
    contact = {"name": "金丝雀甲", "phone": "13912345678"}
    (made,) = await register(client, town, household("h1", building, contact=contact, unit="canary-unit"))
    head = headers("hotline", zone_ids=[town.town_id])
    assert (await client.get(f"/v1/households/{made['household_id']}", headers=head)).json()[
        "contact"
    ] == contact
    async with service_sessions() as session:
        tables = await session.execute(
            text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        )
        for table in tables.scalars().all():
            rows = (await session.execute(text(f"SELECT t::text FROM {table} AS t"))).scalars().all()
            for canary in ("金丝雀甲", "13912345678", "canary-unit"):
                assert [row for row in rows if canary in row or canary.encode().hex() in row] == [], table


async def test_an_erased_household_is_a_pseudonym_for_ever(client, service_sessions) -> None:
    town = await plant_town(client)
    (building,) = town.all_buildings
    (home,) = town.households[building]
    answer = await client.post(f"/v1/households/{home}/erasure", headers=town.commander())
    again = await client.post(f"/v1/households/{home}/erasure", headers=town.commander())
    assert answer.status_code == 200
    assert again.json() == answer.json()

    said = answer.json()
    certificate = Certificate(said["statement"], b64decode(said["signature"]), b64decode(said["public_key"]))
    assert certificates.is_genuine(certificate)
    assert not certificates.is_genuine(
        Certificate(said["statement"].replace("1", "2"), certificate.signature, certificate.public_key)
    )
    statement = json.loads(said["statement"])
    assert statement["destroyed"] == {
        "key": {"scope_id": str(home), "algorithm": "AES-256-GCM"}, "sealed_records": {"contacts": 1},
    }  # fmt: skip
    assert [(kept["what"], kept["rows"]) for kept in statement["kept"]] == [("households", 1)]

    head = headers("resident", household_id=home)
    seen = (await client.get(f"/v1/households/{home}", headers=head)).json()
    assert (seen["contact"], seen["unit"], seen["persons"]) == (None, None, 3)
    (item,) = await register(client, town, household("T0000000", building))
    assert outcomes([item]) == [("refused", ["orders.household_erased"])]
    async with service_sessions() as session:
        wrapped = await session.execute(
            text("SELECT wrapped FROM vault_keys WHERE scope_id = :home"), {"home": home}
        )
        assert wrapped.scalar_one() is None


async def test_a_commander_of_elsewhere_erases_nobody(client, service_sessions) -> None:
    town = await plant_town(client)
    (home,) = town.households[town.all_buildings[0]]
    head = headers("commander", zone_ids=[new_id()])
    assert (await client.post(f"/v1/households/{home}/erasure", headers=head)).status_code == 404
    assert await count(service_sessions, "certificates") == 0
