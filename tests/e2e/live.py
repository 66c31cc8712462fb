"""A service's API on a socket of this process."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import uvicorn

from services.kit.settings import ServiceSettings
from tests import databases, serving


def make_database(service: str, administrator: str) -> str:
    """Return the address of a database of a service, which lives as long as the cluster."""
    return databases.address_of(administrator, asyncio.run(databases.build_template(administrator, service)))


@contextmanager
def serving_api(service: str, url: str, folder: Path) -> Iterator[str]:
    """Yield the address of a service whose one event loop runs in a thread beside the test."""
    settings = _settings(service, folder, url)
    app = import_module(f"services.{service}.main").create_app(settings)
    place = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([place])))
    thread.start()
    while not server.started:
        assert thread.is_alive(), f"{service} did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{place.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        place.close()


def _settings(service: str, folder: Path, url: str) -> ServiceSettings:
    kind: type[ServiceSettings] = getattr(
        import_module(f"services.{service}.settings"), f"{service.capitalize()}Settings"
    )
    return serving.make_settings(kind, folder, url)
