"""One API process: one event loop behind the gateway, drained before it stops."""

import asyncio
import gc
import socket
from types import FrameType

import prometheus_client
import structlog
import uvicorn
from fastapi import FastAPI

from services.kit import crash_points
from services.kit.settings import ServiceSettings

log = structlog.get_logger()

# The gateway gives up an idle connection after 3 s: the service must keep its own open for longer.
KEEP_ALIVE_SECONDS = 10
FINISHES_WITHIN = 15
# Most of what is there after the start stays for ever: looking through it costs half of the p99.
COLLECT_EVERY = 50_000


class Server(uvicorn.Server):
    """Says that it is not ready, lets the gateway notice, then stops accepting and finishes what it has."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, *, drain_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first signal, stop at once on the second."""
        loop = asyncio.get_running_loop()
        # Streams would go on for minutes: they end now, and are taken up again elsewhere.
        loop.call_soon_threadsafe(self._app.state.stopping.set)
        draining = getattr(self._app.state, "draining", False)
        if draining or not self._drain_seconds:
            super().handle_exit(sig, frame)
            return
        self._app.state.draining = True
        stop = super().handle_exit
        loop.call_soon_threadsafe(loop.call_later, self._drain_seconds, stop, sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what there is; streams end, by whatever the server was stopped."""
        self._app.state.stopping.set()
        await crash_points.reach("process.stopping")
        await super().shutdown(sockets)


async def serve(app: FastAPI, settings: ServiceSettings) -> None:
    """Answer requests until a signal says stop."""
    prometheus_client.start_http_server(settings.metrics_port, addr=settings.host)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=FINISHES_WITHIN,
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, 20, 20)
    await crash_points.reach("process.started")
    log.info("process.started", port=settings.port)
    await Server(config, app, drain_seconds=settings.drain_seconds).serve()
    log.info("process.stopped")
