"""The short way answers as the long way does, to the byte; what it cannot do is no short way."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import httpx
import pytest
from fastapi import Header, Request, Response
from prometheus_client import REGISTRY
from pydantic import BaseModel, ConfigDict, Field

from services.kit.errors import Conflict
from services.kit.http import application
from services.kit.http.idempotency import Identified, OnceOnly
from services.kit.http.tokens import Caller
from services.kit.settings import ServiceSettings
from tests.serving import headers, make_settings

HEAD = {**headers("steward", key="k", subject="s"), "content-type": "application/json"}
GOOD = b'{"word": "dim", "watts": [1, 2]}'


class Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    word: Annotated[str, Field(max_length=9)]
    watts: Annotated[tuple[int, ...], Field(min_length=1)]


router = application.make_router("/wishes")


@router.post("", status_code=202)
async def wish(
    body: Wish,
    request: Request,
    caller: Caller,
    identity: Identified,
    prefer: Annotated[str | None, Header()] = None,
) -> Response:
    """Wish for a lamp."""
    match body.word:
        case "refuse":
            raise Conflict("kit.draining", "It is dark", retry_after=3)
        case "fail":
            raise LookupError(body.word)
    said = f"{body.watts} {caller.subject} {identity.route} {identity.digest.hex()} {prefer} {request.method}"
    return Response(said, status_code=202, headers={"location": "/v1/wishes/1"})


@router.post("/once")
async def wish_once(body: Wish, once: OnceOnly) -> None:
    """Ask for a transaction."""


@router.post("/{wish_id}")
async def wish_again(wish_id: UUID, body: Wish) -> None:
    """Ask for a part of the address."""


def client_of(folder, *, hot=()) -> httpx.AsyncClient:
    settings = make_settings(ServiceSettings, folder, "postgresql://nobody@127.0.0.1:1/none", body_bytes=500)
    app = application.create(settings, title="wishes", routers=[router], words=["tests.kit"], hot=hot)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://wishes")


async def in_parts(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in HEAD.items() if name not in names}


ASKED = {
    "granted": (202, {"content": GOOD}),
    "with a preference": (202, {"content": GOOD, "headers": HEAD | {"prefer": "wait=1"}}),
    "without a token": (401, {"content": GOOD, "headers": without("authorization")}),
    "with another scheme": (401, {"content": GOOD, "headers": HEAD | {"authorization": "Basic eDp5"}}),
    "without a key": (400, {"content": GOOD, "headers": without("idempotency-key")}),
    "with an endless key": (400, {"content": GOOD, "headers": HEAD | {"idempotency-key": "k" * 201}}),
    "no JSON, and no token": (400, {"content": b"{", "headers": without("authorization")}),
    "not UTF-8": (400, {"content": b'"\xff"'}),
    "a key twice": (422, {"content": b'{"word": "a", "word": "b", "watts": [1]}'}),
    "an unknown field": (422, {"content": b'{"word": "dim", "watts": [1], "CANARY": 1}'}),
    "wrong in three places": (422, {"content": b'{"word": "much too long", "watts": [1, "x"], "y": 0}'}),
    "nothing left out but all": (422, {"content": b"{}"}),
    "no object": (422, {"content": b"[]"}),
    "null": (422, {"content": b"null"}),
    "no body": (422, {"content": b""}),
    "no body, and no token": (401, {"content": b"", "headers": without("authorization")}),
    "another media type": (415, {"content": GOOD, "headers": HEAD | {"content-type": "text/plain"}}),
    "too large": (413, {"content": b" " * 501}),
    "refused by the endpoint": (409, {"content": b'{"word": "refuse", "watts": [1]}'}),
    "failing": (500, {"content": b'{"word": "fail", "watts": [1]}'}),
    "another method": (405, {"method": "DELETE"}),
    "in Chinese": (422, {"content": b"{}", "headers": HEAD | {"accept-language": "zh"}}),
}


@pytest.mark.parametrize("name", ASKED)
async def test_both_ways_answer_alike(tmp_path, name) -> None:
    status, asked = ASKED[name]
    asked = {"method": "POST", "url": "/v1/wishes", "headers": HEAD, **asked}
    async with client_of(tmp_path) as long, client_of(tmp_path, hot=[wish]) as short:
        expected, found = await long.request(**asked), await short.request(**asked)
    for answer in (expected, found):
        assert answer.headers.pop("x-request-id")
    assert (found.status_code, found.content) == (expected.status_code, expected.content)
    assert found.status_code == status
    assert list(found.headers.items()) == list(expected.headers.items())


async def test_a_body_without_its_length_is_read_whole_or_refused_on_the_way(tmp_path) -> None:
    async with client_of(tmp_path, hot=[wish]) as client:
        found = await client.post("/v1/wishes", headers=HEAD, content=in_parts(GOOD[:5], GOOD[5:]))
        refused = await client.post("/v1/wishes", headers=HEAD, content=in_parts(GOOD, b" " * 400, b" " * 90))
    assert found.status_code == 202
    assert (refused.status_code, refused.json()["code"]) == (413, "kit.too_large")


async def test_the_short_way_is_counted_by_its_route(tmp_path) -> None:
    labels = {"method": "POST", "route": "/v1/wishes", "status": "202"}
    before = REGISTRY.get_sample_value("http_requests_total", labels) or 0
    async with client_of(tmp_path, hot=[wish]) as client:
        await client.post("/v1/wishes", headers=HEAD, content=GOOD)
    assert REGISTRY.get_sample_value("http_requests_total", labels) == before + 1


@pytest.mark.parametrize("endpoint", [wish_once, wish_again])
def test_an_endpoint_that_asks_for_more_is_refused_when_the_application_is_made(tmp_path, endpoint) -> None:
    with pytest.raises(TypeError, match="asks for more than the short way has"):
        client_of(tmp_path, hot=[endpoint])
