import pytest
from sqlalchemy import text

from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.kit.lamps import Running
from tests.serving import headers

CALLER = headers("steward")


@pytest.fixture
async def ids(lamp_sessions: Sessions) -> list[str]:
    made = [str(new_id()) for _ in range(5)]
    async with lamp_sessions.begin() as session:
        for lamp_id in made:
            await session.execute(text("INSERT INTO lamps VALUES (:id, 'on')"), {"id": lamp_id})
    return made


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6])
async def test_pages_show_each_row_once_and_the_last_says_so(lamps: Running, ids: list[str], limit) -> None:
    seen, address = [], f"/v1/lamps?limit={limit}"
    for _ in range(-(-5 // limit)):
        page = (await lamps.client.get(address, headers=CALLER)).json()
        assert 0 < len(page["items"]) <= limit
        seen += [item["lamp_id"] for item in page["items"]]
        address = f"/v1/lamps?limit={limit}&cursor={page['cursor']}"
    assert (seen, page["cursor"]) == (ids, None)


async def test_a_row_that_comes_between_two_pages_moves_none_of_the_others(
    lamps: Running, ids: list[str], lamp_sessions: Sessions
) -> None:
    first = (await lamps.client.get("/v1/lamps?limit=3", headers=CALLER)).json()
    async with lamp_sessions.begin() as session:
        await session.execute(text("DELETE FROM lamps WHERE id = :id"), {"id": ids[2]})
    rest = (await lamps.client.get(f"/v1/lamps?cursor={first['cursor']}", headers=CALLER)).json()
    assert [item["lamp_id"] for item in rest["items"]] == ids[3:]


@pytest.mark.parametrize("cursor", ["CANARY", "AAAA", "%C3%A9", "A" * 10_000, "0", "AAAAAAAAAAAAAAAAAAAAAA"])
async def test_a_cursor_that_is_none_of_ours_is_refused(lamps: Running, cursor: str) -> None:
    answer = await lamps.client.get(f"/v1/lamps?cursor={cursor}", headers=CALLER)
    assert (answer.status_code, answer.json()["code"]) == (422, "kit.cursor_unreadable")
    assert answer.json()["errors"] == [
        {
            "pointer": "/query/cursor",
            "code": "kit.cursor_unreadable",
            "params": {},
            "detail": "The cursor is none of ours",
        }
    ]
    assert "CANARY" not in answer.text


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", "1e3", "9" * 5000])
async def test_a_limit_outside_the_bounds_is_refused(lamps: Running, limit: str) -> None:
    answer = await lamps.client.get(f"/v1/lamps?limit={limit}", headers=CALLER)
    assert (answer.status_code, answer.json()["code"]) == (422, "kit.invalid")
    assert answer.json()["errors"][0]["pointer"] == "/query/limit"
