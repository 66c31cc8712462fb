from xml.etree import ElementTree as ET

import httpx
import segno

from services.dispatch.loads import label
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


def test_the_drawing_has_every_dark_module_of_the_code_inside_its_quiet_zone() -> None:
    text = f"BATON:{'A1' * 16}:{'BCDEFGH2' * 2}"
    drawing = parse(label.draw(text, ["马村 3号楼"]))
    matrix = segno.make(text, error="m", micro=False).matrix
    wanted = {
        (x + label.QUIET, y + label.QUIET)
        for y, row in enumerate(matrix)
        for x, is_dark in enumerate(row)
        if is_dark
    }
    assert modules_of(drawing) == wanted


def test_lines_are_written_below_the_code_and_never_read_as_markup() -> None:
    lines = ["<script>alert(1)</script> & 3号楼", "1/2 · 10.00 kg"]
    drawing = parse(label.draw("BATON:0:0", lines))
    written = list(drawing.iter(f"{SVG}text"))
    assert [each.text for each in written] == lines
    assert float(written[-1].attrib["y"]) < float(drawing.attrib["height"])
    assert not list(drawing.iter(f"{SVG}script"))


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
