"""P2: 20 sends of each key at once, to an API that is killed all the while: one order, one answer."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from sqlalchemy import text

from services.kit import database
from tests.orders.ground import open_ground
from tests.promises import insisting
from tests.promises.bells import IS_FULL
from tests.promises.killing import ACCEPTING, killed
from tests.promises.parts import part_of

KEYS, KILLS, AT_ONCE = (1000, 20, 4) if IS_FULL else (4, 0, 2)
COPIES = 20


async def test_each_key_has_one_order_and_one_answer_though_the_api_is_killed(
    database_of: Callable[[str], Awaitable[str]], tmp_path: Path
) -> None:
    url = await database_of("orders")
    engine = database.create_engine(url)
    sessions = database.create_sessions(engine)
    ground = await open_ground(sessions, households=50, capacity=100 * KEYS, orders=KEYS, units=KEYS * 10)
    keys = [f"key-{number}" for number in range(KEYS)]
    told: list[httpx.Response] = []
    with part_of("serve", "orders", tmp_path, url) as api:

        def count() -> int:
            return len(told)

        async with killed(api, points=ACCEPTING, progress=count, kills=KILLS, total=KEYS * COPIES):
            answers = await insisting.order(
                api.address, ground, keys, at_once=AT_ONCE, copies=COPIES, told=told
            )
            again = await insisting.order(api.address, ground, keys, at_once=AT_ONCE, copies=1, told=[])
    print(f"{len(told)} answers, {len(api.deaths)} deaths")  # noqa: T201 - what was measured: pytest -rP
    assert len(api.deaths) > KILLS
    assert {answer.status_code for answer in told} == {httpx.codes.ACCEPTED}
    for key in keys:
        assert len({answer.content for answer in answers[key] + again[key]}) == 1
        assert again[key][0].headers["idempotency-replayed"] == "true"
    async with sessions() as session:
        written = [str(row.order_id) for row in await session.execute(text("SELECT order_id FROM orders"))]
    assert sorted(written) == sorted(answers[key][0].json()["order_id"] for key in keys)
    await engine.dispose()
