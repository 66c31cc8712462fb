"""What an operator asks a worker: its metrics, whether it lives, whether it can work."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

# Says whether the process's own pool answers; the bus is never asked (promises.md P9).
Ready = Callable[[], Awaitable[bool]]


def create_app(ready: Ready) -> Starlette:
    """Build the application of `/metrics`, `/livez` and `/readyz`."""

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def livez(_request: Request) -> Response:
        return PlainTextResponse("alive")

    async def readyz(_request: Request) -> Response:
        if await ready():
            return PlainTextResponse("ready")
        return PlainTextResponse("not ready", status_code=503)

    return Starlette(routes=[Route("/metrics", metrics), Route("/livez", livez), Route("/readyz", readyz)])


class _Server(uvicorn.Server):
    """A server among other work: the signals belong to the worker."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def keep_answering(host: str, port: int, ready: Ready) -> None:
    """Answer until cancelled."""
    options: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off"}
    server = _Server(uvicorn.Config(create_app(ready), host=host, port=port, **options))
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
