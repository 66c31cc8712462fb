"""The relay over HTTP: device logs, custody, labels, breaches."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import access
from services.contracts.access import Action, Resource, Role
from services.contracts.dispatch import Leg
from services.contracts.orders import Form
from services.contracts.values import Point
from services.dispatch.bodies import LARGEST_BATCH, Body, Moment
from services.dispatch.loads import queries as loads_queries
from services.dispatch.loads.marks import Marks
from services.dispatch.loads.tables import LoadRow, LoadUnitRow
from services.dispatch.loads.views import LoadUnitView
from services.dispatch.places import queries as places_queries
from services.dispatch.relay import application, domain, queries, reading, stand_ins
from services.dispatch.relay.application import Noted
from services.dispatch.relay.domain import HandOver, Proof, ProofKind
from services.dispatch.relay.views import (
    BreachView,
    ClosedView,
    HandOverView,
    HeldLoadView,
    HeldUnitView,
    RecordedItemsView,
    RecordedView,
)
from services.kit.errors import NotFound
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

hand_over_router = make_router("/hand-overs")
load_router = make_router("/loads")
unit_router = make_router("/load-units")
breach_router = make_router("/breaches")


class ProofBody(Body):
    """A scanned QR text, a told PIN, or the hash of a photo that is uploaded later."""

    kind: ProofKind
    value: Annotated[str | None, Field(max_length=200)] = None
    photo_sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None


class HandOverBody(Body):
    """One hand-over as a device noted it, under an id of the device's own."""

    hand_over_id: UUID
    load_unit_id: UUID
    leg: Leg
    giver_id: UUID
    taker_id: UUID
    place: Point | None = None
    occurred_at: Moment
    proof: ProofBody

    def to_noted(self) -> Noted:
        """Return what the application takes."""
        return Noted(
            hand_over=HandOver(
                hand_over_id=self.hand_over_id,
                load_unit_id=self.load_unit_id,
                leg=self.leg,
                giver_id=self.giver_id,
                taker_id=self.taker_id,
                occurred_at=self.occurred_at,
            ),
            proof=Proof(kind=self.proof.kind, value=self.proof.value, photo_sha256=self.proof.photo_sha256),
            place=self.place,
        )


class RecordHandOvers(Body):
    """A device's log: in any order, late, and again as often as it likes."""

    hand_overs: Annotated[list[HandOverBody], Field(min_length=1, max_length=LARGEST_BATCH)]


class CloseBreach(Body):
    """Why a breach is closed."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]


@hand_over_router.post("", response_model=RecordedItemsView)
async def record_hand_overs(  # noqa: PLR0913 - a request that has its effect once
    *,
    body: RecordHandOvers,
    session: Session,
    now: Now,
    caller: Caller,
    request: Request,
    once: OnceOnly,
) -> Response:
    """Record a device's log of hand-overs, each item for itself."""
    access.require_somewhere(caller, Action.HAND_OVER)
    marks: Marks = request.app.state.marks
    noted = [each.to_noted() for each in body.hand_overs]
    outcomes = await application.record_hand_overs(session, caller, noted, marks, now)
    items = [
        RecordedView.of(index, each.hand_over.hand_over_id, outcome)
        for index, (each, outcome) in enumerate(zip(noted, outcomes, strict=True))
    ]
    return await once.accept(RecordedItemsView(items=items), status=200, is_report=True)


@hand_over_router.get("")
async def list_hand_overs(session: Session, now: Now, caller: Caller, load_id: UUID) -> Page[HandOverView]:
    """Show a load's chain of custody, unit by unit; a household's bag of a bulk load to its gate alone."""
    _, sees_bags = await _get_load(session, caller, load_id, now)
    found = await queries.list_rows_of_load(session, load_id)
    rows = [row for row in found if sees_bags or row.portion_id is None]
    rows.sort(key=lambda row: (row.load_unit_id, row.leg, row.reckoned_at, row.hand_over_id))
    return Page[HandOverView](items=[HandOverView.of(row) for row in rows])


@load_router.get("/{load_id}")
async def get_load(session: Session, now: Now, caller: Caller, load_id: UUID) -> HeldLoadView:
    """Show a load, its units and who has each; the households' bags of a bulk load to its gate alone."""
    load, sees_bags = await _get_load(session, caller, load_id, now)
    units = (await loads_queries.find_units(session, [load_id])).get(load_id, [])
    held = await _holders(session, load_id)
    return HeldLoadView(
        **load.model_dump(exclude={"sequence", "household_id", "split_by"}),
        units=[
            _held(unit, held.get(unit.load_unit_id)) for unit in units if sees_bags or unit.portion_id is None
        ],
    )


@unit_router.get("/{load_unit_id}")
async def get_unit(session: Session, now: Now, caller: Caller, load_unit_id: UUID) -> HeldUnitView:
    """Show a load unit and who has it."""
    unit = await loads_queries.find_unit(session, load_unit_id)
    if unit is None:
        raise _missing()
    _, sees_bags = await _get_load(session, caller, unit.load_id, now)
    if not sees_bags and unit.portion_id is not None:
        raise _missing()
    return _held(unit, (await _holders(session, unit.load_id)).get(load_unit_id))


@breach_router.get("")
async def list_breaches(
    session: Session,
    caller: Caller,
    paging: PagingAsked,
    is_open: Annotated[bool, Query(description="Only those that nobody has closed")] = False,  # noqa: FBT002 - a query parameter
) -> Page[BreachView]:
    """List the breaches of the caller's zones."""
    access.require_somewhere(caller, Action.CLOSE_BREACH)
    zone_ids = None
    if Role.HEALTH_OFFICER not in caller.roles:
        zone_ids = await places_queries.find_zones_within(session, caller.zone_ids)
    rows = await queries.list_breaches(
        session, zone_ids, only_open=is_open, limit=paging.limit, after=paging.after
    )
    return paging.page(rows, BreachView.of, row_id=lambda row: row.breach_id)


@breach_router.post("/{breach_id}/closure", response_model=ClosedView)
async def close_breach(  # noqa: PLR0913 - a request that has its effect once
    *, breach_id: UUID, body: CloseBreach, session: Session, now: Now, caller: Caller, once: OnceOnly
) -> Response:
    """Close a breach, with the reason."""
    breach = await queries.lock_breach(session, breach_id)
    if breach is None:
        raise _missing()
    zones = await places_queries.find_zones(session, [breach.zone_id])
    path = (breach.zone_id, *(zones[breach.zone_id].path if breach.zone_id in zones else ()))
    access.require(caller, Action.CLOSE_BREACH, Resource(path=path), hidden=True)
    await application.close_breach(session, breach, now, closed_by=caller.subject, reason=body.reason)
    return await once.accept(ClosedView(breach_id=breach_id, closed_at=now), status=200)


async def _get_load(
    session: AsyncSession, caller: Caller, load_id: UUID, now: datetime
) -> tuple[LoadRow, bool]:
    """Return a load that the caller may know of, and whether also who gets what of it."""
    load = await loads_queries.find_load(session, load_id)
    if load is None:
        raise _missing()
    tie = await reading.find_tie(session, caller, [load_id], now)
    zones = await places_queries.find_zones(session, [load.zone_id])
    path = zones[load.zone_id].path if load.zone_id in zones else ()
    if not tie.may_read(load, path, now):
        raise _missing()
    return load, load.form == Form.BAGGED or tie.may_split(load, path, now)


async def _holders(session: AsyncSession, load_id: UUID) -> dict[UUID, UUID | None]:
    contents = (await queries.find_contents(session, [load_id]))[load_id]
    hand_overs = (await queries.find_of_loads(session, [load_id])).get(load_id, [])
    return domain.holders_of(stand_ins.as_came(contents, hand_overs), hand_overs)


def _held(unit: LoadUnitRow, holder_id: UUID | None) -> HeldUnitView:
    return HeldUnitView(**LoadUnitView.of(unit).model_dump(), holder_id=holder_id)


def _missing() -> NotFound:
    return NotFound("kit.not_found", "Nothing is found here")
