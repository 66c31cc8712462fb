import asyncio

import pytest
from sqlalchemy import event

from services.catalog.main import create_app
from services.catalog.menu.application import MenuBoard
from services.catalog.menu.domain import MenuLine, is_named_in, print_menu
from services.catalog.settings import CatalogSettings
from services.catalog.stock.offers import application as offers
from services.kit import database
from services.kit.errors import NotFound
from services.kit.ids import new_id
from tests import serving
from tests.catalog import goods
from tests.serving import headers

ZONE = new_id()
LINE = MenuLine(
    product_id=new_id(), name="大白菜", unit_name="500 g", category="vegetables", grams=500, price_fen=120,
    cap_fen=None, available=7,
)  # fmt: skip


@pytest.fixture
async def client(catalog_url, tmp_path):
    """A client that sees every change at once."""
    settings = serving.make_settings(CatalogSettings, tmp_path, catalog_url, menu_seconds=0)
    async with serving.client_of(create_app, settings) as made:
        yield made


async def read(client, zone_id, **head):
    path = f"/v1/zones/{zone_id}/menu"
    return await client.get(path, headers=headers("resident", household_id=new_id()) | head)


def test_the_tag_is_that_of_the_content() -> None:
    menu = print_menu(ZONE, (LINE,))
    assert menu == print_menu(ZONE, (LINE,))
    assert print_menu(ZONE, ()).etag != menu.etag != print_menu(new_id(), (LINE,)).etag
    assert menu.etag[0] == menu.etag[-1] == '"'


@pytest.mark.parametrize(
    ("header", "is_named"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("a", False),
        ("", False),
    ],
)
def test_a_reader_names_the_versions_it_has(header, is_named) -> None:
    assert is_named_in(header, '"a"') is is_named


async def test_a_menu_has_one_line_for_a_product_with_the_highest_price_and_all_units(
    client, service_sessions
) -> None:
    await goods.bind_ceiling(client, 260)
    cabbage, rice = await goods.make_product(client), await goods.make_product(client, "rice", "grain")
    near, far = await goods.make_shop(client, "near"), await goods.make_shop(client, "far")
    elsewhere = await goods.make_shop(client, "elsewhere")
    await goods.stock_up(client, near, cabbage, 10, price_fen=110)
    await goods.stock_up(client, far, cabbage, 5, price_fen=125, grams=505)
    await goods.stock_up(client, elsewhere, cabbage, 99, price_fen=130)
    await goods.stock_up(client, far, rice, 3, "2", price_fen=90, grams=400)
    zone_id = await goods.supply_zone(service_sessions, [near, far])
    placed = goods.make_placed(zone_id, goods.wanted(cabbage, 4, seen=125))
    await goods.tell(service_sessions, placed)

    answer = await read(client, zone_id)
    assert answer.status_code == 200
    assert answer.json() == {
        "zone_id": str(zone_id),
        "lines": [
            {
                "product_id": rice, "name": "rice", "unit_name": "500 g", "category": "grain", "grams": 400,
                "price_fen": 90, "cap_fen": 104, "available": 3,
            },
            {
                "product_id": cabbage, "name": "cabbage", "unit_name": "500 g", "category": "vegetables",
                "grams": 500, "price_fen": 125, "cap_fen": 131, "available": 11,
            },
        ],
    }  # fmt: skip


async def test_who_has_the_newest_menu_gets_none_until_it_changes(client, service_sessions) -> None:
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    await goods.stock_up(client, outlet_id, product_id, 10)
    zone_id = await goods.supply_zone(service_sessions, [outlet_id])
    first = await read(client, zone_id)
    again = await read(client, zone_id, **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert again.headers["cache-control"] == "private, max-age=2"

    await goods.change_stock(client, outlet_id, goods.make_change(quantity=9))
    changed = await read(client, zone_id, **{"if-none-match": first.headers["etag"]})
    assert (changed.status_code, changed.json()["lines"][0]["available"]) == (200, 9)
    assert changed.headers["etag"] != first.headers["etag"]


async def test_a_blocked_offer_is_not_on_the_menu(client, service_sessions) -> None:
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    await goods.stock_up(client, outlet_id, product_id, 10)
    zone_id = await goods.supply_zone(service_sessions, [outlet_id])
    assert len((await read(client, zone_id)).json()["lines"]) == 1
    await goods.bind_ceiling(client, 200)
    async with service_sessions.begin() as session:
        await offers.rejudge_stale(session, await database.now(session))
    assert (await read(client, zone_id)).json()["lines"] == []


async def test_a_zone_nobody_has_heard_of_has_no_menu(client) -> None:
    missing = await read(client, new_id())
    assert (missing.status_code, missing.json()["code"]) == (404, "catalog.zone_unknown")


async def test_a_menu_is_for_whoever_has_a_role(client, service_sessions) -> None:
    zone_id = await goods.supply_zone(service_sessions, [])
    nobody = await client.get(f"/v1/zones/{zone_id}/menu", headers=headers())
    assert (nobody.status_code, nobody.json()["code"]) == (403, "kit.forbidden")
    unknown = await client.get(f"/v1/zones/{zone_id}/menu")
    assert unknown.status_code == 401


async def test_a_menu_is_read_once_for_all_who_look(catalog_url, service_sessions) -> None:
    zone_id = await goods.supply_zone(service_sessions, [])
    engine = database.create_engine(catalog_url)
    asked = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    board = MenuBoard(database.create_sessions(engine), seconds=60)
    menus = await asyncio.gather(*(board.read(zone_id) for _ in range(20)))
    assert len({id(menu) for menu in menus}) == 1
    assert sum("array_agg" in statement for statement in asked) == 1
    asked.clear()
    assert await board.read(zone_id) is menus[0]
    assert asked == []
    with pytest.raises(NotFound):
        await board.read(new_id())
    await engine.dispose()
