import re
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.contracts.orders import AreaLevel, AreaStated, OrderConfirmed, ZoneOpened
from services.contracts.values import Community
from services.dispatch.loads import label, sheet
from services.dispatch.loads.marks import Marks
from services.kit.database import Sessions
from services.kit.ids import new_id
from services.kit.vault import Master
from tests import serving
from tests.dispatch.builders import GATE, make_cancelled, make_line, make_order, make_zone, rows, tell
from tests.dispatch.bulks import EGGS, SHOP, BulkRelay, make_bulk_relay

BAD_NAME = "<img src=x onerror=alert()> & 南楼"


def pictures(document: str) -> list[str]:
    """The code of each label of a document, in order."""
    return re.findall(r'<path d="([^"]+)"', document)


def picture_of(marks: Marks, load_unit_id: UUID) -> str:
    return pictures(label.draw(marks.label_of(load_unit_id), []))[0]


def units_on(document: str, marks: Marks, known: list[UUID]) -> list[UUID]:
    """Which of the known units the labels of a document are, in order; what is unknown is an error."""
    names = {picture_of(marks, unit): unit for unit in known}
    return [names[each] for each in pictures(document)]


def head(role: str, **claims: Any) -> dict[str, str]:
    return serving.headers(role, **claims)


@pytest.fixture
def marks(client: httpx.AsyncClient, tmp_path: Path) -> Marks:
    return Marks(Master.of_file(tmp_path / "master.key").derive("dispatch.marks"))


def make_town() -> ZoneOpened:
    """Two communities, told in the wrong order, with buildings told in the wrong order."""
    far, near = (
        Community(
            community_id=new_id(), name=name, gate=GATE, head_count=300, households=100,
            building_ids=tuple(new_id() for _ in range(count)),
        )
        for name, count in (("B村", 1), ("A村", 3))
    )  # fmt: skip
    zone = make_zone()
    return zone.model_copy(update={"communities": (far, near)})


async def name_buildings(sessions: Sessions, zone: ZoneOpened) -> None:
    far, near = zone.communities
    titles = {
        near.building_ids[0]: "10号楼",
        near.building_ids[1]: "2号楼",
        near.building_ids[2]: BAD_NAME,
        far.building_ids[0]: "1号楼",
    }
    stated = [
        AreaStated(
            area_id=area_id, path=(area_id,), level=AreaLevel.BUILDING, title=title, gate=None, head_count=10,
            zone_class=None,
        )
        for area_id, title in titles.items()
    ]  # fmt: skip
    await tell(sessions, *stated)


def order_at(zone: ZoneOpened, community: int, building: int, **given: Any) -> OrderConfirmed:
    """Three sacks of five kilos, of which two are in a bag."""
    place = zone.communities[community]
    line = make_line(quantity=3, grams=5000, outlet_id=given.pop("outlet_id", SHOP))
    return make_order(
        zone, line, community_id=place.community_id, building_id=place.building_ids[building], **given
    )


async def units_of(sessions: Sessions, order: OrderConfirmed) -> list[UUID]:
    found = await rows(
        sessions,
        """
        SELECT load_unit_id FROM load_units JOIN loads USING (load_id)
        WHERE order_id = :id ORDER BY load_units.number
        """,
        id=order.order_id,
    )
    return [row.load_unit_id for row in found]


async def test_a_pick_list_is_printed_once_each_in_the_order_of_doors_over_as_many_parts_as_it_takes(
    client: httpx.AsyncClient, service_sessions: Sessions, marks: Marks
) -> None:
    zone = make_town()
    places = ((0, 0), (1, 0), (1, 1), (1, 1), (1, 2))
    orders = [order_at(zone, *place) for place in places]
    elsewhere = order_at(zone, 1, 1, outlet_id=new_id())
    later = order_at(zone, 1, 1, slot_id=new_id())
    await tell(service_sessions, zone)
    await name_buildings(service_sessions, zone)
    for order in (*orders, elsewhere, later):
        await tell(service_sessions, order)
    last, third, first, second, unnumbered = [await units_of(service_sessions, order) for order in orders]
    loads = await rows(service_sessions, "SELECT load_id, order_id FROM loads WHERE outlet_id = :id", id=SHOP)
    load_of = {row.order_id: row.load_id for row in loads}
    if load_of[orders[2].order_id] > load_of[orders[3].order_id]:
        first, second = second, first
    wanted = [*first, *second, *third, *unnumbered, *last]
    assert len(wanted) == 10

    path = f"/v1/labels.html?slot_id={zone.slots[0].slot_id}&outlet_id={SHOP}"
    whole = await client.get(path, headers=head("outlet", outlet_id=SHOP))
    assert whole.status_code == 200, whole.text
    assert units_on(whole.text, marks, wanted) == wanted
    assert "link" not in whole.headers
    assert whole.headers["content-type"] == "text/html; charset=utf-8"
    for name, value in sheet.HEADERS.items():
        assert whole.headers[name] == value
    assert "<img" not in whole.text
    assert "&lt;img" in whole.text

    part = await client.get(f"{path}&sheets=1", headers=head("outlet", outlet_id=SHOP))
    assert units_on(part.text, marks, wanted) == wanted[:8]
    # What is withdrawn between the parts takes nothing else with it, though the part before ended there.
    await tell(service_sessions, make_cancelled(orders[4]), sequence=2)
    rest, relation = part.headers["link"].split("; ")
    assert relation == 'rel="next"'
    following = await client.get(rest.strip("<>"), headers=head("outlet", outlet_id=SHOP))
    assert units_on(following.text, marks, wanted) == last
    assert "link" not in following.headers
    again = await client.get(path, headers=head("outlet", outlet_id=SHOP))
    assert units_on(again.text, marks, wanted) == [unit for unit in wanted if unit not in unnumbered]


async def test_a_pick_list_is_for_its_outlet_and_the_command_there(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    zone = make_town()
    order = order_at(zone, 0, 0)
    await tell(service_sessions, zone)
    await tell(service_sessions, order)
    ((load_id,),) = await rows(service_sessions, "SELECT load_id FROM loads")
    path = f"/v1/labels.html?slot_id={zone.slots[0].slot_id}&outlet_id={SHOP}"
    table: list[tuple[str, dict[str, Any], int, int]] = [
        ("outlet", {"outlet_id": SHOP}, 200, 200),
        ("commander", {"zone_ids": [zone.path[1]]}, 200, 200),
        ("outlet", {"outlet_id": new_id()}, 404, 404),
        ("commander", {"zone_ids": [new_id()]}, 404, 404),
        ("steward", {"subject": new_id()}, 404, 404),
        ("driver", {"subject": new_id()}, 404, 404),
        ("resident", {"household_id": order.household_id}, 403, 404),
    ]
    for role, claims, of_slot, of_load in table:
        answer = await client.get(path, headers=head(role, **claims))
        assert (role, answer.status_code) == (role, of_slot)
        assert ("<path" in answer.text) == (of_slot == 200)
        answer = await client.get(f"/v1/loads/{load_id}/labels.html", headers=head(role, **claims))
        assert (role, answer.status_code) == (role, of_load)
        assert ("<path" in answer.text) == (of_load == 200)
    own = head("outlet", outlet_id=SHOP)
    for unknown in (
        f"/v1/loads/{new_id()}/labels.html",
        f"/v1/labels.html?slot_id={new_id()}&outlet_id={SHOP}",
        f"{path}&cursor=AZOyNr2LdnWAAAAAAAAAAA==",
    ):
        answer = await client.get(unknown, headers=own)
        assert (answer.status_code, answer.json()["code"]) == (404, "kit.not_found")
    for nonsense in ("sheets=0", "sheets=26", "cursor=x"):
        assert (await client.get(f"{path}&{nonsense}", headers=own)).status_code == 422


@pytest.fixture
async def bulk(client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path) -> BulkRelay:
    return await make_bulk_relay(client, service_sessions, tmp_path)


async def test_of_a_bulk_load_the_outlet_prints_crates_and_the_steward_at_the_gate_bags(
    bulk: BulkRelay,
) -> None:
    bags = [bag for door in bulk.bags for bag in door]
    stranger = serving.headers("steward", subject=new_id())
    other_shop = serving.headers("outlet", outlet_id=new_id())
    table = [
        (bulk.headers("outlet"), bulk.crates, bags),
        (bulk.headers("steward"), bags, bulk.crates),
        (bulk.headers("commander"), [*bulk.crates, *bags], []),
        (bulk.headers("driver"), [], [*bulk.crates, *bags]),
        (bulk.headers("resident"), [], [*bulk.crates, *bags]),
        (stranger, [], [*bulk.crates, *bags]),
        (other_shop, [], [*bulk.crates, *bags]),
    ]
    for caller, printed, hidden in table:
        answer = await bulk.client.get(f"/v1/loads/{bulk.load_id}/labels.html", headers=caller)
        assert answer.status_code == (200 if printed else 404)
        assert set(units_on(answer.text, bulk.marks, printed)) == set(printed)
        assert len(pictures(answer.text)) == len(printed)
        for units, status in ((printed[:1], 200), (hidden[:1], 404)):
            for unit in units:
                for form in ("label", "label.svg"):
                    single = await bulk.client.get(f"/v1/load-units/{unit}/{form}", headers=caller)
                    assert single.status_code == status
                    assert ("BATON" in single.text or "<path" in single.text) == (status == 200)
    slot = f"/v1/labels.html?slot_id={bulk.zone.slots[0].slot_id}&outlet_id={SHOP}"
    for role in ("outlet", "commander"):
        answer = await bulk.client.get(slot, headers=bulk.headers(role))
        assert units_on(answer.text, bulk.marks, bulk.crates) == bulk.crates
    assert (await bulk.client.get(slot, headers=bulk.headers("steward"))).status_code == 404


async def test_a_crate_says_what_it_holds_and_a_bag_whose_portion_it_is(bulk: BulkRelay) -> None:
    building = bulk.zone.communities[0].building_ids[0]
    stated = AreaStated(
        area_id=building, path=(building,), level=AreaLevel.BUILDING, title="3号楼", gate=None, head_count=10,
        zone_class=None,
    )  # fmt: skip
    await tell(bulk.sessions, stated)
    held = await rows(
        bulk.sessions, "SELECT grams, lines FROM load_units WHERE load_unit_id = :id", id=bulk.crates[0]
    )
    goods = ", ".join(f"{line['name']} × {line['quantity']}" for line in held[0].lines)
    crate = await bulk.get(f"/v1/load-units/{bulk.crates[0]}/label", "outlet")
    assert crate["lines"] == ["马村", f"1/2 · {held[0].grams / 1000:.2f} kg", goods]
    assert crate["text"] == bulk.marks.label_of(bulk.crates[0])
    for number, bag in enumerate(bulk.bags[1], start=1):
        lines = (await bulk.get(f"/v1/load-units/{bag}/label", "steward"))["lines"]
        assert lines[0] == "马村 3号楼"
        assert lines[1].startswith(f"{number}/{len(bulk.bags[1])} · ")
        assert lines[2:] == [f"#{bulk.portions[1].hex[-6:].upper()}"]


async def test_a_bag_that_was_left_empty_at_the_split_is_on_no_sheet(bulk: BulkRelay) -> None:
    answer = await bulk.split(bulk.split_note((EGGS, "missing", 4000)))
    assert answer.status_code == 200, answer.text
    printed = await bulk.client.get(f"/v1/loads/{bulk.load_id}/labels.html", headers=bulk.headers("steward"))
    filled = [bag for door in bulk.bags[:2] for bag in door]
    assert sorted(units_on(printed.text, bulk.marks, filled)) == sorted(filled)
