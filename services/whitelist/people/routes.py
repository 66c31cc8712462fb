"""The staff list over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import access
from services.contracts.access import Action, Role
from services.kit.caller import Caller as CallerClaims
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.problems import FaultView
from services.kit.http.sheets import Column, Form, LineView, Sheet, several
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Session
from services.kit.vault import Master
from services.whitelist.people import application
from services.whitelist.people.application import Imported
from services.whitelist.people.domain import STAFF, Entry, Outcome, Personal, Purpose
from services.whitelist.people.tables import Person

router = make_router("/people")


def _read_master(request: Request) -> Master:
    master: Master = request.app.state.master
    return master


MasterKey = Annotated[Master, Depends(_read_master)]
Word = Annotated[str, Field(min_length=1, max_length=100)]


class PersonBody(BaseModel):
    """A person as the client's staff list has them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    external_id: Word
    role: Role
    name: Word
    phone: Annotated[str, Field(pattern=r"^\+?[0-9][0-9 -]{2,23}$")]
    id_number: Annotated[str, Field(min_length=1, max_length=40)] | None = None
    outlet_id: UUID | None = None
    home_area_id: UUID | None = None
    service_area_ids: Annotated[list[UUID], Field(max_length=100)] = []

    def as_entry(self) -> Entry:
        """Return what the rules are asked about."""
        return Entry(
            external_id=self.external_id,
            role=self.role,
            personal=Personal(name=self.name, phone=self.phone, id_number=self.id_number),
            outlet_id=self.outlet_id,
            home_area_id=self.home_area_id,
            service_area_ids=tuple(self.service_area_ids),
        )


class ImportPeople(BaseModel):
    """A batch of a staff list; each entry is answered by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    people: Annotated[list[PersonBody], Field(min_length=1, max_length=500)]


STAFF_LIST = Form(
    item=PersonBody,
    columns=(
        Column("external_id", "your own id of the person, by which they are found again"),
        Column("role", f"one of {', '.join(sorted(STAFF))}"),
        Column("name", "what the person is called"),
        Column("phone", "digits, spaces and hyphens, with + before a country's code"),
        Column("id_number", "number of the identity card; empty if none"),
        Column("outlet_id", "id (UUID) of the shop for which the person works; needed for role outlet"),
        Column("home_area_id", "id (UUID) of the area where the person lives"),
        Column(
            "service_area_ids", "ids (UUID) of the areas that they serve, with spaces between", read=several
        ),
    ),
    example="external_id,role,name,phone\nst-1,steward,王楼长,13800000000\n",
)
StaffSheet = Annotated[Sheet[PersonBody], Depends(STAFF_LIST.receive)]


class ImportedView(BaseModel):
    """What became of one entry."""

    index: int
    external_id: str
    person_id: UUID | None
    outcome: Outcome
    errors: list[FaultView] = []

    @classmethod
    def of(cls, index: int, imported: Imported) -> "ImportedView":
        """Show one outcome at its place in the request."""
        return cls(
            index=index,
            external_id=imported.external_id,
            person_id=imported.person_id,
            outcome=imported.outcome,
            errors=[FaultView.of(fault) for fault in imported.faults],
        )


class ImportedPeopleView(BaseModel):
    """What became of each entry, in the order sent."""

    items: list[ImportedView]


class ImportedLineView(LineView):
    """What became of one line."""

    external_id: str | None = None
    person_id: UUID | None = None
    outcome: Outcome = Outcome.REFUSED
    errors: list[FaultView]


class ImportedSheetView(BaseModel):
    """What became of each line, in the order of the file."""

    items: list[ImportedLineView]


class PersonalView(BaseModel):
    """What only those who keep the staff list read; each reading is written down."""

    name: str
    phone: str
    id_number: str | None


class PersonView(BaseModel):
    """A person of the staff."""

    person_id: UUID
    external_id: str
    role: Role
    outlet_id: UUID | None
    home_area_id: UUID | None
    service_area_ids: list[UUID]
    personal: PersonalView | None

    @classmethod
    def of(cls, person: Person, personal: Personal | None) -> "PersonView":
        """Show a person."""
        return cls(
            person_id=person.id,
            external_id=person.external_id,
            role=Role(person.role),
            outlet_id=person.outlet_id,
            home_area_id=person.home_area_id,
            service_area_ids=person.service_area_ids,
            personal=PersonalView.model_validate(personal, from_attributes=True) if personal else None,
        )


@router.post("")
async def import_people(
    body: ImportPeople, session: Session, caller: Caller, master: MasterKey
) -> ImportedPeopleView:
    """Create or change staff by the client's own ids; sent again, it changes nothing."""
    return ImportedPeopleView(items=await _import(session, body.people, caller, master))


@router.post(".csv", response_model=ImportedSheetView, status_code=200, openapi_extra=STAFF_LIST.as_body())
async def import_people_sheet(
    caller: Caller, sheet: StaffSheet, session: Session, master: MasterKey, once: OnceOnly
) -> Response:
    """Create or change staff as a spreadsheet has them; an unreadable line leaves the others alone."""
    items = await _import(session, sheet.items, caller, master)
    view = ImportedSheetView(items=sheet.answer(ImportedLineView, items))
    return await once.accept(view, status=200)


@router.get("")
async def list_people(
    session: Session,
    caller: Caller,
    master: MasterKey,
    paging: PagingAsked,
    role: Annotated[Role | None, Query()] = None,
) -> Page[PersonView]:
    """List staff; the personal fields are there for those who keep the list."""
    access.require(caller, Action.READ_CLEARANCE)
    people = await application.list_people(session, role=role, after=paging.after, limit=paging.limit + 1)
    shown = people[: paging.limit]
    opened = await _open(session, caller, master, shown, Purpose.STAFF_LIST)
    return paging.page(
        people, lambda person: PersonView.of(person, opened.get(person.id)), row_id=lambda person: person.id
    )


@router.get("/{person_id}")
async def get_person(person_id: UUID, session: Session, caller: Caller, master: MasterKey) -> PersonView:
    """Show one of the staff."""
    access.require(caller, Action.READ_CLEARANCE)
    person = await application.get_person(session, person_id)
    opened = await _open(session, caller, master, [person], Purpose.STAFF_ENTRY)
    return PersonView.of(person, opened.get(person.id))


async def _import(
    session: AsyncSession, people: Sequence[PersonBody], caller: CallerClaims, master: Master
) -> list[ImportedView]:
    access.require(caller, Action.KEEP_PEOPLE)
    entries = [person.as_entry() for person in people]
    imported = await application.import_people(session, entries, client=caller.subject, master=master)
    return [ImportedView.of(index, one) for index, one in enumerate(imported)]


async def _open(
    session: AsyncSession, caller: CallerClaims, master: Master, people: Sequence[Person], purpose: Purpose
) -> Mapping[UUID, Personal]:
    if not access.may(caller, Action.KEEP_PEOPLE):
        return {}
    return await application.read_personal(
        session, people, master=master, reader=caller.subject, purpose=purpose
    )
