"""Stock changes over HTTP, as a shop's till sends them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from fastapi import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from services.catalog.stock.counts import application, domain
from services.catalog.stock.counts.domain import Applied, Change, Kind, Outcome
from services.contracts import access
from services.contracts.access import Action, Resource
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.problems import FaultView
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

router = make_router("/outlets/{outlet_id}/stock-changes")

# Beyond these a clock does not go wrong, it is not set; near the calendar's ends no time zone can be applied.
EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)

Units = Annotated[int, Field(ge=-domain.LARGEST, le=domain.LARGEST)]


class ChangeBody(BaseModel):
    """A count (absolute) or an adjustment (what came or went, with its reason)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plu: Annotated[str, Field(min_length=1, max_length=40)]
    kind: Kind
    quantity: Units
    observed_at: Annotated[AwareDatetime, Field(ge=EARLIEST, lt=LATEST)]
    reason: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    reference: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    expected: Annotated[int, Field(ge=0, le=domain.LARGEST)] | None = None

    @model_validator(mode="after")
    def means_something(self) -> Self:
        """Refuse a negative count, and an adjustment that gives no reason."""
        if self.kind is Kind.COUNT and self.quantity < 0:
            raise ValueError("a count is not negative")
        if self.kind is Kind.ADJUSTMENT and self.reason is None:
            raise ValueError("an adjustment has a reason")
        return self


class ChangeStock(BaseModel):
    """Changes in the order they are to be applied; an item that is not named is not changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    changes: Annotated[list[ChangeBody], Field(min_length=1, max_length=500)]
    dry_run: bool = False


class ChangedView(BaseModel):
    """What became of one change and what is on the shelf after it; short: less than is promised."""

    plu: str
    outcome: Outcome
    on_hand: int | None
    reserved: int | None
    short: bool
    errors: list[FaultView]


class ChangedStockView(BaseModel):
    """What became of each change, in the order asked."""

    items: list[ChangedView]
    dry_run: bool


@router.post("", response_model=ChangedStockView, status_code=200)
async def change_stock(  # noqa: PLR0913 - what the framework gives
    outlet_id: UUID, body: ChangeStock, *, caller: Caller, session: Session, now: Now, once: OnceOnly
) -> Response:
    """Take counts and adjustments, late and repeated as they come; each has its own outcome."""
    access.require(caller, Action.SELL, Resource(outlet_id=outlet_id))
    changes = [Change(**change.model_dump()) for change in body.changes]
    applied = await application.change_stock(session, outlet_id, changes, is_dry_run=body.dry_run, now=now)
    items = [
        _item(place, change, one) for place, (change, one) in enumerate(zip(changes, applied, strict=True))
    ]
    view = ChangedStockView(items=items, dry_run=body.dry_run)
    return await once.accept(view, status=200, is_report=True)


def _item(place: int, change: Change, applied: Applied) -> ChangedView:
    errors = []
    if applied.code:
        field = {
            "catalog.offer_unknown": "plu",
            "catalog.observed_in_future": "observed_at",
            "catalog.stock_changed": "expected",
        }.get(applied.code, "quantity")
        pointer = f"/changes/{place}/{field}"
        errors.append(FaultView(pointer=pointer, code=applied.code, params=_facts(change, applied)))
    return ChangedView(
        plu=applied.plu,
        outcome=applied.outcome,
        on_hand=applied.on_hand,
        reserved=applied.reserved,
        short=applied.is_short,
        errors=errors,
    )


def _facts(change: Change, applied: Applied) -> dict[str, Any]:
    match applied.code:
        case "catalog.stock_changed":
            return {"expected": change.expected, "on_hand": applied.on_hand}
        case "catalog.stock_below_zero" | "catalog.stock_too_large":
            return {"asked": change.quantity, "on_hand": applied.on_hand}
        case _:
            return {}
