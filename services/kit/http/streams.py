"""Live changes as server-sent events: a place for each stream, a heart-beat, and an end."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, Protocol, TypeVar
from uuid import UUID

import structlog
from fastapi import FastAPI, Header, Request, Response
from fastapi.security.utils import get_authorization_scheme_param
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from prometheus_client import Gauge
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from services.kit import failures
from services.kit.database import Sessions
from services.kit.errors import Problem, Unavailable
from services.kit.http.tokens import TokenReader, TokenRefused
from services.kit.http.watching import Seen, Sight, Watch

log = structlog.get_logger()

OPEN = Gauge("event_streams_open", "Streams that are being told of changes", ["event"])

MEDIA_TYPE: Final = "text/event-stream"
COME_AGAIN_SECONDS: Final = 10
# One caller has at most such a part of the places: nobody takes them all.
SHARE_OF_ONE: Final = 10
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=200, description="The last id read: only what is newer is told"),
]


class Told(Seen, Protocol):
    """A state that can be told."""

    @property
    def is_final(self) -> bool:
        """Say whether no other state can follow."""
        ...

    def body(self) -> str:
        """Return the state as JSON."""
        ...


T = TypeVar("T", bound=Told)
# Returns the thing as it stands; raises what the caller is refused, then and whenever it is asked again.
Admit = Callable[[AsyncSession], Awaitable[T]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Seconds: between beats, until a change is seen, until the caller's right is asked anew, of a life."""

    beat: float = 15.0
    within: float = 0.5
    recheck: float = 45.0
    lifetime: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit(Generic[T]):
    """A caller at a thing, and what the caller knows of it."""

    thing_id: UUID
    subject: str
    token: str
    admit: Admit[T]
    seen: T
    last_event_id: str | None


class Streams(Generic[T]):
    """The streams of one kind of thing in one process: at most so many, and none holds a connection."""

    def __init__(
        self, app: FastAPI, watch: Watch[T], *, event: str, most: int, rhythm: Rhythm | None = None
    ) -> None:
        self._sessions: Sessions = app.state.sessions
        self._tokens: TokenReader = app.state.tokens
        self._stopping: asyncio.Event = app.state.stopping
        self._watch = watch
        self._event = event
        self._most = most
        self._rhythm = rhythm or Rhythm()
        self._places: Counter[str] = Counter()
        self._sights: set[Sight[T]] = set()

    async def open(
        self, request: Request, thing_id: UUID, admit: Admit[T], *, subject: str, last_event_id: str | None
    ) -> Response:
        """Return the stream of a thing: as it stands, if the caller does not know, then whatever changes."""
        self._require_place(subject)
        async with self._sessions() as session:
            seen = await admit(session)
        if seen.is_final and seen.position == last_event_id:
            # The one answer after which an EventSource does not come again.
            return Response(status_code=204)
        visit = Visit(
            thing_id=thing_id,
            subject=subject,
            token=get_authorization_scheme_param(request.headers.get("authorization"))[1],
            admit=admit,
            seen=seen,
            last_event_id=last_event_id,
        )
        # Longer than its life only where the client does not read.
        longest = self._rhythm.lifetime + self._rhythm.beat
        return _Telling(self._tell(visit), place=self._taking_place(subject), longest=longest)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """End every stream as soon as the process is told to stop, or at the end of the context."""
        leaving = asyncio.create_task(self._leave())
        try:
            yield
        finally:
            leaving.cancel()
            with suppress(asyncio.CancelledError):
                await leaving

    async def _leave(self) -> None:
        await self._stopping.wait()
        for sight in self._sights:
            sight.wake()

    async def _tell(self, visit: Visit[T]) -> AsyncGenerator[bytes, None]:
        yield _retry_in(1, 3)
        with self._watch.on(visit.thing_id, known=visit.seen.position, within=self._rhythm.within) as sight:
            self._sights.add(sight)
            try:
                async for seen in self._follow(visit, sight):
                    if seen is None:
                        yield KEEPALIVE_COMMENT
                    else:
                        yield format_sse_event(event=self._event, id=seen.position, data_str=seen.body())
            finally:
                self._sights.discard(sight)
        # While this process stops, the gateway may still send here who comes too soon.
        yield _retry_in(6, 9) if self._stopping.is_set() else _retry_in(1, 3)

    async def _follow(self, visit: Visit[T], sight: Sight[T]) -> AsyncGenerator[T | None, None]:
        """Yield each state that is news, None at each beat, for as long as the caller may see them."""
        clock, rhythm = asyncio.get_running_loop().time, self._rhythm
        # Those who came at once do not all come again at once.
        ends_at = clock() + rhythm.lifetime * (1 - random.random() / 4)  # noqa: S311 - spreads load
        check_at = clock() + rhythm.recheck
        seen = visit.seen
        if seen.position != visit.last_event_id:
            yield seen
        while not seen.is_final and not self._stopping.is_set() and clock() < ends_at:
            until = min(rhythm.beat, check_at - clock(), ends_at - clock())
            newer = await sight.next(seconds=max(until, 0))
            if not self._is_token_good(visit):
                return
            if clock() >= check_at:
                check_at = clock() + rhythm.recheck
                if not await self._is_admitted(visit):
                    return
            yield newer
            seen = newer or seen

    def _is_token_good(self, visit: Visit[T]) -> bool:
        try:
            self._tokens.read(visit.token)
        except TokenRefused:
            return False
        return True

    async def _is_admitted(self, visit: Visit[T]) -> bool:
        try:
            async with self._sessions() as session:
                await visit.admit(session)
        except Problem:
            return False
        except failures.UNANSWERED as error:
            # Who cannot be asked about is not told more; whoever may, comes again.
            log.warning("stream.unanswered", error=type(error).__name__)
            return False
        return True

    def _require_place(self, subject: str) -> None:
        if self._stopping.is_set():
            raise Unavailable("kit.draining", "This process is about to stop", retry_after=COME_AGAIN_SECONDS)
        share = max(1, self._most // SHARE_OF_ONE)
        if self._places.total() >= self._most or self._places[subject] >= share:
            raise Unavailable(
                "kit.streams_full", "No more changes can be followed now", retry_after=COME_AGAIN_SECONDS
            )

    @contextmanager
    def _taking_place(self, subject: str) -> Iterator[None]:
        self._require_place(subject)
        self._places[subject] += 1
        OPEN.labels(self._event).inc()
        try:
            yield
        finally:
            OPEN.labels(self._event).dec()
            self._places[subject] -= 1
            if not self._places[subject]:
                del self._places[subject]


class EventStream(StreamingResponse):
    """What a route that opens a stream answers with.

    The framework's own kind is for routes that yield: those have begun before they can refuse.
    """

    media_type = MEDIA_TYPE


class _Telling(EventStream):
    """A stream that has its place from its first byte until its end, however that comes."""

    def __init__(
        self, events: AsyncGenerator[bytes, None], *, place: AbstractContextManager[None], longest: float
    ) -> None:
        super().__init__(events, headers={"cache-control": "no-store"})
        self._events = events
        self._place = place
        self._longest = longest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell until there is no more to tell, or nobody who listens."""
        async with aclosing(self._events):
            with self._place, suppress(TimeoutError):
                async with asyncio.timeout(self._longest):
                    await super().__call__(scope, receive, send)


def described(
    view: type[BaseModel], *, event: str, position: str, example: Mapping[str, Any]
) -> dict[int | str, dict[str, Any]]:
    """Return how a stream is documented: what it is, what each event carries, and how it looks."""
    # Read once: an example that is none is a defect.
    shown = view.model_validate(example).model_dump_json()
    sent = format_sse_event(event=event, id=position, data_str=shown)
    return {
        200: {
            "model": view,
            "description": "The newest state, then each change; ends with the last, or to be taken up again",
            "content": {MEDIA_TYPE: {"example": (format_sse_event(retry=2000) + sent).decode()}},
        },
        204: {"description": "The last id read was of its last state: there is no more to come"},
    }


def describe_events(responses: dict[str, Any]) -> None:
    """Say of a stream in a document that its events, not itself, have the form of the view."""
    content = responses.get("200", {}).get("content", {}).get(MEDIA_TYPE)
    if content is None:
        return
    data = {"$ref": content["schema"]["$ref"]}
    content["schema"] = {"type": "string"}
    # As the framework and OpenAPI 3.2 have it; older readers pass over it.
    content["itemSchema"] = {
        "type": "object",
        "properties": {
            "event": {"type": "string"},
            "id": {"type": "string"},
            "retry": {"type": "integer", "minimum": 0},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
        },
    }


def _retry_in(least: float, most: float) -> bytes:
    return format_sse_event(retry=round(random.uniform(least, most) * 1000))  # noqa: S311 - spreads load
