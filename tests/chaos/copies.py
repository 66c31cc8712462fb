"""What the consumers have fetched, and how much of it they had applied before, as their metrics tell."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from services.console.machine.processes import Child

LOOKS_EVERY = 1.0
COUNTED = re.compile(r"^(consumer_records_fetched|consumer_events_applied)_total{[^}]*} (\S+)$", re.MULTILINE)


@dataclass
class Copies:
    """Counts by the life of each worker: a life that is cut short takes its last moment's counts with it."""

    workers: Sequence[Child]
    _of_life: dict[tuple[str, int], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def seen(self) -> int:
        """Return how many records came again, at least."""
        lives = self._of_life.values()
        fetched = sum(life.get("consumer_records_fetched", 0) for life in lives)
        return int(fetched - sum(life.get("consumer_events_applied", 0) for life in lives))

    async def keep_counting(self) -> None:
        """Read every worker's metrics each second, until cancelled."""
        async with httpx.AsyncClient(timeout=1, trust_env=False) as client:
            while True:
                for child in self.workers:
                    await self._count(client, child)
                await asyncio.sleep(LOOKS_EVERY)

    async def _count(self, client: httpx.AsyncClient, child: Child) -> None:
        life = (child.name, len(child.started_at))
        try:
            answer = await client.get(str(child.ready_url).replace("/readyz", "/metrics"))
        except httpx.HTTPError:
            return
        if life[1] == len(child.started_at):
            self._of_life[life] |= {name: float(count) for name, count in COUNTED.findall(answer.text)}
