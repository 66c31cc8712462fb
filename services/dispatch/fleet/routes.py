"""Vehicles over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, Field

from services.contracts import access
from services.contracts.access import Action
from services.contracts.values import Point
from services.dispatch.bodies import LARGEST_BATCH, Body, ItemView, Moment, fault_view
from services.dispatch.fleet import application, queries
from services.dispatch.fleet.tables import VehicleRow
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

router = make_router("/vehicles")


class VehicleBody(Body):
    """A vehicle as the town's list has it; grams and pieces are what it carries at a time."""

    plate: Annotated[str, Field(min_length=1, max_length=16)]
    kind: Annotated[str, Field(min_length=1, max_length=40)]
    capacity_g: Annotated[int, Field(ge=1, le=100_000_000)]
    capacity_pieces: Annotated[int, Field(ge=1, le=100_000)]
    base: Point
    shift_starts_at: Moment
    shift_ends_at: Moment

    def to_vehicle(self) -> application.NewVehicle:
        """Return what the application takes."""
        return application.NewVehicle(
            plate=self.plate,
            kind=self.kind,
            capacity_g=self.capacity_g,
            capacity_pieces=self.capacity_pieces,
            base=self.base,
            shift_starts_at=self.shift_starts_at,
            shift_ends_at=self.shift_ends_at,
        )


class ImportVehicles(Body):
    """A list of vehicles; each is judged for itself."""

    vehicles: Annotated[list[VehicleBody], Field(min_length=1, max_length=LARGEST_BATCH)]


class VehicleItemView(ItemView):
    """What became of one vehicle of a list."""

    vehicle_id: UUID | None


class VehicleItemsView(BaseModel):
    """What became of a list of vehicles."""

    items: list[VehicleItemView]


class VehicleView(BaseModel):
    """A vehicle; one that is lost is out of service until somebody brings it back, and says so here."""

    vehicle_id: UUID
    plate: str
    kind: str
    capacity_g: int
    capacity_pieces: int
    base: Point
    shift_starts_at: datetime
    shift_ends_at: datetime
    lost_at: datetime | None
    lost_because: str | None
    returned_at: datetime | None
    returned_by: str | None


class ReturnedView(BaseModel):
    """A vehicle in service: who brought it back and when, if it was ever lost."""

    vehicle_id: UUID
    returned_at: datetime | None
    returned_by: str | None


@router.post("", response_model=VehicleItemsView)
async def import_vehicles(
    body: ImportVehicles, session: Session, now: Now, caller: Caller, once: OnceOnly
) -> Response:
    """Know vehicles by their plates: new ones are made, known ones changed; a lost one stays lost."""
    access.require(caller, Action.KEEP_FLEET)
    wanted = [vehicle.to_vehicle() for vehicle in body.vehicles]
    items = [
        VehicleItemView(
            index=index,
            vehicle_id=imported.vehicle_id,
            outcome=imported.outcome,
            errors=[fault_view(fault) for fault in imported.faults],
        )
        for index, imported in enumerate(await application.import_vehicles(session, wanted, now))
    ]
    return await once.accept(VehicleItemsView(items=items), status=200)


@router.get("")
async def list_vehicles(session: Session, caller: Caller, paging: PagingAsked) -> Page[VehicleView]:
    """List the fleet."""
    access.require(caller, Action.KEEP_FLEET)
    rows = await queries.list_vehicles(session, limit=paging.limit, after=paging.after)
    return paging.page(rows, _view, row_id=lambda row: row.vehicle_id)


@router.post("/{vehicle_id}/return", response_model=ReturnedView)
async def bring_back(
    vehicle_id: UUID, session: Session, now: Now, caller: Caller, once: OnceOnly
) -> Response:
    """Take a lost vehicle into service again; of one that is in service nothing changes."""
    access.require(caller, Action.KEEP_FLEET)
    row = await application.bring_back(session, vehicle_id, now, by=caller.subject)
    view = ReturnedView(vehicle_id=vehicle_id, returned_at=row.returned_at, returned_by=row.returned_by)
    return await once.accept(view, status=200)


def _view(row: VehicleRow) -> VehicleView:
    return VehicleView(
        vehicle_id=row.vehicle_id,
        plate=row.plate,
        kind=row.kind,
        capacity_g=row.capacity_g,
        capacity_pieces=row.capacity_pieces,
        base=Point(lat=row.base_lat, lon=row.base_lon),
        shift_starts_at=row.shift_starts_at,
        shift_ends_at=row.shift_ends_at,
        lost_at=row.lost_at,
        lost_because=row.lost_because,
        returned_at=row.returned_at,
        returned_by=row.returned_by,
    )
