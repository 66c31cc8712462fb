from uuid import UUID

import pytest
from sqlalchemy import text

from services.kit.ids import new_id
from tests.catalog.builders import import_outlets, make_outlet, qualify_outlets
from tests.serving import headers

COMMANDER = {"subject": "town-hall"}


async def send(client, *outlets, subject="town-hall"):
    answer = await client.post(
        "/v1/outlets", json={"outlets": outlets}, headers=headers("commander", subject=subject)
    )
    assert answer.status_code == 200
    return answer.json()["items"]


async def read(client, outlet_id):
    answer = await client.get(f"/v1/outlets/{outlet_id}", headers=headers("regulator"))
    assert answer.status_code == 200
    return answer.json()


async def test_an_import_answers_each_item(client) -> None:
    twin = make_outlet(external_id="twin")
    double = make_outlet(external_id="double")
    double["licences"] = [*double["licences"], {"kind": "food", "number": "F1", "valid_to": "2030-01-01"}]
    items = await send(client, make_outlet(), twin, double, twin)

    assert [(item["external_id"], item["outcome"]) for item in items] == [
        ("shop-1", "created"), ("twin", "refused"), ("double", "refused"), ("twin", "refused"),
    ]  # fmt: skip
    assert [(error["pointer"], error["code"]) for item in items for error in item["errors"]] == [
        ("/outlets/1/external_id", "catalog.external_id_repeated"),
        ("/outlets/2/licences/3", "catalog.licence_repeated"),
        ("/outlets/3/external_id", "catalog.external_id_repeated"),
    ]
    listed = await client.get("/v1/outlets", headers=headers("commander"))
    assert [item["outlet_id"] for item in listed.json()["items"]] == [items[0]["outlet_id"]]


async def test_an_item_sent_again_changes_nothing_and_a_changed_one_keeps_its_id(client) -> None:
    first, *_ = await send(client, make_outlet(), make_outlet(external_id="shop-2"))
    reordered = make_outlet(licences=make_outlet()["licences"][::-1])
    same, other = await send(client, reordered, make_outlet(external_id="shop-2", capacity_orders=10))

    assert (same["outcome"], same["outlet_id"]) == ("unchanged", first["outlet_id"])
    assert other["outcome"] == "updated"
    assert (await read(client, other["outlet_id"]))["capacity_orders"] == 10


async def test_the_same_external_id_of_another_client_is_another_outlet(client) -> None:
    (one,) = await import_outlets(client, make_outlet(), subject="beizang")
    (other,) = await import_outlets(client, make_outlet(capacity_orders=7), subject="daxing")
    assert one != other
    assert (await read(client, one))["capacity_orders"] == 300


async def test_the_ledger_is_read_by_pages_and_by_kind(client) -> None:
    outlets = [make_outlet(external_id=f"shop-{n}") for n in range(5)]
    pharmacy = make_outlet(external_id="drugs", kind="pharmacy")
    ids = await import_outlets(client, *outlets, pharmacy)

    seen, cursor = [], None
    while not seen or cursor:
        params = {"limit": 4} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/outlets", params=params, headers=headers("commander"))).json()
        seen += [UUID(item["outlet_id"]) for item in page["items"]]
        cursor = page["cursor"]
    assert sorted(seen) == sorted(ids)
    found = await client.get("/v1/outlets", params={"kind": "pharmacy"}, headers=headers("commander"))
    assert [item["external_id"] for item in found.json()["items"]] == ["drugs"]


async def test_an_unmet_requirement_is_named_and_nothing_is_qualified(client) -> None:
    expired = [{"kind": "food", "number": "F1", "valid_to": "2020-01-01"}]
    (outlet_id,) = await import_outlets(client, make_outlet(licences=expired, risk="high", capacity_orders=0))
    answer = await client.post(
        f"/v1/outlets/{outlet_id}/qualification", json={}, headers=headers("commander")
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "catalog.outlet_not_qualified")
    assert [error["code"] for error in answer.json()["errors"]] == [
        "catalog.licence_missing", "catalog.licence_expired", "catalog.pledge_missing", "catalog.risk_high",
        "catalog.capacity_missing",
    ]  # fmt: skip
    assert answer.json()["errors"][1]["params"] == {
        "licence_kind": "food", "legal_ref": "食品安全法 art. 35", "valid_to": "2020-01-01",
    }  # fmt: skip
    assert not (await read(client, outlet_id))["is_qualified"]


async def test_a_qualification_holds_until_the_last_day_of_its_licences(client) -> None:
    licences = [
        {"kind": "business", "number": "B1"}, {"kind": "food", "number": "F1", "valid_to": "2099-12-31"},
    ]  # fmt: skip
    (outlet_id,) = await qualify_outlets(client, make_outlet(licences=licences))
    shown = await read(client, outlet_id)
    assert (shown["is_qualified"], shown["has_pledge"], shown["qualified_until"]) == (
        True, True, "2099-12-31",
    )  # fmt: skip


async def test_news_that_break_a_requirement_take_the_qualification_and_other_news_do_not(client) -> None:
    (outlet_id,) = await qualify_outlets(client, make_outlet())
    await send(client, make_outlet(capacity_orders=200))
    assert (await read(client, outlet_id))["is_qualified"]
    await send(client, make_outlet(risk="high"))
    assert not (await read(client, outlet_id))["is_qualified"]
    await send(client, make_outlet())
    assert not (await read(client, outlet_id))["is_qualified"]


async def test_the_first_signature_under_a_text_stays_and_the_signer_is_not_shown(client) -> None:
    (outlet_id,) = await import_outlets(client, make_outlet())
    answers = [
        await client.post(
            f"/v1/outlets/{outlet_id}/pledge",
            json={"text_version": "2022-04", "signed_by": name},
            headers=headers("outlet", outlet_id=outlet_id),
        )
        for name in ("王店长", "李店长")
    ]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json().keys() == {"outlet_id", "text_version", "signed_at"}


async def test_an_unknown_outlet_is_not_found(client) -> None:
    path = f"/v1/outlets/{new_id()}"
    answers = [
        await client.get(path, headers=headers("commander")),
        await client.post(f"{path}/qualification", json={}, headers=headers("commander")),
        await client.post(
            f"{path}/pledge",
            json={"text_version": "1", "signed_by": "x"},
            headers=headers("commander"),
        ),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
        (404, "catalog.outlet_unknown")
    }


async def test_an_outlet_reads_and_signs_for_itself_only(client, service_sessions) -> None:
    mine, other = await import_outlets(client, make_outlet(), make_outlet(external_id="shop-2"))
    me = headers("outlet", outlet_id=mine)
    pledge = {"text_version": "1", "signed_by": "x"}
    assert (await client.get(f"/v1/outlets/{mine}", headers=me)).status_code == 200
    refused = [
        await client.get(f"/v1/outlets/{other}", headers=me),
        await client.get("/v1/outlets", headers=me),
        await client.post("/v1/outlets", json={"outlets": [make_outlet()]}, headers=me),
        await client.post(f"/v1/outlets/{other}/pledge", json=pledge, headers=me),
        await client.post(f"/v1/outlets/{mine}/qualification", json={}, headers=me),
        await client.post("/v1/emergency-outlets", json={}, headers=headers("outlet", key="k")),
    ]
    assert [answer.status_code for answer in refused] == [403] * 6
    async with service_sessions() as session:
        assert (await session.execute(text("SELECT count(*) FROM pledges"))).scalar_one() == 0


async def test_a_list_with_nobody_on_it_is_not_published(client) -> None:
    answer = await client.post("/v1/emergency-outlets", json={}, headers=headers("commander", key="k1"))
    assert (answer.status_code, answer.json()["code"]) == (409, "catalog.no_outlet_qualified")
    newest = await client.get("/v1/emergency-outlets", headers=headers("resident"))
    assert (newest.status_code, newest.json()["code"]) == (404, "catalog.no_list_published")


async def test_a_published_list_stays_as_it_was_until_the_next_one(client) -> None:
    first, _ = await qualify_outlets(client, make_outlet(name="甲"), make_outlet(external_id="2", name="乙"))
    await import_outlets(client, make_outlet(external_id="3"))
    made = await client.post("/v1/emergency-outlets", json={}, headers=headers("commander", key="k1"))
    assert (made.status_code, made.json()["version"], made.json()["outlet_count"]) == (201, 1, 2)

    await send(client, make_outlet(external_id="2", risk="high"), make_outlet(name="丙"))
    newest = (await client.get("/v1/emergency-outlets", headers=headers("resident"))).json()
    assert (newest["version"], [item["name"] for item in newest["items"]]) == (1, ["甲", "乙"])

    again = {"json": {}, "headers": headers("commander", key="k2", subject="town-hall")}
    second = await client.post("/v1/emergency-outlets", **again)
    replayed = await client.post("/v1/emergency-outlets", **again)
    assert (second.json()["version"], replayed.content) == (2, second.content)
    newest = (await client.get("/v1/emergency-outlets", headers=headers("resident"))).json()
    assert [(item["outlet_id"], item["name"]) for item in newest["items"]] == [(str(first), "丙")]


@pytest.mark.parametrize(
    "change",
    [
        {"capacity_orders": 2**40}, {"scale_m2": -1}, {"kind": "bank"}, {"risk": "none"}, {"name": ""},
        {"position": {"lat": 91, "lon": 0}}, {"qualified_at": "2022-01-01"}, {"name": "x" * 201},
        {"licences": [{"kind": "food", "number": "1"}] * 21},
    ],
)  # fmt: skip
async def test_what_fits_no_column_is_refused(client, change) -> None:
    answer = await client.post(
        "/v1/outlets", json={"outlets": [make_outlet(**change)]}, headers=headers("commander")
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "kit.invalid")
