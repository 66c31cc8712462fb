"""The ledger over HTTP."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.market import market_day
from services.catalog.outlets import application, queries
from services.catalog.outlets.application import Imported, Outcome
from services.catalog.outlets.domain import LicenceKind, Risk
from services.catalog.outlets.items import LEDGER, Body, GivenOutlet, LedgerSheet, Title, Word
from services.catalog.outlets.queries import Outlet
from services.contracts import access
from services.contracts.access import Action, Resource
from services.contracts.values import OutletKind, Point
from services.kit.caller import Caller as CallerClaims
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.moments import Moment
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.problems import FaultView
from services.kit.http.sheets import LineView
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

router = make_router("/outlets")


class ImportOutlets(Body):
    """A batch of the ledger; each item is answered by itself."""

    outlets: Annotated[list[GivenOutlet], Field(min_length=1, max_length=500)]


class SignPledge(Body):
    """The pledge to supply and to hold prices: which text, signed by whom."""

    text_version: Word
    signed_by: Title


class Qualify(Body):
    """Qualify the outlet; there is nothing to choose."""


class ImportedView(BaseModel):
    """One item's answer."""

    external_id: str
    outlet_id: UUID | None
    outcome: Outcome
    errors: list[FaultView]

    @classmethod
    def of(cls, item: Imported) -> "ImportedView":
        """Show an answer."""
        return cls(
            external_id=item.external_id,
            outlet_id=item.outlet_id,
            outcome=item.outcome,
            errors=[FaultView.of(fault) for fault in item.faults],
        )


class ImportedListView(BaseModel):
    """The answers, in the order given."""

    items: list[ImportedView]


class ImportedLineView(LineView):
    """One line's answer."""

    external_id: str | None = None
    outlet_id: UUID | None = None
    outcome: Outcome = Outcome.REFUSED
    errors: list[FaultView]


class ImportedSheetView(BaseModel):
    """The answers, in the order of the file."""

    items: list[ImportedLineView]


class LicenceView(BaseModel):
    """A licence as the ledger has it."""

    kind: LicenceKind
    number: str
    valid_to: date | None


class OutletView(BaseModel):
    """An outlet as the ledger has it; `is_qualified` is today's answer."""

    outlet_id: UUID
    external_id: str
    name: str
    kind: OutletKind
    position: Point
    scale_m2: int
    capacity_orders: int
    reserve_person_days: int
    licences: list[LicenceView]
    risk: Risk
    has_pledge: bool
    is_qualified: bool
    qualified_until: date | None
    updated_at: AwareDatetime

    @classmethod
    def of(cls, outlet: Outlet, *, today: date) -> "OutletView":
        """Show an outlet as it stands today."""
        facts = outlet.facts
        plain: dict[str, Any] = {name: getattr(facts, name) for name in facts.__dataclass_fields__}
        plain["licences"] = [
            LicenceView(kind=licence.kind, number=licence.number, valid_to=licence.valid_to)
            for licence in facts.licences
        ]
        return cls(
            **plain,
            outlet_id=outlet.outlet_id,
            has_pledge=outlet.has_pledge,
            is_qualified=application.is_qualified(outlet, today=today),
            qualified_until=outlet.qualification.until if outlet.qualification else None,
            updated_at=outlet.updated_at,
        )


class PledgeView(BaseModel):
    """A pledge that was signed."""

    outlet_id: UUID
    text_version: str
    signed_at: AwareDatetime


class QualificationView(BaseModel):
    """A qualification and its last day."""

    outlet_id: UUID
    qualified_at: AwareDatetime
    qualified_until: date


@router.post("")
async def import_outlets(body: ImportOutlets, caller: Caller, session: Session, now: Now) -> ImportedListView:
    """Write a batch of the caller's ledger; an item sent again under its external id changes nothing."""
    return ImportedListView(items=await _import(session, body.outlets, caller, now))


@router.post(".csv", response_model=ImportedSheetView, status_code=200, openapi_extra=LEDGER.as_body())
async def import_outlets_sheet(
    caller: Caller, sheet: LedgerSheet, session: Session, now: Now, once: OnceOnly
) -> Response:
    """Write the caller's ledger as a spreadsheet has it; an unreadable line leaves the others alone."""
    items = await _import(session, sheet.items, caller, now)
    view = ImportedSheetView(items=sheet.answer(ImportedLineView, items))
    return await once.accept(view, status=200)


@router.get("")
async def list_outlets(  # noqa: PLR0913 - what FastAPI is to give, and two filters
    *,
    caller: Caller,
    session: Session,
    now: Now,
    paging: PagingAsked,
    kind: OutletKind | None = None,
    updated_since: Moment | None = None,
) -> Page[OutletView]:
    """Return a page of the ledger."""
    access.require(caller, Action.READ_LEDGER)
    rows = await queries.list_outlets(
        session, after=paging.after, limit=paging.limit, kind=kind, updated_since=updated_since
    )
    today = market_day(now)
    return paging.page(rows, lambda row: OutletView.of(row, today=today), row_id=lambda row: row.outlet_id)


@router.get("/{outlet_id}")
async def get_outlet(outlet_id: UUID, caller: Caller, session: Session, now: Now) -> OutletView:
    """Return an outlet of the ledger."""
    access.require(caller, Action.READ_LEDGER, Resource(outlet_id=outlet_id))
    outlet = await application.get_outlet(session, outlet_id)
    return OutletView.of(outlet, today=market_day(now))


@router.post("/{outlet_id}/pledge")
async def sign_pledge(
    outlet_id: UUID, body: SignPledge, caller: Caller, session: Session, now: Now
) -> PledgeView:
    """Keep the outlet's signed pledge; the first signature under a text stays."""
    access.require(caller, Action.SIGN_PLEDGE, Resource(outlet_id=outlet_id))
    signed_at = await application.sign_pledge(
        session,
        outlet_id,
        text_version=body.text_version,
        signed_by=body.signed_by,
        recorded_by=caller.subject,
        now=now,
    )
    return PledgeView(outlet_id=outlet_id, text_version=body.text_version, signed_at=signed_at)


@router.post("/{outlet_id}/qualification")
async def qualify_outlet(
    outlet_id: UUID, _body: Qualify, caller: Caller, session: Session, now: Now
) -> QualificationView:
    """Qualify the outlet, or name every requirement that it does not meet."""
    access.require(caller, Action.QUALIFY_OUTLET)
    found = await application.qualify(session, outlet_id, by=caller.subject, now=now)
    return QualificationView(outlet_id=outlet_id, qualified_at=found.at, qualified_until=found.until)


async def _import(
    session: AsyncSession, outlets: Sequence[GivenOutlet], caller: CallerClaims, now: datetime
) -> list[ImportedView]:
    access.require(caller, Action.KEEP_LEDGER)
    wanted = [outlet.facts() for outlet in outlets]
    items = await application.import_outlets(session, wanted, client=caller.subject, now=now)
    return [ImportedView.of(item) for item in items]
