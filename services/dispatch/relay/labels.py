"""Labels of load units over HTTP: as the text of their QR code, as a drawing, and by the sheet to print."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel

from services.dispatch.loads import label, sheet
from services.dispatch.loads.captions import Part
from services.dispatch.loads.label import Caption
from services.dispatch.loads.marks import Marks
from services.dispatch.relay import printing
from services.kit.http import pages
from services.kit.http.application import make_router
from services.kit.http.pages import AfterAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

EACH: Final = label.STOCK.per_sheet
# As many labels as a page has rows: they are drawn in half a second, and are half a megabyte.
MOST_SHEETS: Final = pages.LARGEST // EACH
DRAWING: Final = {label.MEDIA_TYPE: {"schema": {"type": "string"}}}
SHEETS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Sheets to print; `Link` (rel=next) is there where more follow",
        "content": {sheet.MEDIA_TYPE: {"schema": {"type": "string"}}},
        "headers": {"Link": {"schema": {"type": "string"}}},
    }
}

unit_router = make_router("/load-units")
load_router = make_router("/loads")
sheet_router = make_router("/labels")


async def _read_part(
    after: AfterAsked,
    sheets: Annotated[int, Query(ge=1, le=MOST_SHEETS, description=f"At most so many, of {EACH} labels")] = (
        MOST_SHEETS
    ),
) -> Part:
    return Part(sheets * EACH, after)


PartAsked = Annotated[Part, Depends(_read_part)]


class LabelView(BaseModel):
    """What is printed on a load unit: the text of the QR code, and lines for people."""

    load_unit_id: UUID
    text: str
    lines: list[str]


@unit_router.get("/{load_unit_id}/label")
async def get_label(
    session: Session, now: Now, caller: Caller, request: Request, load_unit_id: UUID
) -> LabelView:
    """Give what is printed on a unit to who packs it, or splits it at the gate."""
    caption = await printing.get_caption(session, caller, load_unit_id, now)
    marks: Marks = request.app.state.marks
    return LabelView(load_unit_id=load_unit_id, text=marks.label_of(load_unit_id), lines=caption.lines)


@unit_router.get(
    "/{load_unit_id}/label.svg",
    response_class=Response,
    responses={200: {"description": "The label to print", "content": DRAWING}},
)
async def draw_label(
    session: Session, now: Now, caller: Caller, request: Request, load_unit_id: UUID
) -> Response:
    """Draw the label of a unit for who packs it, or splits it at the gate: the QR code beside the lines."""
    caption = await printing.get_caption(session, caller, load_unit_id, now)
    marks: Marks = request.app.state.marks
    drawn = label.draw(marks.label_of(load_unit_id), caption.lines)
    return Response(drawn, media_type=label.MEDIA_TYPE, headers=sheet.HEADERS)


@load_router.get("/{load_id}/labels.html", response_class=Response, responses=SHEETS)
async def print_load(  # noqa: PLR0913 - what can be asked of the sheets
    *, session: Session, now: Now, caller: Caller, request: Request, load_id: UUID, part: PartAsked
) -> Response:
    """Draw the labels of a load: what is packed for its packer, what is split at the gate for who splits."""
    found = await printing.find_of_load(session, caller, load_id, _one_more(part), now)
    return await _print(request, found, part)


@sheet_router.get(".html", response_class=Response, responses=SHEETS)
async def print_pick_list(  # noqa: PLR0913 - what can be asked of the sheets
    *, session: Session, caller: Caller, request: Request, slot_id: UUID, outlet_id: UUID, part: PartAsked
) -> Response:
    """Draw the labels of everything that an outlet packs for a slot, by community, building, load, number."""
    found = await printing.find_pick_list(session, caller, slot_id, outlet_id, _one_more(part))
    return await _print(request, found, part)


def _one_more(part: Part) -> Part:
    return replace(part, limit=part.limit + 1)


async def _print(request: Request, found: Sequence[Caption], part: Part) -> Response:
    marks: Marks = request.app.state.marks
    shown = found[: part.limit]
    headers = dict(sheet.HEADERS)
    if len(found) > part.limit:
        rest = request.url.include_query_params(cursor=pages.cursor_after(shown[-1].load_unit_id))
        headers["link"] = f'<{rest.path}?{rest.query}>; rel="next"'
    # Beside the requests of others, which would wait for it.
    document = await asyncio.to_thread(_draw, marks, shown)
    return Response(document, media_type=sheet.MEDIA_TYPE, headers=headers)


def _draw(marks: Marks, shown: Sequence[Caption]) -> str:
    return sheet.lay_out([label.draw(marks.label_of(each.load_unit_id), each.lines) for each in shown])
