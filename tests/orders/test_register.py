from sqlalchemy import text


async def test_the_application_answers_and_has_its_tables(client, service_sessions) -> None:
    assert (await client.get("/readyz")).status_code == 200
    async with service_sessions() as session:
        assert (await session.execute(text("SELECT count(*) FROM areas"))).scalar_one() == 0
