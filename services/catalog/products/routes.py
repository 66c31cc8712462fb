"""Products over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from services.catalog.products import application, queries
from services.catalog.products.domain import IdentityRefused, Imported, Outcome, WantedProduct
from services.catalog.products.tables import ProductRow
from services.contracts import access
from services.contracts.access import Action
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.problems import FaultView
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

router = make_router("/products")

Word = Annotated[str, Field(min_length=1, max_length=120)]


class ProductBody(BaseModel):
    """A product by its GTIN, or by variety, grade and unit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    external_id: Annotated[str, Field(min_length=1, max_length=100)]
    name: Word
    gtin: Annotated[str, Field(min_length=1, max_length=14)] | None = None
    variety: Word | None = None
    grade: Word | None = None
    unit_name: Annotated[str, Field(min_length=1, max_length=40)]
    category: Annotated[str, Field(min_length=1, max_length=60)]


class ImportProducts(BaseModel):
    """Products to be kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    products: Annotated[list[ProductBody], Field(min_length=1, max_length=500)]


class ImportedView(BaseModel):
    """What became of one product."""

    external_id: str
    product_id: UUID | None
    outcome: Outcome
    errors: list[FaultView]


class ImportView(BaseModel):
    """What became of each product, in the order asked."""

    items: list[ImportedView]


class ProductView(BaseModel):
    """A product."""

    product_id: UUID
    external_id: str
    name: str
    gtin: str | None
    variety: str | None
    grade: str | None
    unit_name: str
    category: str


@router.post("", response_model=ImportView, status_code=200)
async def import_products(
    body: ImportProducts, caller: Caller, session: Session, now: Now, once: OnceOnly
) -> Response:
    """Create or change products by their external ids; each item has its own outcome."""
    access.require(caller, Action.KEEP_PRODUCTS)
    wanted = [WantedProduct(**product.model_dump()) for product in body.products]
    outcomes = await application.import_products(session, wanted, client=caller.subject, now=now)
    view = ImportView(items=[_item(place, outcome) for place, outcome in enumerate(outcomes)])
    return await once.accept(view, status=200)


@router.get("")
async def list_products(
    caller: Caller,
    session: Session,
    paging: PagingAsked,
    category: Annotated[str | None, Query(min_length=1, max_length=60)] = None,
) -> Page[ProductView]:
    """List products, oldest first."""
    access.require(caller, Action.READ_MENU)
    rows = await queries.list_products(session, after=paging.after, limit=paging.limit + 1, category=category)
    return paging.page(rows, _view, row_id=lambda row: row.product_id)


def _item(place: int, outcome: Imported) -> ImportedView:
    errors = []
    if outcome.refusal:
        pointer = f"/products/{place}/{outcome.refusal.field}"
        errors.append(FaultView(pointer=pointer, code=outcome.refusal.code, params=_facts(outcome.refusal)))
    return ImportedView(
        external_id=outcome.external_id,
        product_id=outcome.product.product_id if outcome.product else None,
        outcome=outcome.outcome,
        errors=errors,
    )


def _facts(refusal: IdentityRefused) -> dict[str, Any]:
    return {"product_id": refusal.product_id} if refusal.product_id else {}


def _view(row: ProductRow) -> ProductView:
    return ProductView(**row.model_dump(exclude={"category_since", "client"}))
