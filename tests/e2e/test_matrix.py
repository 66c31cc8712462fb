"""Who may do what: every route, asked by everybody for one thing, held against the reviewed table."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

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
    """Return the table's word for what each is told; who is refused leaves no trace."""
    call, stage, things = CALLS[row.request], played.stages[row.service], played.town.things
    unknown = {name: str(new_id()) for name in call.names(row.path)}
    thing = call.asking(row.method, row.path, things)
    nothing = call.asking(row.method, row.path, things, unknown) if unknown else None
    shown = things[call.shows] if call.shows else None
    found: dict[str, str] = {}
    untouched = None
    for who, head in played.town.heads.items():
        async with stage.again(*call.before):
            untouched = untouched or await stage.look()
            answer = await stage.ask(thing, head)
            found[who] = matrix.judge(answer, None, shown, call.rules)
            if found[who] == "yes":
                continue
            missing = await stage.ask(nothing, head) if nothing else None
            found[who] = matrix.judge(answer, missing, shown, call.rules)
            left = await stage.look()
            # A batch of which every item is refused is answered, and the answer is kept.
            kept = {"idempotency"} if answer.is_success else set()
            assert {name for name in left if left[name] != untouched[name]} <= kept, who
    return found
