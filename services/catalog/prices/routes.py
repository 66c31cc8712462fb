"""Price rules and refusals over HTTP."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.catalog.prices import application, queries
from services.catalog.prices.tables import PriceDecisionRow, PriceRuleRow
from services.contracts import access
from services.contracts.access import Action, Resource
from services.contracts.values import OutletKind
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

router = make_router("/price-rules")
refusals: APIRouter = make_router("/price-refusals")

Reference = Annotated[str, Field(min_length=1, max_length=200)]
# Ten million yuan: far above any price, far below what a column holds.
Fen = Annotated[int, Field(ge=0, le=1_000_000_000)]


class ScopeBody(BaseModel):
    """What a rule is about; a part that is not stated leaves it wider."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone_id: UUID | None = None
    category: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    product_id: UUID | None = None
    outlet_kind: OutletKind | None = None


class ProposeRule(BaseModel):
    """What every rule states; with `rule_id` it is that rule's next version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule_id: UUID | None = None
    scope: ScopeBody = ScopeBody()
    legal_ref: Reference
    authority: Reference | None = None
    valid_from: date
    valid_to: date | None = None

    @model_validator(mode="after")
    def ends_after_it_begins(self) -> Self:
        """Refuse a rule that is never valid."""
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError("valid_to lies before valid_from")
        return self


class ProposeCeiling(ProposeRule):
    """A ceiling price per kilogram."""

    kind: Literal["ceiling"]
    ceiling_fen_per_kg: Fen


class ProposeMarginRate(ProposeRule):
    """The margin rate of the last deal on or before a date; without one, the default."""

    kind: Literal["margin_rate"]
    reference_date: date
    default_rate: Annotated[Decimal, Field(ge=0, le=1000, decimal_places=4, max_digits=8)]


class RuleView(BaseModel):
    """A rule's newest version."""

    rule_id: UUID
    version: int
    kind: Literal["ceiling", "margin_rate"]
    status: Literal["proposed", "confirmed"]
    scope: ScopeBody
    legal_ref: str
    authority: str | None
    valid_from: date
    valid_to: date | None
    ceiling_fen_per_kg: int | None
    reference_date: date | None
    default_rate: Decimal | None
    proposed_at: datetime
    confirmed_at: datetime | None


class RefusalView(BaseModel):
    """A price that was refused or blocked, with the rule, its cap and what it was computed from."""

    decision_id: UUID
    outlet_id: UUID
    plu: str
    product_id: UUID
    occasion: Literal["listing", "rejudging"]
    price_fen: int
    cap_fen: int | None
    rule_id: UUID | None
    rule_version: int | None
    legal_ref: str | None
    inputs: dict[str, Any]
    decided_for: date
    decided_at: datetime


@router.post("", response_model=RuleView, status_code=201)
async def propose_rule(
    body: Annotated[ProposeCeiling | ProposeMarginRate, Body(discriminator="kind")],
    caller: Caller,
    session: Session,
    now: Now,
    once: OnceOnly,
) -> Response:
    """Propose a rule, or a rule's next version; it binds once another regulator has confirmed it."""
    access.require(caller, Action.SET_PRICE_RULE)
    stated = body.model_dump(exclude={"rule_id", "scope"})
    empty = dict.fromkeys(("ceiling_fen_per_kg", "reference_date", "default_rate"))
    content = {**empty, **body.scope.model_dump(), **stated}
    row = await application.propose_rule(
        session, content, rule_id=body.rule_id, proposed_by=caller.subject, now=now
    )
    return await once.accept(_view(row), location=f"/v1/price-rules/{row.rule_id}")


@router.post("/{rule_id}/confirmation", response_model=RuleView, status_code=200)
async def confirm_rule(rule_id: UUID, caller: Caller, session: Session, now: Now, once: OnceOnly) -> Response:
    """Confirm what another regulator proposed; from now on every price in its scope is judged by it."""
    access.require(caller, Action.SET_PRICE_RULE)
    row = await application.confirm_rule(session, rule_id, confirmed_by=caller.subject, now=now)
    return await once.accept(_view(row), status=200)


@router.get("")
async def list_rules(caller: Caller, session: Session, paging: PagingAsked) -> Page[RuleView]:
    """List the newest version of each rule: what binds the shops is public to all who call."""
    access.require(caller, Action.READ_MENU)
    rows = await queries.list_rules(session, after=paging.after, limit=paging.limit + 1)
    return paging.page(rows, _view, row_id=lambda row: row.rule_id)


@refusals.get("")
async def list_refusals(caller: Caller, session: Session, paging: PagingAsked) -> Page[RefusalView]:
    """List prices above their cap, oldest first; an outlet sees its own."""
    access.require(caller, Action.READ_LEDGER, Resource(outlet_id=caller.outlet_id))
    sees_all = access.may(caller, Action.READ_LEDGER)
    rows = await queries.list_refusals(
        session,
        after=paging.after,
        limit=paging.limit + 1,
        outlet_id=None if sees_all else caller.outlet_id,
    )
    return paging.page(rows, _refusal_view, row_id=lambda row: row.decision_id)


def _view(row: PriceRuleRow) -> RuleView:
    scope = ScopeBody.model_validate({name: getattr(row, name) for name in ScopeBody.model_fields})
    shown = {name: getattr(row, name) for name in RuleView.model_fields if name != "scope"}
    return RuleView(scope=scope, **shown)


def _refusal_view(row: PriceDecisionRow) -> RefusalView:
    return RefusalView(**{name: getattr(row, name) for name in RefusalView.model_fields})
