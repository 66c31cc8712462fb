"""Retrying is safe: one effect, one answer byte for byte, and refusals judged anew."""

import asyncio
from collections.abc import Sequence

import httpx
import pytest
from sqlalchemy import text

from services.kit.database import Sessions
from services.kit.errors import Conflict, Problem, Rejected
from services.kit.http.idempotency import Answer, Identity, decide_once
from tests.kit.lamps import Running
from tests.serving import headers

MINE = headers("steward", subject="mine")
ON = {"words": "on"}
KEYS = 5


async def send(lamps: Running, key: str | None, body: dict, who: dict = MINE) -> httpx.Response:
    head = who if key is None else {**who, "idempotency-key": key}
    return await lamps.client.post("/v1/lamps", headers=head, json=body)


async def count(sessions: Sessions, table: str = "lamps") -> int:
    async with sessions() as session:
        return int((await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


@pytest.mark.parametrize("key", [None, "", "k" * 201])
async def test_without_a_key_nothing_is_done(
    lamps: Running, lamp_sessions: Sessions, key: str | None
) -> None:
    answer = await send(lamps, key, ON)
    assert (answer.status_code, answer.json()["code"]) == (400, "kit.idempotency_key_missing")
    assert answer.json()["errors"][0]["pointer"] == "/header/idempotency-key"
    assert await count(lamp_sessions) == 0


async def test_the_first_acceptance_comes_again_byte_for_byte(
    lamps: Running, lamp_sessions: Sessions
) -> None:
    first = await send(lamps, "k" * 200, ON)
    assert (first.status_code, "idempotency-replayed" in first.headers) == (201, False)
    assert first.headers["location"] == f"/v1/lamps/{first.json()['lamp_id']}"
    for _ in range(3):
        again = await send(lamps, "k" * 200, ON)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["location"] == first.headers["location"]
        assert again.headers["content-type"] == first.headers["content-type"]
        assert again.headers["idempotency-replayed"] == "true"
    assert await count(lamp_sessions) == 1


async def test_a_key_used_for_another_body_is_refused(lamps: Running, lamp_sessions: Sessions) -> None:
    await send(lamps, "k", ON)
    other = await send(lamps, "k", {"words": "off"})
    assert (other.status_code, other.json()["code"]) == (422, "kit.idempotency_key_reused")
    # What means the same is not the same: only bytes are compared.
    spaced = await lamps.client.post(
        "/v1/lamps",
        headers={**MINE, "idempotency-key": "k", "content-type": "application/json"},
        content=b'{ "words":"on" }',
    )
    assert spaced.json()["code"] == "kit.idempotency_key_reused"
    assert await count(lamp_sessions) == 1


async def test_a_key_is_its_callers_own(lamps: Running, lamp_sessions: Sessions) -> None:
    mine = await send(lamps, "k", ON)
    theirs = await send(lamps, "k", {"words": "off"}, headers("steward", subject="theirs"))
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["lamp_id"] != theirs.json()["lamp_id"]
    assert await count(lamp_sessions) == 2


async def test_a_refusal_is_not_kept_but_judged_again(lamps: Running, lamp_sessions: Sessions) -> None:
    refused = await send(lamps, "k", {"words": "refuse"})
    assert (refused.status_code, refused.json()["code"]) == (422, "lamps.too_dark")
    assert await count(lamp_sessions, "idempotency") == 0
    assert await count(lamp_sessions) == 0
    accepted = await send(lamps, "k", ON)
    assert (accepted.status_code, "idempotency-replayed" in accepted.headers) == (201, False)


async def test_a_commit_that_fails_leaves_the_key_unused(lamps: Running, lamp_sessions: Sessions) -> None:
    failed = await send(lamps, "k", {"words": "come again"})
    assert failed.status_code == 503
    assert await count(lamp_sessions, "idempotency") == 0
    assert (await send(lamps, "k", ON)).status_code == 201


async def test_a_request_whose_twin_is_under_way_is_told_so_at_once(
    lamps: Running, lamp_sessions: Sessions
) -> None:
    async with lamp_sessions.begin() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(1)"))
        twins = [asyncio.create_task(send(lamps, "k", {"words": "wait"})) for _ in range(2)]
        done, waiting = await asyncio.wait(twins, return_when=asyncio.FIRST_COMPLETED, timeout=0.9)
        assert [answer.result().status_code for answer in done] == [409]
        early = done.pop().result()
        assert (early.json()["code"], early.headers["retry-after"]) == ("kit.idempotency_in_flight", "1")
    accepted = await waiting.pop()
    assert accepted.status_code == 201
    again = await send(lamps, "k", {"words": "wait"})
    assert again.content == accepted.content
    assert await count(lamp_sessions) == 1


async def test_20_parallel_sends_of_each_key_have_one_effect_and_one_answer(
    lamps: Running, lamp_sessions: Sessions
) -> None:
    async def insist(key: str) -> httpx.Response:
        for _ in range(500):
            answer = await send(lamps, key, {"words": key})
            if answer.status_code not in {409, 503}:
                break
            await asyncio.sleep(0.01)
        return answer

    keys = [f"k-{number}" for number in range(KEYS)]
    answers = []
    for start in range(0, KEYS, 5):
        some = keys[start : start + 5]
        answers += await asyncio.gather(*(insist(key) for key in some for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == len(keys)
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == len(keys)
    assert await count(lamp_sessions) == len(keys)


def identify(key: str, body: bytes = b"1") -> Identity:
    return Identity("mine", "POST /v1/lamps", key, body)


def accept(place: int) -> Answer:
    return Answer(status=201, body=str(place).encode())


async def test_a_batch_has_each_effect_once_and_each_request_its_own_answer(lamp_sessions: Sessions) -> None:
    asked: list[list[int]] = []

    async def decide(places: Sequence[int]) -> list[Answer | Problem]:
        asked.append(list(places))
        return [Rejected("lamps.dark", "Dark") if place == 4 else accept(place) for place in places]

    batch = [
        identify("a"),
        identify("a"),
        identify("a", b"2"),
        identify("b"),
        identify("refused"),
        identify("refused"),
        identify("refused", b"2"),
    ]
    async with lamp_sessions.begin() as session:
        first = await decide_once(session, batch, decide)
    assert asked == [[0, 3, 4]]
    assert first[:2] == [accept(0), Answer(status=201, body=b"0", is_replayed=True)]
    assert first[3] == accept(3)
    codes = [outcome.code for outcome in first if isinstance(outcome, Problem)]
    assert codes == ["kit.idempotency_key_reused", "lamps.dark", "lamps.dark", "kit.idempotency_in_flight"]

    async with lamp_sessions.begin() as session:
        again = await decide_once(session, [identify("b"), identify("c"), identify("b", b"2")], decide)
    assert asked[1] == [1]
    assert again[:2] == [Answer(status=201, body=b"3", is_replayed=True), accept(1)]
    assert isinstance(again[2], Rejected)
    assert await count(lamp_sessions, "idempotency") == 3


async def test_a_key_in_other_hands_holds_up_nobody_in_the_batch(lamp_sessions: Sessions) -> None:
    async def decide(places: Sequence[int]) -> list[Answer | Problem]:
        return [accept(place) for place in places]

    async with lamp_sessions.begin() as holder:
        await decide_once(holder, [identify("held")], decide)
        async with lamp_sessions.begin() as session:
            held, free = await decide_once(session, [identify("held"), identify("free")], decide)
    assert isinstance(held, Conflict)
    assert free == accept(1)
