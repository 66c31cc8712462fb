"""Long columns on their way to the database: written at once, where the driver looks at each value."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import orjson


def literal(values: Sequence[UUID | int | date | None]) -> str:
    """Write values, but no texts, as PostgreSQL writes an array: to be read as `(:name)::text::uuid[]`.

    A tenth to a fifth of the driver's time for a list, and the planner takes it for an array of ten.
    """
    return "{" + orjson.dumps(values, default=str).decode()[1:-1] + "}"
