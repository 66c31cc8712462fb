"""A loopback proxy that can keep all it gets to itself: what a network does that drops every packet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Stalled, it accepts and says nothing; what it held then goes on, or never, when it is mended."""

    host: str
    port: int
    address: str = ""
    opened: set["asyncio.Task[None]"] = field(default_factory=set)
    flows: asyncio.Event = field(default_factory=asyncio.Event)

    def stall(self) -> None:
        self.flows.clear()

    def mend(self, *, forgets: bool = False) -> None:
        """Let all flow; with `forgets`, connections of before stay mute for ever, as after a reroute."""
        if forgets:
            self.flows = asyncio.Event()
        self.flows.set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.opened.add(task)
        flows, beyond = self.flows, None
        try:
            await flows.wait()
            far_reader, beyond = await asyncio.open_connection(self.host, self.port)
            await asyncio.gather(_copy(reader, beyond, flows), _copy(far_reader, writer, flows))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.opened.discard(task)
            for end in (writer, beyond):
                if end:
                    end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flows: asyncio.Event) -> None:
    while data := await reader.read(65536):
        await flows.wait()
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def proxy_to(host: str, port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(host, port)
    proxy.flows.set()
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in list(proxy.opened):
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.gather(*proxy.opened, return_exceptions=True)
