"""A Kafka of one test alone, which can lose all it has and come back empty at the same address."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.console.parts import kafka


@dataclass
class Broker:
    folder: Path
    address: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        with (self.folder / "kafka.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    async def lose_everything(self) -> None:
        """Kill it, throw away its disk, start it anew as a cluster that has never seen anybody."""
        self.kill()
        shutil.rmtree(self.folder / "log")
        tool = [*self.command[:-2], "kafka.tools.StorageTool"]
        made = await asyncio.to_thread(
            subprocess.run, [*tool, "random-uuid"], capture_output=True, text=True, check=True
        )
        words = ["format", "--standalone", "-t", made.stdout.split()[-1], "-c", self.command[-1]]
        await asyncio.to_thread(subprocess.run, [*tool, *words], capture_output=True, check=True)
        self.start()


@asynccontextmanager
async def broker_in(folder: Path) -> AsyncIterator[Broker]:
    address, command = kafka.prepare(folder)
    broker = Broker(folder, address, command)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
