import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.products.domain import IdentityRefused, check_digit, read_gtin
from tests.serving import headers

VECTORS = ["6291041500213", "7622200004607", "8808993505166"]


def make_product(external_id="cabbage", **changes):
    fields = {
        "external_id": external_id, "name": "大白菜", "variety": external_id, "grade": "一级",
        "unit_name": "500 g", "category": "vegetables",
    }  # fmt: skip
    return {name: value for name, value in (fields | changes).items() if value is not None}


async def send(client, *products, key="k1", subject="keeper", roles=("commander",)):
    head = headers(*roles, key=key, subject=subject)
    return await client.post("/v1/products", json={"products": list(products)}, headers=head)


async def read_all(client):
    return (await client.get("/v1/products", headers=headers("resident"))).json()["items"]


@pytest.mark.parametrize("written", VECTORS)
def test_a_gtin_is_kept_as_fourteen_digits(written) -> None:
    assert read_gtin(written) == "0" + written


@pytest.mark.parametrize("written", VECTORS)
def test_one_wrong_digit_is_seen(written) -> None:
    wrong = str((int(written[4]) + 1) % 10)
    with pytest.raises(IdentityRefused) as refused:
        read_gtin(written[:4] + wrong + written[5:])
    assert refused.value.code == "catalog.gtin_invalid"


@pytest.mark.parametrize(
    "written", ["", "123", "62910415002134567", "629104150021x", "６２９１０４１５００２１３"]
)
def test_what_is_no_number_of_that_length_is_no_gtin(written) -> None:
    with pytest.raises(IdentityRefused) as refused:
        read_gtin(written)
    assert refused.value.code == "catalog.gtin_invalid"


@given(st.integers(0, 999), st.integers(0, 999_999_999))
def test_a_local_prefix_names_no_product_of_all(prefix, rest) -> None:
    body = f"{prefix:03}{rest:09}"
    written = body + str(check_digit(body))
    is_local = 20 <= prefix <= 29 or 40 <= prefix <= 49 or 200 <= prefix <= 299
    if is_local and not written.startswith("00000"):
        with pytest.raises(IdentityRefused) as refused:
            read_gtin(written)
        assert refused.value.code == "catalog.gtin_local"
    elif not written.startswith("00000"):
        assert read_gtin(written) == "0" + written


def test_a_short_gtin_has_its_prefix_at_its_own_beginning() -> None:
    with pytest.raises(IdentityRefused) as refused:
        read_gtin("2012345" + str(check_digit("2012345")))
    assert refused.value.code == "catalog.gtin_local"
    assert read_gtin("96385074") == "00000096385074"


async def test_an_import_answers_for_each_item_and_one_bad_item_leaves_the_others(client) -> None:
    gtin = {"variety": None, "grade": None}
    answer = await send(
        client,
        make_product("milk", gtin="6291041500213", **gtin),
        make_product("oil", gtin="6291041500214", **gtin),
        make_product("own", gtin="2000000000008"[:12] + str(check_digit("200000000000")), **gtin),
        make_product("both", gtin="7622200004607"),
        make_product("cabbage"),
    )
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [(item["external_id"], item["outcome"]) for item in items] == [
        ("milk", "created"), ("oil", "refused"), ("own", "refused"), ("both", "refused"),
        ("cabbage", "created"),
    ]  # fmt: skip
    assert [(error["pointer"], error["code"]) for item in items[1:4] for error in item["errors"]] == [
        ("/products/1/gtin", "catalog.gtin_invalid"),
        ("/products/2/gtin", "catalog.gtin_local"),
        ("/products/3/gtin", "catalog.product_identity"),
    ]
    assert [item["product_id"] for item in items[1:4]] == [None] * 3
    assert [(one["external_id"], one["gtin"]) for one in await read_all(client)] == [
        ("milk", "06291041500213"),
        ("cabbage", None),
    ]


async def test_importing_again_changes_what_changed_and_keeps_the_id(client) -> None:
    first = (await send(client, make_product("a"), make_product("b"))).json()["items"]
    again = (await send(client, make_product("a"), make_product("b", name="白菜"), key="k2")).json()["items"]
    assert [item["outcome"] for item in again] == ["unchanged", "updated"]
    assert [item["product_id"] for item in again] == [item["product_id"] for item in first]
    assert [one["name"] for one in await read_all(client)] == ["大白菜", "白菜"]


async def test_a_product_of_another_client_is_not_made_twice(client) -> None:
    first = (await send(client, make_product("a"))).json()["items"][0]
    same = make_product("a") | {"external_id": "z"}
    other = (await send(client, same, key="k2", subject="other")).json()["items"][0]
    assert other["outcome"] == "refused"
    assert other["errors"] == [
        {
            "pointer": "/products/0/variety",
            "code": "catalog.product_taken",
            "params": {"product_id": first["product_id"]},
            "detail": f"This is another product's: product {first['product_id']}",
        }
    ]
    assert len(await read_all(client)) == 1


async def test_the_same_import_sent_twice_has_the_same_answer(client) -> None:
    first = await send(client, make_product("a"))
    again = await send(client, make_product("a"))
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content


async def test_only_the_town_and_the_regulator_keep_products(client) -> None:
    refused = await send(client, make_product("a"), roles=("outlet",))
    assert (refused.status_code, refused.json()["code"]) == (403, "kit.forbidden")
    assert await read_all(client) == []


async def test_products_come_by_pages_and_by_category(client) -> None:
    await send(client, make_product("a"), make_product("b", category="fruit"), make_product("c"))
    page = (await client.get("/v1/products?limit=2", headers=headers("resident"))).json()
    rest = await client.get(f"/v1/products?cursor={page['cursor']}", headers=headers("resident"))
    assert [one["external_id"] for one in page["items"] + rest.json()["items"]] == ["a", "b", "c"]
    fruit = await client.get("/v1/products?category=fruit", headers=headers("resident"))
    assert [one["external_id"] for one in fruit.json()["items"]] == ["b"]
