"""No request outlasts the service's limit; what a broken-off one did is told by its key."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import Response
from pydantic import BaseModel
from sqlalchemy import text
from starlette.responses import StreamingResponse

from services.kit.database import Sessions
from services.kit.http import application, timing
from services.kit.http.idempotency import OnceOnly
from services.kit.http.transactions import Session
from services.kit.ids import new_id
from services.kit.settings import ServiceSettings
from tests.serving import headers, make_settings

CALLER = headers("steward", subject="s")
router = application.make_router("/naps")


class Nap(BaseModel):
    """How long to sleep before and after the effect."""

    seconds: float


@router.post("", response_model=Nap, status_code=201)
async def nap(body: Nap, session: Session, once: OnceOnly) -> Response:
    """Light a lamp, then sleep."""
    await session.execute(text("INSERT INTO lamps VALUES (:id, 'napping')"), {"id": new_id()})
    if (await session.execute(text("SELECT last_value FROM naps"))).scalar_one() == 1:
        await session.execute(text("SELECT nextval('naps'), nextval('naps')"))
        await asyncio.sleep(body.seconds)
    return await once.accept(body)


@router.get("/queries/{seconds}")
async def query(seconds: float, session: Session) -> Nap:
    """Sleep in the database."""
    await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})
    return Nap(seconds=seconds)


@router.get("/words")
async def talk() -> StreamingResponse:
    """Answer at once and go on for longer than the limit."""

    async def words() -> AsyncIterator[bytes]:
        for word in (b"one ", b"two ", b"three"):
            yield word
            await asyncio.sleep(0.2)

    return StreamingResponse(words(), media_type="text/plain")


@asynccontextmanager
async def running(folder: Path, url: str) -> AsyncIterator[httpx.AsyncClient]:
    app = application.create(
        make_settings(ServiceSettings, folder, url, pool_size=1), title="naps", routers=[router]
    )
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://naps") as client:
            yield client


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "ANSWERS_WITHIN", 0.3)


async def test_a_request_ends_within_the_services_limit_and_frees_what_it_held(
    lamps_url: str, tmp_path: Path
) -> None:
    async with running(tmp_path, lamps_url) as client:
        async with asyncio.timeout(4):
            started = time.perf_counter()
            answer = await client.get("/v1/naps/queries/1.4", headers=CALLER)
            assert answer.status_code == 200
            # Two statements, each within its own limit, and together beyond the request's.
            slow = await asyncio.gather(*(client.get("/v1/naps/queries/1.4", headers=CALLER) for _ in "ab"))
        assert time.perf_counter() - started < 4
        # Of two on one connection the second does not get it in time.
        assert sorted(each.status_code for each in slow) == [200, 503]


@pytest.mark.usefixtures("impatient")
async def test_what_is_broken_off_says_so_and_the_connection_serves_the_next(
    lamps_url: str, tmp_path: Path
) -> None:
    async with running(tmp_path, lamps_url) as client:
        late = await client.get("/v1/naps/queries/1.2", headers=CALLER)
        assert (late.status_code, late.json()["code"]) == (503, "kit.timeout")
        assert (late.headers["retry-after"], late.headers["cache-control"]) == ("1", "no-store")
        assert (await client.get("/v1/naps/queries/0", headers=CALLER)).status_code == 200


async def test_whether_a_broken_off_request_was_done_its_key_tells(
    lamps_url: str, tmp_path: Path, lamp_sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lamp_sessions.begin() as session:
        await session.execute(text("CREATE SEQUENCE naps"))
    head = {**CALLER, "idempotency-key": "k"}
    async with running(tmp_path, lamps_url) as client:
        with monkeypatch.context() as hurry:
            hurry.setattr(timing, "ANSWERS_WITHIN", 0.5)
            late = await client.post("/v1/naps", json={"seconds": 60}, headers=head)
        assert (late.status_code, late.json()["code"]) == (503, "kit.timeout")
        again = await client.post("/v1/naps", json={"seconds": 60}, headers=head)
        replayed = await client.post("/v1/naps", json={"seconds": 60}, headers=head)
    assert (again.status_code, again.headers.get("idempotency-replayed")) == (201, None)
    assert (replayed.status_code, replayed.headers["idempotency-replayed"]) == (201, "true")
    async with lamp_sessions() as session:
        assert (await session.execute(text("SELECT count(*) FROM lamps"))).scalar_one() == 1


@pytest.mark.usefixtures("impatient")
async def test_an_answer_that_has_begun_is_not_broken_off(lamps_url: str, tmp_path: Path) -> None:
    async with running(tmp_path, lamps_url) as client:
        answer = await client.get("/v1/naps/words", headers=CALLER)
    assert (answer.status_code, answer.text) == (200, "one two three")
