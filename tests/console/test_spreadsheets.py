"""What the page on spreadsheets shows is what the services read and answer."""

import json
import re
import shlex
from collections.abc import Awaitable, Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.catalog.outlets.items import LEDGER
from services.catalog.stock.offers.routes import GOODS
from services.whitelist.people.routes import STAFF_LIST
from tests import serving
from tests.catalog import goods

PAGE = (Path(__file__).parents[2] / "docs/spreadsheets.md").read_text()
BLOCKS = dict(re.findall(r"^```([a-z ]+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
FORMS = {"shops": LEDGER, "goods": GOODS, "staff": STAFF_LIST}
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


@pytest.fixture
async def start(database_of: Callable[[str], Awaitable[str]], tmp_path: Path) -> Callable[[str], Any]:
    async def begin(service: str) -> Any:
        kind = getattr(import_module(f"services.{service}.settings"), f"{service.capitalize()}Settings")
        settings = serving.make_settings(kind, tmp_path, await database_of(service))
        return serving.client_of(import_module(f"services.{service}.main").create_app, settings)

    return begin


def as_shown(token: str) -> tuple[str, dict[str, str]]:
    """The address and the headers of the page's curl."""
    command = BLOCKS["sh"].partition("\n")[2].replace("$(cat build/town/tokens/commander)", token)
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:4] == ["curl", "-s", "-X", "POST"]
    assert words[-2:] == ["--data-binary", "@shops.csv"]
    head = [word.split(": ", 1) for flag, word in pairwise(words) if flag == "-H"]
    return words[4].removeprefix("$BATON"), {name.lower(): value for name, value in head}


async def post(
    client: httpx.AsyncClient, path: str, block: str, head: dict[str, str]
) -> list[dict[str, Any]]:
    answer = await client.post(path, content=block.encode(), headers={**head, "content-type": "text/csv"})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


@pytest.mark.parametrize("name", FORMS)
def test_the_page_names_every_column_and_says_which_are_needed(name: str) -> None:
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)[-3 + list(FORMS).index(name)]
    told = re.findall(r"^\| `(\w+)` \| (yes)?", section, re.MULTILINE)
    form = FORMS[name]
    assert told == [(column.name, "yes" if form.is_required(column) else "") for column in form.all_columns]


async def test_the_ledger_of_the_page_is_accepted_as_its_curl_sends_it(start) -> None:
    async with await start("catalog") as client:
        path, head = as_shown(serving.make_token("commander"))
        answer = await client.post(path, content=BLOCKS["csv shops"].encode(), headers=head)
        assert [item["outcome"] for item in answer.json()["items"]] == ["created", "created"]


async def test_a_slip_is_answered_as_the_page_says_and_its_goods_are_accepted(start) -> None:
    async with await start("catalog") as client:
        keeper = serving.headers("commander", key="ledger")
        items = await post(client, "/v1/outlets.csv", BLOCKS["csv shops with a slip"], keeper)
        assert ID.sub("", json.dumps(items)) == ID.sub("", json.dumps(json.loads(BLOCKS["json"])["items"]))
        outlet_id, product_id = items[0]["outlet_id"], await goods.make_product(client)
        listing = ID.sub(product_id, BLOCKS["csv goods"])
        items = await post(client, f"/v1/outlets/{outlet_id}/offers.csv", listing, goods.as_outlet(outlet_id))
        assert [(item["plu"], item["outcome"]) for item in items] == [
            ("1001", "created"),
            ("1002", "created"),
        ]


async def test_the_staff_of_the_page_is_accepted(start) -> None:
    async with await start("whitelist") as client:
        keeper = serving.headers("commander", key="staff")
        items = await post(client, "/v1/people.csv", BLOCKS["csv staff"], keeper)
        assert [(item["line"], item["outcome"]) for item in items] == [(2, "created"), (3, "created")]
