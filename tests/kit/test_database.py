import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.kit import database
from services.kit.database import Sessions


async def test_a_statement_is_ended_by_the_server_after_its_limit(sessions: Sessions) -> None:
    with pytest.raises(DBAPIError, match="statement timeout"):
        async with sessions() as session:
            await session.execute(text("SELECT pg_sleep(5)"))


async def test_now_stands_still_within_a_transaction(sessions: Sessions) -> None:
    async with sessions() as session:
        first = await database.now(session)
        await session.execute(text("SELECT pg_sleep(0.01)"))
        assert await database.now(session) == first
        assert first.utcoffset() is not None


async def test_a_commit_is_durable_before_it_returns(sessions: Sessions) -> None:
    async with sessions() as session:
        assert (await session.execute(text("SHOW synchronous_commit"))).scalar_one() == "on"


async def test_a_full_pool_refuses_instead_of_queueing(postgres: str) -> None:
    engine = database.create_engine(postgres, pool_size=1)
    try:
        async with engine.connect():
            with pytest.raises(PoolTimeout):
                async with engine.connect():
                    pass
    finally:
        await engine.dispose()


async def test_an_error_does_not_repeat_the_values_it_failed_on(sessions: Sessions) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with sessions() as session:
            await session.execute(text("SELECT CAST(:secret AS text) || 1 / 0"), {"secret": "door 4-1-302"})
    assert "door 4-1-302" not in str(caught.value)
