"""The databases of a town, opened to be judged: read only, one connection each."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.chaos.wipe import until_connected


@dataclass(frozen=True, slots=True)
class Books:
    """What each service has written."""

    connections: Mapping[str, asyncpg.Connection]

    async def rows(self, service: str, question: str, *given: object) -> Sequence[asyncpg.Record]:
        """Return what a service's database answers."""
        found: Sequence[asyncpg.Record] = await self.connections[service].fetch(question, *given)
        return found

    async def one(self, service: str, question: str, *given: object) -> Any:
        """Return the one value that a question has for an answer."""
        return await self.connections[service].fetchval(question, *given)


@asynccontextmanager
async def opened(urls: Mapping[str, str], *, within: float = 60.0) -> AsyncIterator[Books]:
    """Open the books of the services; the server may need a moment to come back."""
    async with AsyncExitStack() as stack:
        connections = {}
        for service, url in urls.items():
            connection = await until_connected(url, within=within)
            stack.callback(connection.terminate)
            connections[service] = connection
        yield Books(connections)
