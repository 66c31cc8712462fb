"""Watching things change: one question of the process for all who watch, however many and however long."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, Generic, Protocol, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import failures
from services.kit.database import Sessions
from services.kit.loops import Pause

log = structlog.get_logger()

LEAST_PAUSE: Final = 0.02
MOST_PAUSE: Final = 2.0


class Seen(Protocol):
    """A thing as it stands; at the same position it stands the same."""

    @property
    def position(self) -> str:
        """Name the state, in one line of a header."""
        ...


S = TypeVar("S", bound=Seen)
# Gets things, each with the position known of it (None: nothing is known); returns those that are elsewhere.
Look = Callable[[AsyncSession, Mapping[UUID, str | None]], Awaitable[Mapping[UUID, S]]]


class Sight(Generic[S]):
    """What one who watches sees of a thing: the newest state, whatever came between."""

    def __init__(self, position: str | None, *, within: float) -> None:
        self.position = position
        self.within = within
        self._newest: S | None = None
        self._stirred = asyncio.Event()

    async def next(self, *, seconds: float) -> S | None:
        """Return the newest state if it was not returned before; None when the time is up, or when woken."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        self._stirred.clear()
        newest, self._newest = self._newest, None
        return newest

    def show(self, seen: S) -> None:
        """Let the one who watches see a state, if it is another than the last."""
        if seen.position != self.position:
            self.position, self._newest = seen.position, seen
            self._stirred.set()

    def wake(self) -> None:
        """Let the one who watches look up: there may be something else than a new state."""
        self._stirred.set()


class Watch(Generic[S]):
    """Those who watch things of one kind; nobody holds a connection while nothing changes."""

    def __init__(self, sessions: Sessions, look: Look[S]) -> None:
        self._sessions = sessions
        self._look = look
        self._sights: defaultdict[UUID, set[Sight[S]]] = defaultdict(set)
        self._someone = asyncio.Event()
        self._newcomer = asyncio.Event()

    @contextmanager
    def on(self, thing_id: UUID, *, known: str | None, within: float) -> Iterator[Sight[S]]:
        """Yield the sight of a thing known at a position; its changes are seen within so many seconds."""
        sight: Sight[S] = Sight(known, within=within)
        self._sights[thing_id].add(sight)
        self._someone.set()
        self._newcomer.set()
        try:
            yield sight
        finally:
            self._leave(thing_id, sight)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for as long as the context lasts."""
        looking = asyncio.create_task(self._keep_looking())
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    async def _keep_looking(self) -> None:
        pause = Pause(least=LEAST_PAUSE, most=MOST_PAUSE)
        while True:
            await self._someone.wait()
            self._newcomer.clear()
            if await self._look_once():
                pause.reset()
            rest = min(pause.next(), self._patience())
            await asyncio.sleep(min(rest, LEAST_PAUSE))
            with suppress(TimeoutError):
                async with asyncio.timeout(rest - LEAST_PAUSE):
                    # Whoever comes is in more of a hurry, maybe, than those who were there.
                    await self._newcomer.wait()
                    pause.reset()

    async def _look_once(self) -> int:
        # Only those who are here before the question: what a newcomer has read may be newer than its answer.
        here = {thing_id: tuple(sights) for thing_id, sights in self._sights.items()}
        try:
            async with self._sessions() as session:
                found = await self._look(session, {each: _known_of(sights) for each, sights in here.items()})
        except failures.UNANSWERED as error:
            # Whoever watches sees it later; whoever waits has an answer at the end of the time asked for.
            log.warning("watch.unanswered", error=type(error).__name__)
            return 0
        for thing_id, seen in found.items():
            for sight in here[thing_id]:
                sight.show(seen)
        return len(found)

    def _patience(self) -> float:
        return min((sight.within for sights in self._sights.values() for sight in sights), default=MOST_PAUSE)

    def _leave(self, thing_id: UUID, sight: Sight[S]) -> None:
        self._sights[thing_id].discard(sight)
        if not self._sights[thing_id]:
            del self._sights[thing_id]
        if not self._sights:
            self._someone.clear()


def _known_of(sights: tuple[Sight[S], ...]) -> str | None:
    """Return the position that all who watch a thing know, None where they know different ones."""
    positions = {sight.position for sight in sights}
    return positions.pop() if len(positions) == 1 else None
