from base64 import b64encode
from hashlib import sha256
from itertools import pairwise
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import httpx
import segno

from services.contracts.orders import Form
from services.dispatch.loads import label, sheet
from services.dispatch.loads.label import STOCK, Caption
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.dispatch.relays import make_relay

SVG = "{http://www.w3.org/2000/svg}"


def parse(drawing: str) -> ET.Element:
    return ET.fromstring(drawing)  # noqa: S314 - our own drawing


def modules_of(drawing: ET.Element) -> set[tuple[int, int]]:
    """The dark modules of a drawn code: its path is runs of `h`, moved on by `m`."""
    (path,) = drawing.iter(f"{SVG}path")
    words = path.attrib["d"].replace("M", " M ").replace("m", " m ").replace("h", " h ").replace("-", " -")
    x = y = 0.0
    dark = set()
    command, numbers = "", iter(words.split())
    for word in numbers:
        if word in "Mmh":
            command = word
        number = next(numbers) if word in "Mmh" else word
        if command == "h":
            dark |= {(int(x) + step, int(y)) for step in range(int(number))}
            x += int(number)
            continue
        moved = (float(number), float(next(numbers)))
        x, y = moved if command == "M" else (x + moved[0], y + moved[1])
    return dark


def make_caption(**given: Any) -> Caption:
    wanted = {
        "load_unit_id": new_id(),
        "form": Form.BAGGED,
        "community": "马村",
        "building": "3号楼",
        "outlet": "超市发 北臧村店",
        "number": 1,
        "pieces": 2,
        "grams": 10_000,
        "portion_id": UUID(int=0xFA3454),
        "contents": [("大白菜", 2)],
    }
    return Caption(**{**wanted, **given})


def test_the_drawing_has_every_dark_module_of_the_code_inside_its_quiet_zone() -> None:
    text = f"BATON:{'A1' * 16}:{'BCDEFGH2' * 2}"
    drawing = parse(label.draw(text, ["马村 3号楼"]))
    matrix = segno.make(text, error="m", micro=False, mask=label.MASK).matrix
    wanted = {
        (x + label.QUIET, y + label.QUIET)
        for y, row in enumerate(matrix)
        for x, is_dark in enumerate(row)
        if is_dark
    }
    assert modules_of(drawing) == wanted
    _, code = drawing.iter(f"{SVG}svg")
    assert code.attrib["viewBox"] == f"0 0 {len(matrix) + 8} {len(matrix) + 8}"
    assert float(code.attrib["width"]) / (len(matrix) + 8) >= 0.5


def test_lines_are_written_beside_the_code_and_never_read_as_markup() -> None:
    lines = ["<script>alert(1)</script>", "& 3号楼", "1/2 · 10.00 kg"]
    drawing = parse(label.draw("BATON:0:0", lines))
    written = list(drawing.iter(f"{SVG}text"))
    assert ["".join(each.text or "" for each in written[:-2]), *(each.text for each in written[-2:])] == lines
    assert {float(each.attrib["x"]) for each in written} == {label.CODE}
    assert float(written[-1].attrib["y"]) < STOCK.height - label.EDGE
    assert not list(drawing.iter(f"{SVG}script"))


def test_a_label_says_where_to_from_whom_and_how_many_and_of_bulk_what_or_whose() -> None:
    bag, portion = make_caption(), make_caption(form=Form.BULK, number=3, pieces=4, grams=5125)
    crate = make_caption(form=Form.BULK, portion_id=None, building="", contents=[("大白菜", 16), ("土豆", 2)])
    assert bag.lines == ["马村 3号楼", "超市发 北臧村店", "1/2 · 10.00 kg"]
    assert portion.lines == ["马村 3号楼", "超市发 北臧村店", "3/4 · 5.12 kg", "#FA3454"]
    assert crate.lines == ["马村", "超市发 北臧村店", "1/2 · 10.00 kg", "大白菜 × 16, 土豆 × 2"]
    assert make_caption(community="", outlet="").lines == ["3号楼", "1/2 · 10.00 kg"]


def test_the_longest_names_are_all_there_and_inside_the_label() -> None:
    caption = make_caption(
        community="村" * 100, building="楼" * 100, outlet="W" * 200, form=Form.BULK, portion_id=None,
        contents=[("有机大白菜", 16)] * 100, number=499, pieces=500,
    )  # fmt: skip
    rows = label.fit(caption.lines)
    assert "".join(row.text for row in rows if row.is_headline).replace(" ", "") == "村" * 100 + "楼" * 100
    others = "".join(row.text for row in rows if not row.is_headline)
    assert others.startswith("W" * 200 + "499/500 · 10.00 kg" + "有机大白菜 × 16,")
    assert others.endswith("…")
    assert all(len(row.text) * row.size <= label.WIDTH for row in rows if row.text[0] in "村楼W")
    written = [
        float(each.attrib["y"]) for each in parse(label.draw("BATON:0:0", caption.lines)).iter(f"{SVG}text")
    ]
    assert written[0] > label.EDGE
    assert written[-1] < STOCK.height - label.EDGE
    assert all(lower > upper for upper, lower in pairwise(written))


def test_a_name_of_letters_that_no_drawing_may_have_is_drawn_without_them() -> None:
    lines = make_caption(community="马\x0b村\x00\u3000新区\u202e\uffff").lines
    assert lines[0] == "马 村 新区 3号楼"
    assert parse(label.draw("BATON:0:0", lines)) is not None


def test_sheets_have_eight_labels_each_and_nothing_that_runs_or_is_fetched() -> None:
    drawings = [label.draw(f"BATON:{number}", ["</style><script>alert(1)</script>"]) for number in range(17)]
    document = sheet.lay_out(drawings)
    sheets = document.split("<section>")[1:]
    assert ["".join(drawings[first : first + 8]) for first in (0, 8, 16)] == [
        each.removesuffix("</body></html>").removesuffix("</section>") for each in sheets
    ]
    assert "<script" not in document
    assert document.count("http") == document.count('xmlns="http://www.w3.org/2000/svg"') + 1
    style = document.split("<style>")[1].split("</style>")[0]
    hashed = b64encode(sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{hashed}'" in sheet.HEADERS["content-security-policy"]
    assert STOCK.columns * STOCK.width + (STOCK.columns - 1) * STOCK.gap <= sheet.PAGE[0]
    assert STOCK.rows * STOCK.height <= sheet.PAGE[1]


async def test_a_label_to_print_is_for_who_packs_and_who_commands(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    relay = await make_relay(client, service_sessions)
    path = f"/v1/load-units/{relay.units[0]}/label.svg"
    for role in ("outlet", "commander"):
        answer = await client.get(path, headers=relay.headers(role))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
        drawing = parse(answer.text)
        assert [each.text for each in drawing.iter(f"{SVG}text")] == ["马村", "1/2 · 10.00 kg"]
        expected = parse(label.draw(relay.labels[relay.units[0]], []))
        assert modules_of(drawing) == modules_of(expected)
    for role in ("driver", "steward", "resident"):
        refused = await client.get(path, headers=relay.headers(role))
        assert (refused.status_code, refused.json()["code"]) == (404, "kit.not_found")
    nothing = await client.get(f"/v1/load-units/{new_id()}/label.svg", headers=relay.headers())
    assert (nothing.status_code, nothing.json()["code"]) == (404, "kit.not_found")
    described = (await client.get("/openapi.json")).json()["paths"]["/v1/load-units/{load_unit_id}/label.svg"]
    assert list(described["get"]["responses"]["200"]["content"]) == ["image/svg+xml"]
