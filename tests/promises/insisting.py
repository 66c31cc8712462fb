"""Residents who insist: what broke is sent again with its key, until there is an answer that decides."""

import asyncio
from collections.abc import Sequence

import httpx

from services.kit.loops import Pause
from tests.orders.ground import Ground

ENDS_WITHIN = 900.0
# Of these the sender knows no more than of a broken connection.
UNDECIDED = {409, 429, 500, 502, 503, 504}


async def insist(client: httpx.AsyncClient, ground: Ground, number: int, key: str) -> httpx.Response:
    """Send an order of a household until it is decided."""
    head, pause = ground.resident(number % len(ground.household_ids), key=key), Pause(least=0.03, most=0.5)
    while True:
        try:
            answer = await client.post("/v1/orders", json=ground.body(), headers=head)
            if answer.status_code not in UNDECIDED:
                return answer
        except httpx.TransportError:
            pass
        await asyncio.sleep(pause.next())


async def order(  # noqa: PLR0913 - what a trial varies
    address: str,
    ground: Ground,
    keys: Sequence[str],
    *,
    at_once: int,
    copies: int,
    told: list[httpx.Response],
) -> dict[str, list[httpx.Response]]:
    """Order once for each key, in so many copies together; `told` grows with every answer that decides."""
    answers: dict[str, list[httpx.Response]] = {}
    places = iter(enumerate(keys))

    async def work() -> None:
        for number, key in places:
            copied = (insist(client, ground, number, key) for _ in range(copies))
            answers[key] = await asyncio.gather(*copied)
            told.extend(answers[key])

    limits = httpx.Limits(max_connections=at_once * copies)
    async with (
        asyncio.timeout(ENDS_WITHIN),
        httpx.AsyncClient(base_url=address, timeout=5, limits=limits, trust_env=False) as client,
    ):
        await asyncio.gather(*(work() for _ in range(at_once)))
    return answers
