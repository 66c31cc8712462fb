"""A sheet is read strictly and line by line; what is wrong is told by line and column, never repeated."""

import json
import time
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Annotated
from uuid import UUID

import httpx
import pytest
from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from services.kit.errors import Problem, Rejected, Unreadable
from services.kit.http import application
from services.kit.http.problems import FaultView
from services.kit.http.sheets import MOST_COLUMNS, Column, Entry, Form, LineView, Sheet, day, number, several
from services.kit.settings import ServiceSettings
from tests import serving


class Place(BaseModel):
    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Annotated[float, Field(ge=-180, le=180)]


class Permit(BaseModel):
    kind: str
    number: Annotated[str, Field(min_length=2)]
    until: date | None = None


class Stall(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=20)]
    place: Place
    size: Annotated[int, Field(ge=0, le=100)]
    since: date | None = None
    areas: Annotated[list[UUID], Field(max_length=2)] = []
    permits: list[Permit] = []


STALLS = Form(
    item=Stall,
    columns=(
        Column("name", "its name"),
        Column("lat", "north", ("place", "lat"), number),
        Column("lon", "east", ("place", "lon"), number),
        Column("size", "its size", read=number),
        Column("since", "its first day", read=day),
        Column("areas", "its areas", read=several),
    ),
    lists={
        "permits": tuple(
            Entry(
                (
                    Column(f"{kind}_number", "n", ("number",)),
                    Column(f"{kind}_until", "d", ("until",), day),
                ),
                {"kind": kind},
            )
            for kind in ("fish", "meat")
        )
    },
    example="name,lat,lon,size\nA,1,2,3\n",
)  # fmt: skip
HEAD = "name,lat,lon,size"


def read(text: str | bytes) -> Sheet[Stall]:
    return STALLS.read(text if isinstance(text, bytes) else text.encode())


def faults_of(text: str) -> list[tuple[int, list[tuple[str, str]]]]:
    """The lines that could not be read, each with its faults."""
    return [
        (line.number, [(fault.pointer, fault.code) for fault in line.faults])
        for line in read(text).lines
        if line.item is None
    ]


def refusal_of(text: str | bytes, kind: type[Problem]) -> tuple[str, list[tuple[str, str, dict]]]:
    with pytest.raises(kind) as refused:
        read(text)
    faults = refused.value.faults
    return refused.value.code, [(fault.pointer, fault.code, dict(fault.params)) for fault in faults]


A = Stall(name="A", place=Place(lat=1.5, lon=-2), size=3)


@pytest.mark.parametrize(
    "text",
    [
        "name,lat,lon,size\nA,1.5,-2,3\n",
        "size;lon;name;lat\r\n3;-2;A;1.5\r\n",
        "name\tlat\tlon\tsize\nA\t1.5\t-2\t3",
        "\ufeffname,lat,lon,size\rA,1.5,-2,3\r",
        '"name","lat","lon","size"\n"A","1.5","-2","3"\n',
        '\n;;;\n"name";lat;lon;size\n\n;;;\nA;1.5;-2;3\n\n',
        "name,lat,lon,size,,\nA,1.5,-2,3,,\n",
        "name,lat,lon,size,since,areas,fish_number\nA,1.5,-2,3\n",
        "name,lat,lon,size,since\nA,1.5,-2,3, \n",
    ],
)
def test_however_a_spreadsheet_saves_it_the_item_is_the_same(text: str) -> None:
    assert read(text).items == [A]


def test_a_cell_may_hold_what_sets_cells_and_lines_apart() -> None:
    (item,) = read('name,lat,lon,size\n"a, ""b""\n;c",1,2,3').items
    assert item.name == 'a, "b"\n;c'


def test_a_text_is_kept_as_it_comes() -> None:
    names = ["=1+1", "@SUM(A1)", "-3", "0012", " x ", "大白菜", "NULL", "true"]
    lines = "\n".join(f"{name},1,2,3" for name in names)
    assert [item.name for item in read(f"{HEAD}\n{lines}").items] == names


def test_lists_are_written_in_columns_of_their_own_or_in_one_cell() -> None:
    one, two = UUID(int=1), UUID(int=2)
    (first, second) = read(
        f"{HEAD},meat_until,meat_number,fish_number,areas\n"
        f"A,1,2,3,2026-12-31,M1,F1,{one} {two}\n"
        "B,1,2,3,,M2,,\n"
    ).items
    assert first.permits == [
        Permit(kind="fish", number="F1"),
        Permit(kind="meat", number="M1", until=date(2026, 12, 31)),
    ]
    assert first.areas == [one, two]
    assert (second.permits, second.areas) == ([Permit(kind="meat", number="M2")], [])


def test_a_line_that_cannot_be_read_leaves_the_others_alone_and_names_its_columns() -> None:
    text = (
        f"{HEAD},since,areas,fish_number,meat_number,meat_until\n"
        "good,1,2,3\n"
        '"two\nlines",91,x,3.5\n'
        "\n"
        ",,2,101,yesterday,1 x,,,2026-02-30\n"
        "good,1,2,3\n"
        "long,1,2,3,,,,m,,,too much\n"
        f"{'n' * 21},1,2,3,,{UUID(int=1)} {UUID(int=2)} {UUID(int=3)},,m\n"
    )
    assert [line.number for line in read(text).lines] == [2, 3, 6, 7, 8, 9]
    assert faults_of(text) == [
        (3, [("/lines/3/lat", "kit.less_than_equal"), ("/lines/3/lon", "kit.float_type"),
             ("/lines/3/size", "kit.int_type")]),
        (6, [
            ("/lines/6/name", "kit.missing"), ("/lines/6/lat", "kit.missing"),
            ("/lines/6/size", "kit.less_than_equal"), ("/lines/6/since", "kit.date_parsing"),
            ("/lines/6/areas", "kit.uuid_parsing"), ("/lines/6/meat_number", "kit.missing"),
            ("/lines/6/meat_until", "kit.date_parsing"),
        ]),
        (8, [("/lines/8", "kit.cells_too_many")]),
        (9, [("/lines/9/name", "kit.string_too_long"), ("/lines/9/areas", "kit.too_long"),
             ("/lines/9/meat_number", "kit.string_too_short")]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "size", ["1_0", "+5", " 5", "5 ", "5.0", "007", "٣", "1e1", "5,0", "0x1", "-", "9" * 5000, "true", "NaN"]
)
def test_a_whole_number_is_written_as_one(size: str) -> None:
    assert faults_of(f"{HEAD.replace(',', ';')}\nA;1;2;{size}") == [(2, [("/lines/2/size", "kit.int_type")])]


@pytest.mark.parametrize("lat", ["nan", "inf", "-inf", "1e1", "1_0", "1.", ".5", "1,5", "1" * 5000, "１"])
def test_a_number_is_written_as_one(lat: str) -> None:
    assert faults_of(f"{HEAD.replace(',', ';')}\nA;{lat};2;3") == [(2, [("/lines/2/lat", "kit.float_type")])]


@pytest.mark.parametrize(
    "written",
    [
        "2022/03/28",
        "2022-3-28",
        "20220328",
        "1648425600",
        "28.3.2022",
        "2022-02-30",
        "0",
        "2022-03-28T00:00:00",
        "２022-03-28",
    ],
)
def test_a_date_is_written_as_one(written: str) -> None:
    assert faults_of(f"{HEAD},since\nA,1,2,3,{written}") == [(2, [("/lines/2/since", "kit.date_parsing")])]


def test_other_columns_are_refused_as_a_whole_and_every_one_is_named() -> None:
    assert refusal_of("\nCANARY,name,size,size,=1+1,,since,name\nA,1,2,3", Rejected) == (
        "kit.sheet_columns",
        [
            ("/lines/2", "kit.column_unknown", {"column": "A"}),
            ("/lines/2", "kit.column_unknown", {"column": "E"}),
            ("/lines/2", "kit.column_unknown", {"column": "F"}),
            ("/lines/2/name", "kit.column_repeated", {}),
            ("/lines/2/lat", "kit.column_missing", {}),
            ("/lines/2/lon", "kit.column_missing", {}),
            ("/lines/2/size", "kit.column_repeated", {}),
        ],
    )


def test_columns_are_told_by_the_letters_of_a_spreadsheet() -> None:
    header = ",".join([HEAD, *(f"x{n}" for n in range(30))])
    _, faults = refusal_of(f"{header}\n", Rejected)
    assert [facts["column"] for _, _, facts in faults][-12:] == [
        *"WXYZ",
        *(f"A{last}" for last in "ABCDEFGH"),
    ]


def test_a_header_without_end_is_not_told_column_by_column() -> None:
    fault = ("/lines/1", "kit.cells_too_many", {"most": MOST_COLUMNS})
    assert refusal_of(",".join(["x"] * 300_000), Rejected) == ("kit.sheet_columns", [fault])


@pytest.mark.parametrize("text", ["", "\ufeff", "\n\n", ",,,", '""'])
def test_a_file_without_a_header_lacks_every_column_it_needs(text: str) -> None:
    code, faults = refusal_of(text, Rejected)
    assert (code, [(pointer, each) for pointer, each, _ in faults]) == (
        "kit.sheet_columns",
        [(f"/lines/1/{name}", "kit.column_missing") for name in ("name", "lat", "lon", "size")],
    )


def test_a_sheet_has_as_many_lines_as_its_batch_takes() -> None:
    line = "A,1.5,-2,3\n"
    assert read(f"{HEAD}\n\n{line * 500}\n\n,,,\n").items == [A] * 500
    assert refusal_of(f"{HEAD}\n{line * 501}", Rejected) == (
        "kit.invalid", [("/lines", "kit.too_long", {"max_length": 500})],
    )  # fmt: skip
    assert refusal_of(f"{HEAD}\n\n", Rejected) == (
        "kit.invalid",
        [("/lines", "kit.too_short", {"min_length": 1})],
    )


@pytest.mark.parametrize(
    "text", [f"{HEAD}\n" + "\n" * 900_000, "\r" * 900_000, f"{HEAD}\n" + ",\n" * 450_000]
)
def test_blank_lines_without_end_are_refused_at_once(text: str) -> None:
    started = time.process_time()
    assert refusal_of(text, Rejected) == ("kit.invalid", [("/lines", "kit.too_long", {"max_length": 20_000})])
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "body",
    [
        f"{HEAD}\n大,1,2,3".encode("gbk"),
        f"{HEAD}\nA,1,2,3".encode("utf-16"),
        f"{HEAD}\nA,1,2,3".encode("utf-16-le"),
        f"{HEAD}\nA\x00,1,2,3".encode(),
        f"{HEAD}\n".encode() + b"A\xed\xa0\x80,1,2,3",
        f"{HEAD}\n".encode() + b"A\xf0\x9f,1,2,3",
    ],
    ids=["gbk", "utf-16", "utf-16 without a mark", "a NUL", "half a character", "a character cut off"],
)
def test_what_is_no_text_in_utf_8_is_refused(body: bytes) -> None:
    assert refusal_of(body, Unreadable) == ("kit.sheet_encoding", [])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f'{HEAD}\nA,1,2,3\n"B,1,2,3\nC,1,2,3\n', 3),
        (f'{HEAD}\n"A"b,1,2,3', 2),
        (f'"{HEAD}', 1),
        (f'{HEAD}\n"two\nlines",1,2,3\n\n"', 5),
        (f"{HEAD}\n{'x' * 200_000},1,2,3", 2),
    ],
    ids=["not closed", "within a cell", "in the header", "after a cell of two lines", "a cell without end"],
)
def test_from_a_quote_that_is_wrong_nothing_is_read(text: str, line: int) -> None:
    fault = (f"/lines/{line}", "kit.sheet_unreadable", {})
    assert refusal_of(text, Unreadable) == ("kit.sheet_unreadable", [fault])


class StallView(BaseModel):
    name: str
    errors: list[FaultView]


class StallLineView(LineView):
    name: str | None = None
    errors: list[FaultView]


class StallsView(BaseModel):
    items: list[StallLineView]


def refuse(item: Stall, pointer: str) -> StallView:
    return StallView(name=item.name, errors=[FaultView(pointer=pointer, code="kit.refused", params={})])


def test_what_the_batch_is_answered_is_told_by_line_and_column() -> None:
    sheet = read(f"{HEAD},areas,fish_number,meat_number\nA,1,2,3,,,M1\nB,1,2,x\nC,1,2,3\n\nD,1,2,3\n")
    a, c, d = sheet.items
    shown = [
        refuse(a, "/stalls/0/permits/0/until"),
        refuse(c, "/stalls/1/place"),
        refuse(d, "/stalls/2/areas/7"),
    ]
    told = [
        (one.line, one.index, one.name, one.errors[0].pointer) for one in sheet.answer(StallLineView, shown)
    ]
    assert told == [
        (2, 0, "A", "/lines/2/meat_until"),
        (3, 1, None, "/lines/3/size"),
        (4, 2, "C", "/lines/4/lat"),
        (6, 3, "D", "/lines/6/areas"),
    ]
    [whole] = read(f"{HEAD}\nA,1,2,3").answer(StallLineView, [refuse(a, "/stalls/0")])
    assert whole.errors[0].pointer == "/lines/2"


router = application.make_router("/stalls")
StallSheet = Annotated[Sheet[Stall], Depends(STALLS.receive)]


@router.post(".csv", openapi_extra=STALLS.as_body())
async def open_stalls(sheet: StallSheet) -> StallsView:
    """Answer each line with its name."""
    shown = [StallView(name=item.name, errors=[]) for item in sheet.items]
    return StallsView(items=sheet.answer(StallLineView, shown))


@router.post("")
async def open_stall(body: Stall) -> StallView:
    """Answer with the name."""
    return StallView(name=body.name, errors=[])


def create_app(settings: ServiceSettings):
    return application.create(settings, title="stalls", routers=[router])


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = serving.make_settings(ServiceSettings, tmp_path, "postgresql://nowhere", body_bytes=2000)
    async with serving.client_of(create_app, settings) as made:
        yield made


async def post(client: httpx.AsyncClient, path: str, kind: str, body: str) -> httpx.Response:
    return await client.post(path, content=body.encode(), headers={"content-type": kind})


@pytest.mark.parametrize("kind", ["text/csv", "text/csv; charset=utf-8", "Text/CSV;header=present"])
async def test_a_sheet_is_read_at_its_own_address(client: httpx.AsyncClient, kind: str) -> None:
    answer = await post(client, "/v1/stalls.csv", kind, f"{HEAD}\nA,1,2,3\nCANARY,1,2,=1+1\n")
    assert (answer.status_code, "CANARY" in answer.text, "1+1" in answer.text) == (200, False, False)
    good, bad = answer.json()["items"]
    assert good == {"line": 2, "index": 0, "name": "A", "errors": []}
    assert bad["errors"] == [
        {
            "pointer": "/lines/3/size",
            "code": "kit.int_type",
            "params": {},
            "detail": "This must be a whole number",
        }
    ]


@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [
        ("/v1/stalls.csv", "application/json", "kit.sheet_media_type"),
        ("/v1/stalls.csv", "text/plain", "kit.sheet_media_type"),
        ("/v1/stalls.csv", "", "kit.sheet_media_type"),
        ("/v1/stalls", "text/csv", "kit.media_type"),
        ("/v1/stalls/csv", "text/csv", "kit.media_type"),
    ],
)
async def test_each_address_reads_one_kind_of_body(client: httpx.AsyncClient, path, kind, code) -> None:
    answer = await post(client, path, kind, f"{HEAD}\nA,1,2,3\n")
    assert (answer.status_code, answer.json()["code"]) == (415, code)


async def test_a_sheet_is_refused_as_a_problem_in_the_callers_language(client: httpx.AsyncClient) -> None:
    head = {"content-type": "text/csv", "accept-language": "zh"}
    answer = await client.post("/v1/stalls.csv", content="CANARY,名称\nx,y".encode(), headers=head)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    problem = answer.json()
    assert (problem["title"], problem["errors"][0]["detail"]) == (
        "表头的列不符合要求",
        "含有此处不认识的列：第 A 列",
    )
    assert not {"CANARY", "名称"} & set(answer.text.split('"'))
    gbk = await client.post("/v1/stalls.csv", content="名称".encode("gbk"), headers=head)
    assert (gbk.status_code, gbk.json()["title"]) == (400, "表格不是 UTF-8 编码，请另存为“CSV UTF-8”")


async def test_the_usual_limit_of_a_body_holds_for_a_sheet(client: httpx.AsyncClient) -> None:
    answer = await post(client, "/v1/stalls.csv", "text/csv", f"{HEAD}\n" + "\n" * 2000)
    assert (answer.status_code, answer.json()["code"]) == (413, "kit.too_large")


def test_the_document_says_what_a_sheet_must_be(tmp_path: Path) -> None:
    settings = serving.make_settings(ServiceSettings, tmp_path, "postgresql://nowhere")
    body = application.document(create_app(settings))["paths"]["/v1/stalls.csv"]["post"]["requestBody"]
    assert (body["required"], list(body["content"])) == (True, ["text/csv"])
    assert body["content"]["text/csv"] == {"schema": {"type": "string"}, "example": STALLS.example}
    assert "- `lat` (needed): north\n" in body["description"]
    assert "- `meat_until`: d" in body["description"]
    assert json.dumps(body).count("(needed)") == 4
