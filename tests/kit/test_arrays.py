from datetime import date
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from services.kit import arrays
from services.kit.database import Sessions

FIRST, SECOND = UUID(int=1), UUID(int=2**128 - 1)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("uuid", [SECOND, FIRST, SECOND]),
        ("integer", [-1, 0, 2**31 - 1]),
        ("bigint", [2**63 - 1, -(2**63)]),
        ("smallint", [11]),
        ("date", [date(2022, 11, 20), None, date(1, 1, 1)]),
        ("uuid", []),
    ],
)
async def test_an_array_comes_into_the_database_as_it_was(
    sessions: Sessions, kind: str, values: list[Any]
) -> None:
    async with sessions() as session:
        asked = text(f"SELECT (:given)::text::{kind}[]")
        assert (await session.execute(asked, {"given": arrays.literal(values)})).scalar_one() == values
