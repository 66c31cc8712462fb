"""Groups over HTTP: opened and run by their leaders, filled by households."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response

from services.contracts import access
from services.contracts.access import Action, Relation, Resource
from services.kit import correlation
from services.kit.http.application import make_router
from services.kit.http.idempotency import Identified, OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session
from services.kit.ids import new_id
from services.orders.groups import application, queries
from services.orders.groups.application import NewGroup
from services.orders.groups.wire import GroupOpenedView, GroupView, MoveCutOff, OpenGroup, PlacePart
from services.orders.intake import routes as intake
from services.orders.intake.domain import NewOrder
from services.orders.intake.gathering import PlacedView
from services.orders.intake.wire import wanted_lines
from services.orders.register import queries as register

router = make_router("/group-orders")


@router.post("", status_code=201, response_model=GroupOpenedView)
async def open_group(body: OpenGroup, caller: Caller, session: Session, now: Now, once: OnceOnly) -> Response:
    """Open a group for a community that the leader's role reaches."""
    access.require_somewhere(caller, Action.OPEN_GROUP)
    path = await register.get_path(session, body.community_id)
    access.require(caller, Action.OPEN_GROUP, Resource(path=path))
    wanted = NewGroup(leader=caller.subject, **dict(body))
    group_id = await application.open_group(session, wanted, now)
    view = GroupOpenedView(group_id=group_id, cut_off_at=body.cut_off_at)
    return await once.accept(view, location=f"/v1/group-orders/{group_id}")


@router.get("")
async def list_groups(
    caller: Caller,
    session: Session,
    paging: PagingAsked,
    community_id: Annotated[UUID, Query(description="Of this community")],
) -> Page[GroupView]:
    """List a community's groups, oldest first."""
    access.require(caller, Action.READ_GROUP)
    rows = await queries.list_groups(session, community_id, after=paging.after, limit=paging.limit)
    ids = [row.group_id for row in rows]
    counts, tallies = await queries.count_parts(session, ids), await queries.tally_parts(session, ids)
    return paging.page(
        rows,
        lambda row: GroupView.of(
            row, households=counts.get(row.group_id, 0), tally=tallies.get(row.group_id, ())
        ),
        row_id=lambda row: row.group_id,
    )


@router.get("/{group_id}")
async def read_group(group_id: UUID, caller: Caller, session: Session) -> GroupView:
    """Read a group as it stands."""
    access.require(caller, Action.READ_GROUP)
    row = await queries.get_group(session, group_id)
    counts = await queries.count_parts(session, [group_id])
    tallies = await queries.tally_parts(session, [group_id])
    return GroupView.of(row, households=counts.get(group_id, 0), tally=tallies.get(group_id, ()))


@router.post("/{group_id}/cut-off", response_model=GroupOpenedView)
async def move_cut_off(  # noqa: PLR0913, PLR0917 - what a route is given
    group_id: UUID, body: MoveCutOff, caller: Caller, session: Session, now: Now, once: OnceOnly
) -> Response:
    """Move the group's cut-off; its leader alone may."""
    access.require_somewhere(caller, Action.RUN_GROUP)
    row = await queries.get_group(session, group_id)
    relation = Relation.GROUP_LEADER if row.leader == caller.subject else None
    access.require(caller, Action.RUN_GROUP, relation=relation)
    await application.move_cut_off(session, group_id, body.cut_off_at, now=now)
    return await once.accept(GroupOpenedView(group_id=group_id, cut_off_at=body.cut_off_at), status=200)


@router.post("/{group_id}/parts", status_code=202, response_model=PlacedView, responses=intake.MAY_BE_DECIDED)
async def place_part(  # noqa: PLR0913, PLR0917 - what a route is given
    group_id: UUID,
    body: PlacePart,
    request: Request,
    caller: Caller,
    identity: Identified,
    prefer: intake.Prefer = None,
) -> Response:
    """Accept a household's part: an order of its own, which is decided with the group."""
    household_id, channel = await intake.find_orderer(request, caller, body.household_id)
    part = NewOrder(
        order_id=new_id(),
        household_id=household_id,
        slot_id=None,
        channel=channel,
        lines=wanted_lines(body.lines),
        correlation_id=correlation.current(),
        client=caller.subject,
        group_id=group_id,
    )
    answer = await intake.submit(request, identity, part)
    return await intake.answer_in_time(request, answer, prefer)
