"""Server-sent events of a service on a socket of this process, read as they come."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from services.kit.http.serving import Server

ARRIVES_WITHIN = 5.0


class _Server(Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The signals are the test run's own.
        yield


@dataclass(frozen=True)
class Served:
    app: FastAPI
    server: Server
    client: httpx.AsyncClient
    serving: asyncio.Task[None]


@asynccontextmanager
async def served(app: FastAPI, *, drain_seconds: float = 0) -> AsyncIterator[Served]:
    """Serve an application as its process does; a client that is still reading is cut off after 5 s."""
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5)
    server = _Server(config, app, drain_seconds=drain_seconds)
    with socket.create_server(("127.0.0.1", 0)) as place:
        serving = asyncio.create_task(server.serve([place]))
        address = f"http://127.0.0.1:{place.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=address, timeout=ARRIVES_WITHIN) as client:
                yield Served(app, server, client, serving)
        finally:
            server.should_exit = True
            await serving


@dataclass
class Stream:
    """What arrives on a stream; comments, and hints when to come again, are kept beside the events."""

    answer: httpx.Response
    beats: int = 0
    retries: list[int] = field(default_factory=list)
    _blocks: AsyncIterator[dict[str, str]] | None = None

    async def next(self) -> dict[str, Any] | None:
        """Return the next event, its data read; None at the end of the stream."""
        self._blocks = self._blocks or self._read()
        async with asyncio.timeout(ARRIVES_WITHIN):
            async for block in self._blocks:
                if "data" in block:
                    return {**block, "data": json.loads(block["data"])}
                self.retries += [int(block["retry"])] if "retry" in block else []
        return None

    async def until_beats(self, beats: int) -> None:
        """Read on until so many beats have come."""
        self._blocks = self._blocks or self._read()
        async with asyncio.timeout(ARRIVES_WITHIN):
            while self.beats < beats:
                assert "data" not in await anext(self._blocks)

    async def _read(self) -> AsyncIterator[dict[str, str]]:
        block: dict[str, str] = {}
        async for line in self.answer.aiter_lines():
            if line.startswith(":"):
                self.beats += 1
            elif line:
                name, _, value = line.partition(": ")
                block[name] = value
            else:
                yield block
                block = {}


@asynccontextmanager
async def following(
    client: httpx.AsyncClient, path: str, head: dict[str, str], *, last: str | None = None
) -> AsyncIterator[Stream]:
    """Follow a path; `last` is the last id that was read."""
    head = {**head, "last-event-id": last} if last else head
    async with client.stream("GET", path, headers=head) as answer:
        if answer.status_code == httpx.codes.OK:
            assert answer.headers["content-type"].partition(";")[0] == "text/event-stream"
            assert answer.headers["cache-control"] == "no-store"
        else:
            await answer.aread()
        yield Stream(answer)
