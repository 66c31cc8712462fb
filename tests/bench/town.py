"""A zone with many households that may order without end, and the requests they send."""

import asyncio
import json
import random
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import jwt

from services.kit import database
from services.kit.ids import new_id
from tests import serving
from tests.orders.ground import Ground, open_ground

HOUSEHOLDS = 1000
NO_END = 1_000_000_000
PRODUCTS = 200
LINES = 5


@dataclass(frozen=True)
class Town:
    """An open zone in a database of orders; `products` can be ordered."""

    url: str
    ground: Ground
    products: list[UUID]

    @classmethod
    def plant(cls, url: str, *, households: int = HOUSEHOLDS) -> "Town":
        ground = asyncio.run(_plant(url, households))
        return cls(url, ground, [new_id() for _ in range(PRODUCTS)])

    def requests(self) -> dict[str, Any]:
        """Return a token of its own for each household and a body of five lines for each."""
        chance = random.Random(7)
        key = serving.signing_key()
        claims = {"iss": "baton", "aud": "baton", "exp": 4_000_000_000, "roles": ["resident"]}
        return {
            "tokens": [
                jwt.encode(
                    {**claims, "sub": f"resident-{home}", "household_id": str(home)},
                    key,
                    algorithm="EdDSA",
                    headers={"kid": serving.KEY_ID},
                )
                for home in self.ground.household_ids
            ],
            "bodies": [json.dumps(self._body(chance)) for _ in self.ground.household_ids],
        }

    def _body(self, chance: random.Random) -> dict[str, Any]:
        chosen = chance.sample(self.products, LINES)
        return {
            "slot_id": str(self.ground.slot_id),
            "lines": [
                {"product_id": str(product), "quantity": chance.randint(1, 3), "seen_price_fen": 450}
                for product in chosen
            ],
        }


async def _plant(url: str, households: int) -> Ground:
    engine = database.create_engine(url)
    try:
        return await open_ground(
            database.create_sessions(engine),
            households=households,
            capacity=NO_END,
            orders=NO_END,
            units=NO_END,
        )
    finally:
        await engine.dispose()


async def _find_faults(url: str, ground: Ground, accepted: list[str]) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        ids = [UUID(order_id) for order_id in accepted]
        stored = {row[0] for row in await connection.fetch("SELECT order_id FROM orders")}
        said = await connection.fetch("SELECT key FROM outbox_event WHERE type = 'orders.order_placed.v1'")
        kept = await connection.fetch("SELECT convert_from(body, 'UTF8') FROM idempotency")
        taken = await connection.fetchval("SELECT taken FROM slots WHERE slot_id = $1", ground.slot_id)
        used = await connection.fetchval("SELECT coalesce(sum(orders), 0) FROM household_quotas")
    finally:
        await connection.close()
    answered = {UUID(json.loads(row[0])["order_id"]) for row in kept}
    faults = {
        "an order was answered twice": len(ids) != len(set(ids)),
        "accepted is not stored": stored != set(ids),
        "stored is not said to the others": {UUID(row[0]) for row in said} != stored or len(said) != len(ids),
        "answers are not kept": answered != stored or len(kept) != len(ids),
        "the slot counts otherwise": taken != len(ids),
        "the quotas count otherwise": used != len(ids),
    }
    return [what for what, holds in faults.items() if holds]


def find_faults(town: Town, accepted: list[str]) -> list[str]:
    """Say what is not as it must be when exactly these orders were accepted: none lost, none doubled."""
    return asyncio.run(_find_faults(town.url, town.ground, accepted))
