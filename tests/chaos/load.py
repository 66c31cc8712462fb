"""The load: every request drawn from the seed before the first is sent, sent by so many clients at once."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import httpx

from services.console.scenarios.voices import Voice
from services.contracts.access import Role
from tests.chaos.journal import Ask, Journal, Outcome, Told
from tests.chaos.place import Place

CLIENTS = 48
ANSWERS_WITHIN = 10.0
# A client asks again at once so often, and leaves the rest to the end.
ASKS_AGAIN = 1
CANCELS_PERCENT = 10
TWINS_PERCENT = 5
REPLAYS_PERCENT = 5
ABUSES_PERCENT = 2
DELIVERIES_EVERY = 20


@dataclass(slots=True)
class Drawn:
    """A request and what is done with it beside: sent twice at once, again, with another body, taken back."""

    ask: Ask
    is_twin: bool
    is_replayed: bool
    is_abused: bool
    cancel_key: str | None


def draw(chance: Random, place: Place, orders: int) -> Iterator[Drawn]:
    """Yield so many orders in the order they are sent, and now and then a delivery to a shop."""
    voices = _voices(chance, place)
    sellers = sorted(place.town.outlets.values(), key=lambda shop: str(shop["external_id"]))
    for number in range(orders):
        if number % DELIVERIES_EVERY == 0:
            yield _delivery(chance, place, number, sellers)
        household = chance.choice(place.town.households)
        subject, voice = voices[household["household_id"]]
        yield Drawn(
            ask=Ask(
                kind="order", principal=subject, path="/v1/orders", key=str(_uuid(chance)),
                body=_order(chance, place, f"chaos-{number}"), reference=f"chaos-{number}", token=voice.token,
            ),
            is_twin=_happens(chance, TWINS_PERCENT),
            is_replayed=_happens(chance, REPLAYS_PERCENT),
            is_abused=_happens(chance, ABUSES_PERCENT),
            cancel_key=str(_uuid(chance)) if _happens(chance, CANCELS_PERCENT) else None,
        )  # fmt: skip


@dataclass
class Load:
    """Sends what was drawn, at a rate, and keeps what was told; `sent` moves the faults on."""

    gateway: str
    journal: Journal
    sent: int = 0

    async def run(self, drawn: list[Drawn], *, rate: float) -> None:
        """Send everything; return when each has been told something, be it nothing."""
        limits = httpx.Limits(max_connections=4 * CLIENTS)
        loop = asyncio.get_running_loop()
        started, waiting = loop.time(), iter(enumerate(drawn))

        async def keep_sending(client: httpx.AsyncClient) -> None:
            for number, one in waiting:
                await asyncio.sleep(max(0.0, started + number / rate - loop.time()))
                self.sent += 1
                await self._send(client, one)

        async with (
            httpx.AsyncClient(
                base_url=self.gateway, timeout=ANSWERS_WITHIN, limits=limits, trust_env=False
            ) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(CLIENTS):
                group.create_task(keep_sending(client))

    async def _send(self, client: httpx.AsyncClient, one: Drawn) -> None:
        ask = one.ask
        self.journal.asks.append(ask)
        sent = await asyncio.gather(*(post(client, ask) for _ in range(1 + one.is_twin)))
        ask.told += sent
        for _ in range(ASKS_AGAIN):
            if ask.outcome is not Outcome.UNKNOWN:
                break
            await asyncio.sleep(0.3)
            ask.told.append(await post(client, ask))
        if ask.outcome is not Outcome.OK:
            return
        if one.is_replayed:
            ask.told.append(await post(client, ask))
        if one.is_abused:
            ask.abused.append(await post(client, ask, body=ask.body.replace(b"}", b" }", 1)))
        if one.cancel_key:
            order_id = ask.accepted["order_id"]
            path = f"/v1/orders/{order_id}/cancellation"
            taken = Ask("cancel", ask.principal, path, one.cancel_key, b"{}", order_id, ask.token)
            self.journal.asks.append(taken)
            taken.told.append(await post(client, taken))


async def post(client: httpx.AsyncClient, ask: Ask, *, body: bytes | None = None) -> Told:
    """Send a request once and return what was told; what breaks on the way tells nothing."""
    head = {
        "authorization": f"Bearer {ask.token}", "idempotency-key": ask.key,
        "content-type": "application/json",
    }  # fmt: skip
    try:
        answer = await client.post(ask.path, content=ask.body if body is None else body, headers=head)
    except httpx.TransportError:
        return Told(None)
    return Told(answer.status_code, answer.content)


def _voices(chance: Random, place: Place) -> dict[str, tuple[str, Voice]]:
    voices = {}
    for household in place.town.households:
        subject = str(_uuid(chance))
        voice = place.town.voices.of(Role.RESIDENT, subject=subject, household_id=household["household_id"])
        voices[household["household_id"]] = (subject, voice)
    return voices


def _order(chance: Random, place: Place, external_id: str) -> bytes:
    products = place.town.products
    lines = [
        {"product_id": products[good.name], "quantity": quantity,
         "seen_price_fen": place.prices[products[good.name]]}
        for good, quantity in place.town.case.basket(chance)
        if products[good.name] in place.prices
    ]  # fmt: skip
    chance.shuffle(lines)
    body = {"slot_id": chance.choice(place.slots), "lines": lines, "external_id": external_id}
    return json.dumps(body).encode()


def _delivery(chance: Random, place: Place, number: int, sellers: list[dict[str, object]]) -> Drawn:
    """Draw what comes into a shop: never less, so that a shelf below what is promised is always a defect."""
    shop = chance.choice(sellers)
    outlet_id = str(shop["outlet_id"])
    plus = [good.name for good in place.town.case.assumed.goods if good.kind.value == shop["kind"]]
    subject, reference = str(_uuid(chance)), f"delivery-{number}"
    voice = place.town.voices.of(Role.OUTLET, subject=subject, outlet_id=outlet_id)
    change = {
        "plu": chance.choice(plus), "kind": "adjustment", "quantity": chance.randint(1, 5),
        "observed_at": datetime.now(UTC).isoformat(), "reason": "delivery", "reference": reference,
    }  # fmt: skip
    ask = Ask(
        "delivery", subject, f"/v1/outlets/{outlet_id}/stock-changes", str(_uuid(chance)),
        json.dumps({"changes": [change]}).encode(), reference, voice.token,
    )  # fmt: skip
    return Drawn(ask, is_twin=_happens(chance, 20), is_replayed=False, is_abused=False, cancel_key=None)


def _happens(chance: Random, percent: int) -> bool:
    return chance.randrange(100) < percent


def _uuid(chance: Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)
