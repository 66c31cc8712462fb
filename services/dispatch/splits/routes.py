"""Splits over HTTP: what a steward shares out by, and how a load was shared out."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import access
from services.contracts.access import Action
from services.contracts.values import Point
from services.dispatch.bodies import LARGEST_BATCH, Body, Moment
from services.dispatch.loads.marks import Marks
from services.dispatch.relay.domain import ProofKind
from services.dispatch.splits import application, queries
from services.dispatch.splits.domain import Loss, LossReason, ToldPortion, ToldSplit
from services.dispatch.splits.views import ManifestView, RecordedSplitView, SplitView
from services.kit.errors import NotFound
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

router = make_router("/loads")

Grams = Annotated[int, Field(gt=0, le=1_000_000_000)]
Units = Annotated[int, Field(ge=0, le=1_000_000)]


class LossBody(Body):
    """So many grams of an offer that are in no portion."""

    offer_id: UUID
    reason: LossReason
    grams: Grams


class LineBody(Body):
    """So many sale units of an offer."""

    offer_id: UUID
    quantity: Units


class PortionBody(Body):
    """What was put together for a household."""

    portion_id: UUID
    lines: Annotated[list[LineBody], Field(max_length=LARGEST_BATCH)]


class ScanBody(Body):
    """The scanned label of any crate, sack or tote of the load: whoever splits it has it in hand."""

    kind: Literal[ProofKind.QR]
    value: Annotated[str, Field(max_length=200)]


class SplitLoad(Body):
    """A split as a device noted it, under an id of its own; without portions, the goods are shared here."""

    split_id: UUID
    steward_id: UUID
    occurred_at: Moment
    proof: ScanBody
    place: Point | None = None
    losses: Annotated[tuple[LossBody, ...], Field(max_length=LARGEST_BATCH)] = ()
    portions: Annotated[list[PortionBody] | None, Field(min_length=1, max_length=LARGEST_BATCH)] = None

    def to_told(self, load_id: UUID) -> ToldSplit:
        """Return what the application takes."""
        portions = self.portions and tuple(
            ToldPortion(each.portion_id, tuple((line.offer_id, line.quantity) for line in each.lines))
            for each in self.portions
        )
        return ToldSplit(
            split_id=self.split_id,
            load_id=load_id,
            steward_id=self.steward_id,
            occurred_at=self.occurred_at,
            scanned=self.proof.value,
            place=self.place,
            losses=tuple(Loss(each.offer_id, each.reason, each.grams) for each in self.losses),
            portions=portions or None,
        )


@router.get("/{load_id}/manifest")
async def get_manifest(session: Session, now: Now, caller: Caller, load_id: UUID) -> ManifestView:
    """Say what of a bulk load is for whom, and goes into which bag, to those who split it."""
    load = await application.get_load(session, caller, load_id, now)
    portions = await queries.find_portions(session, load_id, load.outlet_id)
    return ManifestView.of(load, portions, await queries.find_bags(session, load_id))


@router.post("/{load_id}/split", response_model=RecordedSplitView)
async def split_load(  # noqa: PLR0913 - a request that has its effect once
    *,
    load_id: UUID,
    body: SplitLoad,
    session: Session,
    now: Now,
    caller: Caller,
    request: Request,
    once: OnceOnly,
) -> Response:
    """Record how a bulk load was shared out at its gate, or share it out: late, or again, as it may come."""
    access.require_somewhere(caller, Action.HAND_OVER)
    marks: Marks = request.app.state.marks
    is_new = await application.split(session, caller, body.to_told(load_id), marks, now)
    load = await queries.find_load(session, load_id)
    outcome = "recorded" if is_new else "repeated"
    return await once.accept(await _show(RecordedSplitView, session, load, outcome=outcome), status=200)


@router.get("/{load_id}/split")
async def get_split(session: Session, now: Now, caller: Caller, load_id: UUID) -> SplitView:
    """Show how a bulk load was shared out."""
    load = await application.get_load(session, caller, load_id, now)
    return await _show(SplitView, session, load)


async def _show(kind: type[SplitView], session: AsyncSession, load: Any, **more: Any) -> SplitView:
    found = await queries.find_splits(session, load_id=load.load_id)
    if not found:
        raise NotFound("kit.not_found", "Nothing is found here")
    return kind.of(
        found[0],
        losses=await queries.find_losses(session, found[0].split_id),
        portions=await queries.find_portions(session, load.load_id, load.outlet_id),
        bags=await queries.find_bags(session, load.load_id),
        breach_id=await queries.find_breach(session, found[0].split_id),
        **more,
    )
