"""Labels of load units over HTTP: as the text of their QR code, and as a drawing to print."""

from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import access
from services.contracts.access import Action, Resource
from services.dispatch.loads import label
from services.dispatch.loads import queries as loads_queries
from services.dispatch.loads.marks import Marks
from services.dispatch.places import queries as places_queries
from services.dispatch.relay import permission
from services.kit.errors import NotFound
from services.kit.http.application import make_router
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Session

DRAWING = {label.MEDIA_TYPE: {"schema": {"type": "string"}}}

router = make_router("/load-units")


class LabelView(BaseModel):
    """What is printed on a load unit: the text of the QR code, and lines for people."""

    load_unit_id: UUID
    text: str
    lines: list[str]


@router.get("/{load_unit_id}/label")
async def get_label(session: Session, caller: Caller, request: Request, load_unit_id: UUID) -> LabelView:
    """Give what is printed on a unit to the outlet that packs it: whoever has the text can prove a scan."""
    lines = await _get_lines(session, caller, load_unit_id)
    marks: Marks = request.app.state.marks
    return LabelView(load_unit_id=load_unit_id, text=marks.label_of(load_unit_id), lines=lines)


@router.get(
    "/{load_unit_id}/label.svg",
    response_class=Response,
    responses={200: {"description": "The label to print", "content": DRAWING}},
)
async def draw_label(session: Session, caller: Caller, request: Request, load_unit_id: UUID) -> Response:
    """Draw the label of a unit for the outlet that packs it: the QR code above the lines."""
    lines = await _get_lines(session, caller, load_unit_id)
    marks: Marks = request.app.state.marks
    drawn = label.draw(marks.label_of(load_unit_id), lines)
    return Response(drawn, media_type=label.MEDIA_TYPE, headers={"cache-control": "no-store"})


async def _get_lines(session: AsyncSession, caller: Caller, load_unit_id: UUID) -> list[str]:
    unit = await loads_queries.find_unit(session, load_unit_id)
    load = await loads_queries.find_load(session, unit.load_id) if unit else None
    if unit is None or load is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    zones = await places_queries.find_zones(session, [load.zone_id])
    path = permission.resource_of(load, zones[load.zone_id].path if load.zone_id in zones else ()).path
    access.require(caller, Action.HAND_OVER, Resource(path=path, outlet_id=load.outlet_id), hidden=True)
    titles = await places_queries.find_titles(session, [load.community_id, load.building_id])
    gates = await places_queries.find_gates(session, [load.community_id])
    community = titles.get(load.community_id) or (
        gates[load.community_id].title if load.community_id in gates else ""
    )
    outlets = await places_queries.find_outlets(session, [load.outlet_id])
    lines = [
        f"{community} {titles.get(load.building_id, '')}".strip(),
        outlets[load.outlet_id].title if load.outlet_id in outlets else "",
        f"{unit.number}/{load.pieces} · {unit.grams / 1000:.2f} kg",
    ]
    return [line for line in lines if line]
