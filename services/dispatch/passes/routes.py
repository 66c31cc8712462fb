"""Passes over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, Field

from services.contracts import access
from services.contracts.access import Action
from services.dispatch.bodies import LARGEST_BATCH, Body, ItemView, Moment, fault_view
from services.dispatch.passes import application, queries
from services.dispatch.passes.tables import PassRow
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

router = make_router("/passes")
Code = Annotated[str, Field(min_length=1, max_length=12)]


class PassBody(Body):
    """A pass: 12 digits, one vehicle, one route, its crew (nobody named: anyone who is cleared)."""

    number: Annotated[str, Field(min_length=1, max_length=20)]
    plate: Annotated[str, Field(min_length=1, max_length=16)]
    goods_class: Annotated[str, Field(min_length=1, max_length=40)]
    origin_code: Code
    destination_code: Code
    valid_from: Moment
    valid_to: Moment
    crew: Annotated[tuple[UUID, ...], Field(max_length=20)] = ()

    def to_pass(self) -> application.NewPass:
        """Return what the application takes."""
        return application.NewPass(
            number=self.number,
            plate=self.plate,
            goods_class=self.goods_class,
            origin_code=self.origin_code,
            destination_code=self.destination_code,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            crew=frozenset(self.crew),
        )


class ImportPasses(Body):
    """A list of passes; each is judged for itself."""

    passes: Annotated[list[PassBody], Field(min_length=1, max_length=LARGEST_BATCH)]


class PassItemView(ItemView):
    """What became of one pass of a list."""

    pass_id: UUID | None


class PassItemsView(BaseModel):
    """What became of a list of passes."""

    items: list[PassItemView]


class PassView(BaseModel):
    """A pass."""

    pass_id: UUID
    number: str
    vehicle_id: UUID
    goods_class: str
    origin_code: str
    destination_code: str
    valid_from: datetime
    valid_to: datetime
    crew: list[UUID]


@router.post("", response_model=PassItemsView)
async def import_passes(
    body: ImportPasses, session: Session, now: Now, caller: Caller, once: OnceOnly
) -> Response:
    """Know passes by their numbers: new ones are made, known ones changed."""
    access.require(caller, Action.KEEP_FLEET)
    wanted = [each.to_pass() for each in body.passes]
    items = [
        PassItemView(
            index=index,
            pass_id=imported.pass_id,
            outcome=imported.outcome,
            errors=[fault_view(fault) for fault in imported.faults],
        )
        for index, imported in enumerate(await application.import_passes(session, wanted, now))
    ]
    return await once.accept(PassItemsView(items=items), status=200)


@router.get("")
async def list_passes(session: Session, caller: Caller, paging: PagingAsked) -> Page[PassView]:
    """List the passes."""
    access.require(caller, Action.KEEP_FLEET)
    rows = await queries.list_passes(session, limit=paging.limit, after=paging.after)
    return paging.page(rows, _view, row_id=lambda row: row.pass_id)


def _view(row: PassRow) -> PassView:
    return PassView.model_validate(row.model_dump())
