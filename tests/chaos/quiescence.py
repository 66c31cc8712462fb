"""Rest: every unknown is asked again with its key, and then nothing is under way any more."""

import asyncio

import httpx

from tests.chaos.books import Books
from tests.chaos.journal import Ask, Journal, Outcome
from tests.chaos.load import CLIENTS, post
from tests.chaos.of_events import READS, SERVICES

RESTS_WITHIN = 120.0
TRIES = 60
LOOKS_EVERY = 0.3

PENDING = "SELECT count(*) FROM outbox_pending"
WRITTEN = "SELECT count(*) FROM outbox_event"
MARKED = "SELECT count(*) FROM inbox WHERE consumer = $1"
UNDECIDED = "SELECT count(*) FROM orders WHERE status = 'placed'"
OPEN = "SELECT count(*) FROM reservations WHERE status IN ('waiting', 'held')"


class Restless(Exception):
    """The town has not come to rest in time; the message says what is still under way."""


async def resolve(gateway: str, journal: Journal) -> int:
    """Ask again, with its key, for everything of which any answer was unknown; return how many that were."""
    unknown = [ask for ask in journal.asks if ask.was_unknown]
    gate = asyncio.Semaphore(CLIENTS)

    async def ask_again(client: httpx.AsyncClient, ask: Ask) -> None:
        async with gate:
            for _ in range(TRIES):
                ask.told.append(await post(client, ask))
                if ask.told[-1].outcome is not Outcome.UNKNOWN:
                    return
                await asyncio.sleep(0.5)

    async with httpx.AsyncClient(base_url=gateway, timeout=10, trust_env=False) as client:
        await asyncio.gather(*(ask_again(client, ask) for ask in unknown))
    return len(unknown)


async def rest(books: Books, *, within: float = RESTS_WITHIN) -> float:
    """Return after how many seconds nothing was under way; raise `Restless` where something still is."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    while moving := await _find_moving(books):
        if loop.time() - started > within:
            raise Restless(f"not at rest after {within:.0f} s: {moving}")
        await asyncio.sleep(LOOKS_EVERY)
    return loop.time() - started


async def _find_moving(books: Books) -> dict[str, int]:
    # Read before what has come of it: what is written meanwhile does not count.
    written = {service: await books.one(service, WRITTEN) for service in SERVICES}
    found = {f"pending in {service}": await books.one(service, PENDING) for service in SERVICES}
    for service, topics in READS.items():
        marked = await books.one(service, MARKED, service)
        found[f"not applied by {service}"] = max(0, sum(written[topic] for topic in topics) - marked)
    found["undecided orders"] = await books.one("orders", UNDECIDED)
    found["open reservations"] = await books.one("catalog", OPEN)
    return {what: count for what, count in found.items() if count}
