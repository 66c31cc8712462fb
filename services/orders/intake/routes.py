"""Orders over HTTP: accepted together, read and taken back one by one."""

import re
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Header, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import access
from services.contracts.access import Action, Relation, Resource, Role
from services.kit import caller as callers
from services.kit import correlation, database
from services.kit.errors import Fault, NotFound, Rejected
from services.kit.http import timing
from services.kit.http.application import make_router
from services.kit.http.idempotency import Answer, Identified, Identity, OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.streams import EventStream, LastEventId, Streams, described
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session
from services.kit.http.watching import Watch
from services.kit.ids import new_id
from services.orders.intake import application, following, queries
from services.orders.intake.domain import Channel, NewOrder
from services.orders.intake.following import OrderSeen
from services.orders.intake.gathering import Asked, PlacedView
from services.orders.intake.wire import (
    AN_EVENT,
    CancelOrder,
    OrderEventView,
    OrderView,
    PlaceOrder,
    wanted_lines,
)

router = make_router("/orders")

LONGEST_WAIT = 2.0
# Left to whoever waited for reading the decided order: its acceptance must not be lost to the clock.
READING = 0.5
Prefer = Annotated[
    str | None, Header(description="`wait=2`: the decided order if it is decided in so many s")
]
MAY_BE_DECIDED: dict[int | str, dict[str, Any]] = {
    200: {"model": OrderView, "description": "Decided within the time waited"}
}
FOLLOWED = described(OrderEventView, event="order", position="3.1.0", example=AN_EVENT)


@router.post("", status_code=202, response_model=PlacedView, responses=MAY_BE_DECIDED)
async def place_order(
    body: PlaceOrder, request: Request, caller: Caller, identity: Identified, prefer: Prefer = None
) -> Response:
    """Accept an order; the stock for it is promised afterwards."""
    household_id, channel = await find_orderer(request, caller, body.household_id)
    order = NewOrder(
        order_id=new_id(),
        household_id=household_id,
        slot_id=body.slot_id,
        channel=channel,
        lines=wanted_lines(body.lines),
        correlation_id=correlation.current(),
        client=caller.subject,
        external_id=body.external_id,
    )
    answer = await submit(request, identity, order)
    return await answer_in_time(request, answer, prefer)


@router.get("")
async def list_orders(
    caller: Caller,
    session: Session,
    now: Now,
    paging: PagingAsked,
    household_id: Annotated[UUID | None, Query(description="The caller's own if left out")] = None,
) -> Page[OrderView]:
    """List a household's orders, oldest first."""
    access.require_somewhere(caller, Action.READ_ORDER)
    of = household_id or caller.household_id
    if of is None:
        raise household_missing("/query/household_id")
    await application.require_household(session, caller, Action.READ_ORDER, of, now)
    rows = await queries.list_orders(session, of, after=paging.after, limit=paging.limit)
    return paging.page(rows, OrderView.of, row_id=lambda row: row.order_id)


@router.get("/{order_id}")
async def read_order(order_id: UUID, caller: Caller, session: Session, now: Now) -> OrderView:
    """Read an order as it stands."""
    row = await queries.get_order(session, order_id)
    await application.require_household(
        session, caller, Action.READ_ORDER, row.household_id, now, zone_id=row.zone_id
    )
    return OrderView.of(row)


@router.get("/{order_id}/events", response_class=EventStream, responses=FOLLOWED)
async def follow_order(
    order_id: UUID, request: Request, caller: Caller, last_event_id: LastEventId = None
) -> Response:
    """Follow an order live: as it stands, then each change of its status, its lines and its portions."""

    async def admit(session: AsyncSession) -> OrderSeen:
        seen = (await following.look(session, {order_id: None})).get(order_id)
        if seen is None:
            raise NotFound("kit.not_found", "Nothing is found here")
        now = await database.now(session)
        await application.require_household(
            session, caller, Action.READ_ORDER, seen.row.household_id, now, zone_id=seen.row.zone_id
        )
        return seen

    streams: Streams[OrderSeen] = request.app.state.order_streams
    return await streams.open(request, order_id, admit, subject=caller.subject, last_event_id=last_event_id)


@router.post("/{order_id}/cancellation", response_model=PlacedView)
async def cancel_order(
    order_id: UUID,
    caller: Caller,
    session: Session,
    now: Now,
    once: OnceOnly,
    _body: CancelOrder | None = None,
) -> Response:
    """Take an order back before its cut-off."""
    row = await queries.get_order(session, order_id)
    await application.require_household(
        session, caller, Action.CANCEL_ORDER, row.household_id, now, zone_id=row.zone_id
    )
    order = await application.cancel_order(session, row.order_id, group_id=row.group_id, now=now)
    return await once.accept(PlacedView(order_id=order.order_id, status=order.status), status=200)


async def find_orderer(
    request: Request, caller: callers.Caller, household_id: UUID | None
) -> tuple[UUID, Channel]:
    """Return whose order it is and who brings it; raise where the caller may not order for them."""
    access.require_somewhere(caller, Action.PLACE_ORDER)
    of = household_id or caller.household_id
    if of is None:
        raise household_missing("/household_id")
    own = Resource(household_id=of)
    if access.may(caller, Action.PLACE_ORDER, own):
        # The hot path: a resident's claim says it all, no row is read for it.
        return of, Channel.RESIDENT
    if caller.roles.isdisjoint({Role.STEWARD, Role.HOTLINE}):
        access.require(caller, Action.PLACE_ORDER, own, hidden=True)
    async with request.app.state.sessions.begin() as session:
        now = await database.now(session)
        relation = await application.require_household(session, caller, Action.PLACE_ORDER, of, now)
    return of, Channel.STEWARD if relation is Relation.BUILDING_STEWARD else Channel.HOTLINE


async def submit(request: Request, identity: Identity, order: NewOrder) -> Answer:
    """Return the acceptance of an order once its batch has committed."""
    answer: Answer = await request.app.state.intake.submit(Asked(identity, order))
    return answer


async def answer_in_time(request: Request, answer: Answer, prefer: str | None) -> Response:
    """Return the decided order if the caller waits for it and it comes in time, else its acceptance."""
    asked = re.search(r"\bwait=(\d{1,3})\b", prefer or "")
    if asked is None:
        return answer.as_response()
    order_id = UUID(orjson.loads(answer.body)["order_id"])
    seconds = max(0.0, min(float(asked[1]), LONGEST_WAIT, timing.time_left(request) - READING))
    watch: Watch[OrderSeen] = request.app.state.order_watch
    seen = await following.wait_decided(watch, order_id, seconds=seconds)
    if seen is None:
        return answer.as_response()
    view = OrderView.of(seen.row)
    decided = Answer(
        status=200,
        body=view.model_dump_json().encode(),
        location=answer.location,
        is_replayed=answer.is_replayed,
    )
    response = decided.as_response()
    response.headers["preference-applied"] = f"wait={seconds:.0f}"
    return response


def household_missing(pointer: str) -> Rejected:
    """Return the refusal of a request of which nobody knows whose household it is about."""
    code = "orders.household_missing"
    return Rejected(code, "The household must be named", faults=[Fault(pointer, code)])
