"""Offers over HTTP; only the outlet itself lists, all who keep the ledger may look."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.prices.domain import Deal
from services.catalog.stock.offers import application, queries
from services.catalog.stock.offers.application import Listed
from services.catalog.stock.offers.domain import Listing, Outcome
from services.contracts import access
from services.contracts.access import Action, Resource
from services.kit.caller import Caller as CallerClaims
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.problems import FaultView
from services.kit.http.sheets import Column, Entry, Form, LineView, Sheet, day, number
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

router = make_router("/outlets/{outlet_id}/offers")
deals: APIRouter = make_router("/outlets/{outlet_id}/deals")

Fen = Annotated[int, Field(ge=0, le=1_000_000_000)]
Cost = Annotated[int, Field(ge=1, le=1_000_000_000)]
Plu = Annotated[str, Field(min_length=1, max_length=40)]


class DealBody(BaseModel):
    """A real sale of the item; prices of one sale unit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sold_on: date
    sale_fen: Fen
    purchase_fen: Cost


class ListingBody(BaseModel):
    """An item of the outlet for a product; the purchase excludes transport, storage and selling cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plu: Plu
    product_id: UUID
    name: Annotated[str, Field(min_length=1, max_length=120)]
    grams: Annotated[int, Field(ge=1, le=1_000_000)]
    purchase_fen: Cost
    price_fen: Fen
    deals: Annotated[list[DealBody], Field(max_length=60)] = []


class ListGoods(BaseModel):
    """Goods to be listed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    offers: Annotated[list[ListingBody], Field(min_length=1, max_length=500)]


GOODS = Form(
    item=ListingBody,
    columns=(
        Column("plu", "the shop's own number of the item, by which it is found again"),
        Column("product_id", "the product's id (UUID)"),
        Column("name", "what the item is called in the shop"),
        Column("grams", "mass of one sale unit in grams", read=number),
        Column("purchase_fen", "what one sale unit cost the shop, in fen (12.50 yuan is 1250)", read=number),
        Column("price_fen", "what one sale unit is sold for, in fen", read=number),
    ),
    lists={
        "deals": tuple(
            Entry(
                columns=(
                    Column(
                        f"deal_{n}_sold_on", f"day of a real sale ({n}), as 2022-03-01", ("sold_on",), day
                    ),
                    Column(f"deal_{n}_sale_fen", "its price, in fen", ("sale_fen",), number),
                    Column(f"deal_{n}_purchase_fen", "what it had cost, in fen", ("purchase_fen",), number),
                )
            )
            for n in (1, 2, 3)
        )
    },
    example="plu,product_id,name,grams,purchase_fen,price_fen\n"
    "1001,0192f3a1-6f2e-7c41-9d1b-3f0a5c7e1b2d,大白菜,500,100,120\n",
)
GoodsSheet = Annotated[Sheet[ListingBody], Depends(GOODS.receive)]


class ListedView(BaseModel):
    """What became of one listing; a blocked offer stands but is neither shown nor sold."""

    plu: str
    offer_id: UUID | None
    outcome: Outcome
    is_blocked: bool | None
    # Deals that would be the binding rule's reference, but were stated only after it bound.
    unused_deals: int
    errors: list[FaultView]


class ListedGoodsView(BaseModel):
    """What became of each listing, in the order asked."""

    items: list[ListedView]


class ListedLineView(LineView):
    """What became of one line; a blocked offer stands but is neither shown nor sold."""

    plu: str | None = None
    offer_id: UUID | None = None
    outcome: Outcome = Outcome.REFUSED
    is_blocked: bool | None = None
    unused_deals: int = 0
    errors: list[FaultView]


class ListedSheetView(BaseModel):
    """What became of each line, in the order of the file."""

    items: list[ListedLineView]


class VouchedDealBody(DealBody):
    """A real sale of the outlet's item."""

    plu: Plu


class VouchForDeals(BaseModel):
    """Deals for which the regulator vouches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deals: Annotated[list[VouchedDealBody], Field(min_length=1, max_length=500)]


class VouchedDealView(BaseModel):
    """What became of one deal."""

    plu: str
    offer_id: UUID | None
    outcome: Literal["recorded", "refused"]
    errors: list[FaultView]


class VouchedView(BaseModel):
    """What became of each deal, in the order asked."""

    items: list[VouchedDealView]


class OfferView(BaseModel):
    """An offer and its shelf, in sale units."""

    offer_id: UUID
    plu: str
    product_id: UUID
    name: str
    grams: int
    purchase_fen: int
    price_fen: int
    cap_fen: int | None
    is_blocked: bool
    on_hand: int
    reserved: int
    available: int
    counted_at: datetime | None


@router.post("", response_model=ListedGoodsView, status_code=200)
async def list_goods(  # noqa: PLR0913 - what the framework gives
    outlet_id: UUID, body: ListGoods, *, caller: Caller, session: Session, now: Now, once: OnceOnly
) -> Response:
    """List goods under the price caps; one above its cap is refused alone, with the rule and the cap."""
    items = await _list(session, outlet_id, body.offers, caller, now)
    return await once.accept(ListedGoodsView(items=items), status=200, is_report=True)


@router.post(".csv", response_model=ListedSheetView, status_code=200, openapi_extra=GOODS.as_body())
async def list_goods_sheet(  # noqa: PLR0913 - what the framework gives
    outlet_id: UUID, *, caller: Caller, sheet: GoodsSheet, session: Session, now: Now, once: OnceOnly
) -> Response:
    """List goods as a spreadsheet has them; an unreadable line leaves the others alone."""
    items = await _list(session, outlet_id, sheet.items, caller, now)
    view = ListedSheetView(items=sheet.answer(ListedLineView, items))
    return await once.accept(view, status=200, is_report=True)


@router.get("")
async def list_offers(
    outlet_id: UUID, caller: Caller, session: Session, paging: PagingAsked
) -> Page[OfferView]:
    """List an outlet's offers with their shelves, oldest first."""
    access.require(caller, Action.READ_LEDGER, Resource(outlet_id=outlet_id))
    rows = await queries.list_offers(session, outlet_id, after=paging.after, limit=paging.limit + 1)
    return paging.page(rows, _view, row_id=lambda row: row["offer_id"])


@deals.post("", response_model=VouchedView, status_code=200)
async def vouch_for_deals(  # noqa: PLR0913 - what the framework gives
    outlet_id: UUID, body: VouchForDeals, *, caller: Caller, session: Session, now: Now, once: OnceOnly
) -> Response:
    """Enter deals that the regulator has seen the receipts of: a reference whenever a rule was confirmed."""
    access.require(caller, Action.SET_PRICE_RULE)
    seen = [(one.plu, Deal(one.sold_on, one.sale_fen, one.purchase_fen)) for one in body.deals]
    found = await application.vouch_for_deals(session, outlet_id, seen, by=caller.subject, now=now)
    items = [_vouched(place, *one) for place, one in enumerate(zip(body.deals, found, strict=True))]
    return await once.accept(VouchedView(items=items), status=200)


async def _list(
    session: AsyncSession, outlet_id: UUID, goods: Sequence[ListingBody], caller: CallerClaims, now: datetime
) -> list[ListedView]:
    access.require(caller, Action.SELL, Resource(outlet_id=outlet_id))
    listed = await application.list_goods(session, outlet_id, [_read(one) for one in goods], now)
    return [_item(place, one) for place, one in enumerate(listed)]


def _vouched(place: int, deal: VouchedDealBody, offer_id: UUID | None) -> VouchedDealView:
    if offer_id is None:
        fault = FaultView(pointer=f"/deals/{place}/plu", code="catalog.offer_unknown", params={})
        return VouchedDealView(plu=deal.plu, offer_id=None, outcome="refused", errors=[fault])
    return VouchedDealView(plu=deal.plu, offer_id=offer_id, outcome="recorded", errors=[])


def _read(body: ListingBody) -> Listing:
    deals = tuple(Deal(deal.sold_on, deal.sale_fen, deal.purchase_fen) for deal in body.deals)
    return Listing(**body.model_dump(exclude={"deals"}), deals=deals)


def _item(place: int, listed: Listed) -> ListedView:
    errors = []
    if listed.code:
        field = {
            "catalog.price_above_cap": "price_fen",
            "catalog.product_unknown": "product_id",
        }.get(listed.code, "plu")
        errors.append(FaultView(pointer=f"/offers/{place}/{field}", code=listed.code, params=_facts(listed)))
    return ListedView(
        plu=listed.plu,
        offer_id=listed.offer.offer_id if listed.offer else None,
        outcome=listed.outcome,
        is_blocked=listed.offer.is_blocked if listed.offer else None,
        unused_deals=listed.unused_deals,
        errors=errors,
    )


def _facts(listed: Listed) -> dict[str, Any]:
    cap = listed.refusal.decision.cap if listed.refusal else None
    if listed.refusal is None or cap is None:
        return {}
    return {
        "price_fen": listed.refusal.decision.price_fen,
        "cap_fen": cap.cap_fen,
        "rule_id": cap.rule.rule_id,
        "rule_version": cap.rule.version,
        "legal_ref": cap.rule.legal_ref,
    }


def _view(row: RowMapping) -> OfferView:
    shown = {name: row[name] for name in OfferView.model_fields if name != "available"}
    return OfferView(**shown, available=max(0, row["on_hand"] - row["reserved"]))
