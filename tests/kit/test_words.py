"""Every code has a sentence in each language, and every caller is spoken to in the one asked for."""

import ast
import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from pydantic_core.core_schema import ErrorType

from services.kit import words
from services.kit.http.problems import FaultView
from services.kit.words import Language
from tests.kit.lamps import Running
from tests.serving import headers

ROOT = Path(__file__).parents[2] / "services"
SERVICES = ("catalog", "orders", "dispatch", "whitelist")
FOLDERS = ("kit", "contracts", *SERVICES)
CODE = re.compile(rf"({'|'.join(SERVICES)}|kit)\.[a-z_]+")
BEGINNING = re.compile(rf"({'|'.join(SERVICES)}|kit)\.[a-z_]*")
# What has the form of a code and is none: the names of a timer, of a key's purpose.
NO_CODES = {"Timer", "derive"}
PURPOSES = {"orders.certificates"}
# Codes that the source puts together, by how it does.
COMPOSED = {
    "f'whitelist.{test}_missing'": {"whitelist.pcr_missing", "whitelist.antigen_missing"},
    "f'whitelist.{test}_expired'": {"whitelist.pcr_expired", "whitelist.antigen_expired"},
    "f\"kit.{error['type']}\"": {f"kit.{kind}" for kind in get_args(ErrorType)},
}


@cache
def nodes_of(folder: str) -> tuple[ast.AST, ...]:
    paths = sorted(path for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts)
    trees = [ast.parse(path.read_text()) for path in paths]
    return tuple(node for tree in trees for node in ast.walk(tree))


def texts_of(nodes: Iterable[ast.AST | None]) -> set[str]:
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@cache
def codes_of(folder: str) -> frozenset[str]:
    nodes = nodes_of(folder)
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    names = [
        each for call in calls if ast.unparse(call.func).split(".")[-1] in NO_CODES for each in call.args
    ]
    found = {text for text in texts_of(nodes) if CODE.fullmatch(text)} - texts_of(names) - PURPOSES
    for node in nodes:
        if isinstance(node, ast.JoinedStr) and any(map(BEGINNING.fullmatch, texts_of(node.values[:1]))):
            found |= COMPOSED[ast.unparse(node)]
    return frozenset(found)


def own_words_of(folder: str) -> words.Words:
    of_kit = words.load()
    both = words.load(f"services.{folder}")
    return of_kit if folder == "kit" else {code: both[code] for code in both if code not in of_kit}


@cache
def facts_of(folder: str) -> frozenset[str]:
    """The names by which facts are given: in a mapping, one by one, or by a value that travels."""
    found: set[str] = set()
    for node in nodes_of(folder):
        match node:
            case ast.Dict():
                found |= texts_of(node.keys)
            case ast.Subscript():
                found |= texts_of([node.slice])
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.Set() if folder == "kit":
                found |= texts_of(node.elts)
    return frozenset(found)


@pytest.mark.parametrize("service", SERVICES)
def test_every_code_that_a_service_can_answer_has_its_words(service: str) -> None:
    codes = codes_of(service) | codes_of("kit") | codes_of("contracts")
    assert len(codes) > 100
    assert codes - set(words.load("services.contracts", f"services.{service}")) == set()


def test_a_line_that_catalog_cannot_give_has_words_in_orders() -> None:
    desk = import_module("services.catalog.stock.holds.domain")
    codes = {value for value in vars(desk).values() if isinstance(value, str) and CODE.fullmatch(value)}
    assert "catalog.out_of_stock" in codes
    assert codes - set(words.load("services.contracts", "services.orders")) == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_words_are_kept_of_a_code_that_is_no_more(folder: str) -> None:
    everywhere = frozenset().union(*map(codes_of, FOLDERS))
    assert set(own_words_of(folder)) - everywhere == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_code_has_its_words_in_one_place(folder: str) -> None:
    # Of two entries the reader of YAML would keep the last, without a word.
    written = re.findall(r"^([a-z_.]+):", (ROOT / folder / "words.yaml").read_text(), re.MULTILINE)
    assert sorted(written) == sorted(own_words_of(folder))


@pytest.mark.parametrize("folder", FOLDERS)
def test_both_languages_say_the_same_facts_and_only_facts_that_are_given(folder: str) -> None:
    # What travels is told by another service than the one that found it.
    given = frozenset().union(*map(facts_of, FOLDERS if folder == "contracts" else (folder, "contracts")))
    for code, said in own_words_of(folder).items():
        assert set(said) == set(Language), code
        english, chinese = said[Language.ENGLISH], said[Language.CHINESE]
        assert (english.whole is None) == (chinese.whole is None), code
        assert "{" not in english.words + chinese.words, code
        assert english.words.isascii(), code
        assert re.search(r"[一-鿿]", chinese.words), code
        named = [words.names_in(each.whole or "") for each in (english, chinese)]
        assert named[0] == named[1], code
        assert named[0] <= given, code


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("fr, de;q=0.9", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("ZH-hans-CN", "zh"),
        ("zh-TW", "zh"),
        ("en-GB, zh", "en"),
        ("zh, en", "zh"),
        ("en;q=0.5, zh;q=0.6", "zh"),
        ("fr, zh;q=0.1", "zh"),
        ("zh;q=0", "en"),
        ("zh;q=0, *", "en"),
        ("*", "en"),
        ("en;q=0, *;q=0.1", "zh"),
        ("en;q=0", "en"),
        ("zhuang", "en"),
        ("zh;q=nonsense", "en"),
        ("zh;q=1" * 1000, "en"),
        (";;,,\x00", "en"),
    ],
)
def test_the_language_liked_best_is_chosen(accepted: str, language: str) -> None:
    assert words.choose(accepted) == language


def test_facts_are_left_out_where_one_is_not_known() -> None:
    sentences = words.load("services.contracts", "services.orders")
    with words.speak(sentences, "zh"):
        full = words.detail("orders.slot_closed", {"cut_off_at": "2022-03-28T14:00:00+00:00"})
        assert full == "该时段已截单：截单时间 2022-03-28 22:00 UTC+8"
        assert words.detail("orders.slot_full", {"next_slot_id": None}) == "该时段已约满"
        seen = words.detail("catalog.price_changed", {"asked": 599, "available": 1050})
        assert seen == "价格已上涨，未按新价下单：您看到的是 5.99 元，现价 10.50 元"
    with words.speak(sentences, ""):
        assert words.detail("orders.slot_full", {}) == "The slot is full"
        assert words.detail("no.such_code", {"x": 1}) == "The request is refused"
        assert words.title("no.such_code", otherwise="As it was raised") == "As it was raised"


def test_a_fact_is_never_read_as_a_form() -> None:
    with words.speak(words.load("services.contracts"), "en"):
        said = words.detail("catalog.out_of_stock", {"asked": "{available.__class__}", "available": 1})
    assert said == "There is not enough in stock: asked for {available.__class__}, there are 1"


def test_outside_of_a_request_english_is_spoken() -> None:
    assert FaultView(pointer="", code="kit.missing", params={}).detail == "This is needed"


CALLER = headers("steward", subject="s")


async def test_a_problem_is_told_in_the_callers_language(lamps: Running) -> None:
    chinese = await lamps.client.get(
        "/v1/lamps/refusals/rejected", headers={**CALLER, "accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}
    )
    assert (chinese.headers["content-language"], chinese.headers["vary"]) == ("zh-CN", "accept-language")
    assert (chinese.json()["title"], chinese.json()["errors"][0]["detail"]) == (
        "光线太暗",
        "光线太暗：需要 3，现有 1，截至 2022-01-01 08:00 UTC+8",
    )
    english = await lamps.client.get("/v1/lamps/refusals/rejected", headers=CALLER)
    assert (english.headers["content-language"], english.headers["vary"]) == ("en", "accept-language")
    assert (english.json()["title"], english.json()["errors"][0]["detail"]) == (
        "It is dark",
        "It is dark: asked for 3, there are 1 until 2022-01-01 08:00 UTC+8",
    )


async def test_what_the_kit_refuses_and_what_fails_is_told_so_too(lamps: Running) -> None:
    head = {**CALLER, "accept-language": "zh"}
    titles = {
        "/v1/nothing": "未找到相关内容",
        "/v1/lamps/%00": "请求无法读取",
        "/v1/lamps/failures/x": "服务出错，未作任何更改",
    }
    for path, title in titles.items():
        answer = await lamps.client.get(path, headers=head)
        assert (answer.json()["title"], answer.headers["content-language"]) == (title, "zh-CN")
    invalid = await lamps.client.get("/v1/lamps?limit=0", headers=head)
    assert invalid.json()["errors"] == [
        {
            "pointer": "/query/limit",
            "code": "kit.greater_than_equal",
            "params": {"ge": 1},
            "detail": "数值过小：不得小于 1",
        }
    ]


async def test_a_code_without_words_is_told_as_it_was_raised(lamps: Running) -> None:
    missing = await lamps.client.get(f"/v1/lamps/{'0' * 32}", headers={**CALLER, "accept-language": "zh"})
    assert missing.json()["title"] == "There is no such lamp"


async def test_an_answer_without_words_is_of_no_language(lamps: Running) -> None:
    answer = await lamps.client.get("/v1/lamps", headers={**CALLER, "accept-language": "zh"})
    assert "content-language" not in answer.headers
    assert "vary" not in answer.headers
