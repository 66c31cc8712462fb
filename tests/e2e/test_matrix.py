"""Who may do what: every route, asked by everybody for one thing, held against the reviewed table."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.console import documents
from services.console.machine.databases import SERVICES
from services.kit.ids import new_id
from tests import databases
from tests.e2e import matrix, matrix_town, planted
from tests.e2e.matrix import Row, Stage
from tests.e2e.matrix_calls import CALLS
from tests.e2e.matrix_town import Town

ROWS = matrix.read_table()


@dataclass(frozen=True, kw_only=True)
class Played:
    """The planted town and its services."""

    town: Town
    stages: Mapping[str, Stage]


@pytest.fixture(scope="module")
async def played(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Played]:
    folder: Path = tmp_path_factory.mktemp("keys")
    urls = {
        service: databases.address_of(postgres, await databases.build_template(postgres, service))
        for service in SERVICES
    }
    town = await matrix_town.survey(await planted.grow(urls, folder), urls, folder)
    async with AsyncExitStack() as stack:
        stages = {
            service: await stack.enter_async_context(matrix.staging(service, urls[service], folder))
            for service in SERVICES
        }
        yield Played(town=town, stages=stages)


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_has_its_row_and_every_row_its_route(service: str) -> None:
    routes = {
        f"{method.upper()} {path}"
        for path, methods in documents.openapi_of(service)["paths"].items()
        for method in methods
    }
    assert {row.request for row in ROWS if row.service == service} == routes


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.request} {row.thing}")
async def test_everybody_is_answered_as_the_table_says(row: Row, played: Played) -> None:
    assert await answers_of(row, played) == row.cells


async def answers_of(row: Row, played: Played) -> dict[str, str]:
    """Return the table's word for what each is told; those who are refused leave no trace together."""
    call, stage, things = CALLS[row.request], played.stages[row.service], played.town.things
    unknown = {name: str(new_id()) for name in call.names(row.path)}
    thing = call.asking(row.method, row.path, things)
    nothing = call.asking(row.method, row.path, things, unknown) if unknown else None
    shown = things[call.shows] if call.shows else None

    async def ask(who: str) -> str:
        head = played.town.heads[who]
        answer = await stage.ask(thing, head)
        word = matrix.judge(answer, None, shown, call.rules)
        if word == "yes" or nothing is None:
            return word
        return matrix.judge(answer, await stage.ask(nothing, head), shown, call.rules)

    found: dict[str, str] = {}
    async with stage.again(*call.before):
        untouched = await stage.look()
        for who in played.town.heads:
            if row.cells[who] != "yes":
                found[who] = await ask(who)
        left = await stage.look()
    # A batch of which every item is refused is answered, and the answer is kept.
    kept = {"idempotency"} if {"none", "seen"} & set(row.cells.values()) else set()
    assert {name for name in left if left[name] != untouched[name]} <= kept
    for who in played.town.heads:
        if row.cells[who] == "yes":
            async with stage.again(*call.before):
                found[who] = await ask(who)
    return found


@pytest.mark.parametrize("row", [row for row in ROWS if CALLS[row.request].body], ids=lambda row: row.request)
async def test_a_field_that_is_not_asked_for_and_a_key_that_stands_twice_are_refused(
    row: Row, played: Played
) -> None:
    call, stage = CALLS[row.request], played.stages[row.service]
    asking = call.asking(row.method, row.path, played.town.things)
    who = next(who for who, word in row.cells.items() if word == "yes")
    head = {**played.town.heads[who], "idempotency-key": new_id().hex, "content-type": "application/json"}
    async with stage.again(*call.before):
        untouched = await stage.look()
        for body, code in forged(asking.body):
            answer = await stage.client.post(asking.path, content=body, headers=head)
            assert (answer.status_code, answer.json()["code"]) == (422, code), body
        assert await stage.look() == untouched


def forged(body: Any) -> Iterator[tuple[str, str]]:
    """Yield the body with a field more in each of its objects, and with a key that stands twice."""
    for place in objects(body):
        wider = json.loads(json.dumps(body))
        target = wider
        for step in place:
            target = target[step]
        target["made_by"] = "commander"
        yield json.dumps(wider), "kit.invalid"
    yield json.dumps(body)[:-1] + ("," if body else "") + '"made_by": 1, "made_by": 2}', "kit.duplicate_key"


def objects(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where each object of a document stands."""
    match value:
        case dict():
            yield place
            for name, inner in value.items():
                yield from objects(inner, (*place, name))
        case list():
            for index, inner in enumerate(value):
                yield from objects(inner, (*place, index))
