"""Lists by pages: an opaque cursor that is the last row's id, and weak spots of none."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel

from services.kit.errors import Fault, Rejected

LARGEST = 200
T = TypeVar("T")
Row = TypeVar("Row")


class Page(BaseModel, Generic[T]):
    """A page of a list; the cursor is there where more follows."""

    items: list[T]
    cursor: str | None = None


class Paging(BaseModel):
    """What a caller asks of a list: so many, after the row that the cursor stands for."""

    limit: int
    after: UUID | None

    def page(
        self, rows: Sequence[Row], view: Callable[[Row], T], *, row_id: Callable[[Row], UUID]
    ) -> Page[T]:
        """Return a page of `rows`, which were asked for one more than the limit."""
        shown = rows[: self.limit]
        more = len(rows) > self.limit
        return Page[T](
            items=[view(row) for row in shown],
            cursor=urlsafe_b64encode(row_id(shown[-1]).bytes).decode() if more else None,
        )


async def _read_paging(
    limit: Annotated[int, Query(ge=1, le=LARGEST)] = 50,
    cursor: Annotated[str | None, Query(description="From the page before")] = None,
) -> Paging:
    try:
        after = UUID(bytes=urlsafe_b64decode(cursor)) if cursor else None
    except ValueError as error:
        fault = Fault("/query/cursor", "kit.cursor_unreadable")
        raise Rejected("kit.cursor_unreadable", "The cursor is none of ours", faults=[fault]) from error
    return Paging(limit=limit, after=after)


PagingAsked = Annotated[Paging, Depends(_read_paging)]
