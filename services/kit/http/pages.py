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
            cursor=cursor_after(row_id(shown[-1])) if more else None,
        )


def cursor_after(row_id: UUID) -> str:
    """Return the cursor that stands for what follows a row."""
    return urlsafe_b64encode(row_id.bytes).decode()


async def _read_cursor(
    cursor: Annotated[str | None, Query(description="From the page before")] = None,
) -> UUID | None:
    try:
        return UUID(bytes=urlsafe_b64decode(cursor)) if cursor else None
    except ValueError as error:
        fault = Fault("/query/cursor", "kit.cursor_unreadable")
        raise Rejected("kit.cursor_unreadable", "The cursor is none of ours", faults=[fault]) from error


AfterAsked = Annotated[UUID | None, Depends(_read_cursor)]


async def _read_paging(after: AfterAsked, limit: Annotated[int, Query(ge=1, le=LARGEST)] = 50) -> Paging:
    return Paging(limit=limit, after=after)


PagingAsked = Annotated[Paging, Depends(_read_paging)]
