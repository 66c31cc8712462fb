from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.kit.shares import Shares

SPACE = 4711


@pytest.fixture
async def connections(postgres: str) -> AsyncIterator[list[asyncpg.Connection]]:
    opened = [await asyncpg.connect(postgres) for _ in range(5)]
    yield opened
    for connection in opened:
        await connection.close()


async def settle_all(members: list[Shares]) -> list[int]:
    for _ in range(2):
        for member in members:
            await member.settle()
    every = [share for member in members for share in member.owned]
    assert sorted(every) == list(range(12))
    return sorted(len(member.owned) for member in members)


async def test_members_parts_differ_by_one_at_most_whoever_comes_and_goes(connections) -> None:
    members = [Shares(connection, space=SPACE, count=12) for connection in connections]
    assert await settle_all(members[:1]) == [12]
    assert await settle_all(members[:2]) == [6, 6]
    assert await settle_all(members) == [2, 2, 2, 3, 3]
    for connection in connections[2:]:
        await connection.close()
    assert await settle_all(members[:2]) == [6, 6]


async def test_kinds_of_work_are_divided_apart(connections) -> None:
    members = [
        Shares(connection, space=space, count=12)
        for connection, space in zip(connections, (SPACE, SPACE + 1), strict=False)
    ]
    for member in members:
        await member.settle()
    assert [len(member.owned) for member in members] == [12, 12]
