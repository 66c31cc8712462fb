"""Streams beat, are taken up again, hold no connection, have places, and end when they are told to."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI, Request, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.database import Sessions
from services.kit.errors import NotFound
from services.kit.http import application
from services.kit.http.streams import EventStream, LastEventId, Rhythm, Streams, described
from services.kit.http.tokens import Caller
from services.kit.http.watching import Watch
from services.kit.ids import new_id
from services.kit.settings import ServiceSettings
from tests.kit import lamps as lamps_face
from tests.kit.lamps import LampView
from tests.serving import headers, make_settings
from tests.streams import Served, following, served

QUICK = Rhythm(beat=0.05, within=0.05, recheck=60, lifetime=60)
LOOK = text("""
    SELECT id, words FROM lamps
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:positions AS text[])) AS known (id, position) USING (id)
    WHERE words IS DISTINCT FROM position
""")
Serve = Callable[..., AbstractAsyncContextManager[Served]]


@dataclass(frozen=True)
class LampSeen:
    lamp_id: UUID
    position: str

    @property
    def is_final(self) -> bool:
        return self.position == "out"

    def body(self) -> str:
        return LampView(lamp_id=self.lamp_id, words=self.position).model_dump_json()


async def look(session: AsyncSession, known: Mapping[UUID, str | None]) -> Mapping[UUID, LampSeen]:
    rows = await session.execute(LOOK, {"ids": list(known), "positions": list(known.values())})
    return {row.id: LampSeen(row.id, row.words) for row in rows}


router = application.make_router("/lamps")
FOLLOWED = described(LampView, event="lamp", position="p", example={"lamp_id": UUID(int=1), "words": "w"})


@router.get("/{lamp_id}/events", response_class=EventStream, responses=FOLLOWED)
async def follow(
    lamp_id: UUID, request: Request, caller: Caller, last_event_id: LastEventId = None
) -> Response:
    async def admit(session: AsyncSession) -> LampSeen:
        seen = (await look(session, {lamp_id: None})).get(lamp_id)
        if seen is None:
            raise NotFound("lamps.lamp_unknown", "There is no such lamp")
        return seen

    streams: Streams[LampSeen] = request.app.state.streams
    return await streams.open(request, lamp_id, admit, subject=caller.subject, last_event_id=last_event_id)


def create_app(settings: ServiceSettings, rhythm: Rhythm) -> FastAPI:
    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        watch: Watch[LampSeen] = Watch(app.state.sessions, look)
        app.state.streams = Streams(app, watch, event="lamp", most=settings.event_streams, rhythm=rhythm)
        async with watch.running(), app.state.streams.running():
            yield

    return application.create(
        settings,
        title="lamps",
        routers=[router, lamps_face.router],
        background=[running],
        words=["tests.kit"],
    )


@pytest.fixture
def serve(lamps_url: str, tmp_path: Path) -> Serve:
    def start(rhythm: Rhythm = QUICK, *, drain_seconds: float = 0, **given: Any) -> Any:
        settings = make_settings(ServiceSettings, tmp_path, lamps_url, **given)
        return served(create_app(settings, rhythm), drain_seconds=drain_seconds)

    return start


async def light(sessions: Sessions, words: str = "bright") -> UUID:
    lamp_id = new_id()
    async with sessions.begin() as session:
        await session.execute(
            text("INSERT INTO lamps (id, words) VALUES (:id, :words)"), {"id": lamp_id, "words": words}
        )
    return lamp_id


async def change(sessions: Sessions, lamp_id: UUID, words: str) -> None:
    async with sessions.begin() as session:
        await session.execute(
            text("UPDATE lamps SET words = :words WHERE id = :id"), {"id": lamp_id, "words": words}
        )


def events_of(lamp_id: UUID) -> str:
    return f"/v1/lamps/{lamp_id}/events"


CALLER = headers("resident", subject="s")


async def test_a_stream_tells_how_it_stands_then_each_change_until_the_last(
    serve: Serve, lamp_sessions: Sessions
) -> None:
    lamp_id = await light(lamp_sessions)
    async with serve() as here, following(here.client, events_of(lamp_id), CALLER) as stream:
        first = await stream.next()
        await change(lamp_sessions, lamp_id, "dim")
        second = await stream.next()
        await change(lamp_sessions, lamp_id, "out")
        third = await stream.next()
        assert await stream.next() is None
    assert first == {
        "event": "lamp", "id": "bright", "data": {"lamp_id": str(lamp_id), "words": "bright"},
    }  # fmt: skip
    assert [second and second["id"], third and third["id"]] == ["dim", "out"]
    assert len(stream.retries) == 2


async def test_who_comes_again_is_told_only_what_is_newer(serve: Serve, lamp_sessions: Sessions) -> None:
    lamp_id = await light(lamp_sessions)
    async with serve() as here:
        async with following(here.client, events_of(lamp_id), CALLER, last="bright") as stream:
            await stream.until_beats(2)
            await change(lamp_sessions, lamp_id, "dim")
            newer = await stream.next()
            assert newer is not None
            assert newer["id"] == "dim"
        await change(lamp_sessions, lamp_id, "out")
        async with following(here.client, events_of(lamp_id), CALLER, last="dim") as stream:
            last = await stream.next()
            assert last is not None
            assert last["id"] == "out"
        async with following(here.client, events_of(lamp_id), CALLER, last="out") as stream:
            assert (stream.answer.status_code, stream.answer.content) == (204, b"")


async def test_a_stream_holds_no_connection_and_beats(serve: Serve, lamp_sessions: Sessions) -> None:
    lamp_id = await light(lamp_sessions)
    async with serve(pool_size=1) as here, following(here.client, events_of(lamp_id), CALLER) as stream:
        await stream.next()
        answers = [await here.client.get(f"/v1/lamps/{lamp_id}", headers=CALLER) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
        await stream.until_beats(3)


async def test_what_is_refused_is_refused_before_the_stream_begins(
    serve: Serve, lamp_sessions: Sessions
) -> None:
    lamp_id = await light(lamp_sessions)
    async with serve() as here:
        async with following(here.client, events_of(new_id()), CALLER) as stream:
            assert (stream.answer.status_code, stream.answer.json()["code"]) == (404, "lamps.lamp_unknown")
        async with following(here.client, events_of(lamp_id), {}) as stream:
            assert stream.answer.status_code == 401


async def test_who_has_gone_leaves_the_place_to_another(serve: Serve, lamp_sessions: Sessions) -> None:
    lamp_id = await light(lamp_sessions)
    async with serve(event_streams=1) as here:
        async with following(here.client, events_of(lamp_id), CALLER) as stream:
            await stream.next()
            async with following(here.client, events_of(lamp_id), headers("resident")) as other:
                assert (other.answer.status_code, other.answer.json()["code"]) == (503, "kit.streams_full")
                assert other.answer.headers["retry-after"] == "10"
        async with asyncio.timeout(5):
            while True:
                async with following(here.client, events_of(lamp_id), headers("resident")) as other:
                    if other.answer.status_code == 200:
                        break


async def test_nobody_takes_more_than_a_share_of_the_places(serve: Serve, lamp_sessions: Sessions) -> None:
    lamp_id = await light(lamp_sessions)
    async with (
        serve(event_streams=20) as here,
        following(here.client, events_of(lamp_id), CALLER) as first,
        following(here.client, events_of(lamp_id), CALLER) as second,
        following(here.client, events_of(lamp_id), CALLER) as third,
        following(here.client, events_of(lamp_id), headers("resident")) as other,
    ):
        statuses = [each.answer.status_code for each in (first, second, third, other)]
        assert statuses == [200, 200, 503, 200]


async def test_a_stream_ends_after_its_life_and_says_when_to_come_again(
    serve: Serve, lamp_sessions: Sessions
) -> None:
    lamp_id = await light(lamp_sessions)
    rhythm = Rhythm(beat=0.05, within=0.05, recheck=60, lifetime=0.3)
    async with serve(rhythm) as here, following(here.client, events_of(lamp_id), CALLER) as stream:
        await stream.next()
        assert await stream.next() is None
    assert len(stream.retries) == 2
    assert all(1000 <= retry <= 3000 for retry in stream.retries)
    assert stream.beats >= 3


async def test_who_may_no_more_is_told_no_more(serve: Serve, lamp_sessions: Sessions) -> None:
    lamp_id = await light(lamp_sessions)
    rhythm = Rhythm(beat=0.05, within=0.05, recheck=0.1, lifetime=60)
    async with serve(rhythm) as here, following(here.client, events_of(lamp_id), CALLER) as stream:
        await stream.next()
        await stream.until_beats(5)
        async with lamp_sessions.begin() as session:
            await session.execute(text("DELETE FROM lamps"))
        assert await stream.next() is None


async def test_a_stream_ends_with_its_token(serve: Serve, lamp_sessions: Sessions) -> None:
    lamp_id = await light(lamp_sessions)
    # Clocks may be a minute apart.
    expiring = headers("resident", exp=int(time.time()) - 58)
    async with serve() as here, following(here.client, events_of(lamp_id), expiring) as stream:
        await stream.next()
        assert await stream.next() is None
        async with following(here.client, events_of(lamp_id), expiring) as again:
            assert again.answer.status_code == 401


async def test_draining_ends_the_streams_at_once_and_begins_none(
    serve: Serve, lamp_sessions: Sessions
) -> None:
    lamp_id = await light(lamp_sessions)
    slow = Rhythm(beat=60, within=60)
    async with serve(slow, drain_seconds=60) as here:
        async with following(here.client, events_of(lamp_id), CALLER) as stream:
            await stream.next()
            here.server.handle_exit(signal.SIGTERM, None)
            assert await stream.next() is None
            # By then the gateway sends nobody here any more.
            assert stream.retries[-1] >= 6000
        async with following(here.client, events_of(lamp_id), CALLER) as other:
            assert (other.answer.status_code, other.answer.json()["code"]) == (503, "kit.draining")
        assert (await here.client.get(f"/v1/lamps/{lamp_id}", headers=CALLER)).status_code == 200


async def test_a_server_that_stops_waits_for_no_stream(serve: Serve, lamp_sessions: Sessions) -> None:
    lamp_id = await light(lamp_sessions)
    async with (
        serve(Rhythm(beat=60, within=60)) as here,
        following(here.client, events_of(lamp_id), CALLER) as stream,
    ):
        await stream.next()
        here.server.should_exit = True
        assert await stream.next() is None
        async with asyncio.timeout(3):
            await here.serving


def test_a_document_says_what_the_events_of_a_stream_are(lamps_url: str, tmp_path: Path) -> None:
    app = create_app(make_settings(ServiceSettings, tmp_path, lamps_url), QUICK)
    operation = application.document(app)["paths"]["/v1/lamps/{lamp_id}/events"]["get"]
    content = operation["responses"]["200"]["content"]
    assert list(content) == ["text/event-stream"]
    stream = content["text/event-stream"]
    assert stream["schema"] == {"type": "string"}
    assert stream["itemSchema"]["properties"]["data"]["contentSchema"] == {
        "$ref": "#/components/schemas/LampView"
    }
    assert stream["example"].startswith("retry: 2000\n\nevent: lamp\ndata: {")
    names = [parameter["name"] for parameter in operation["parameters"]]
    assert names == ["lamp_id", "Last-Event-ID"]
