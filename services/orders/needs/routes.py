"""Needs over HTTP: check-ins at the doors, an incident's report, its end."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, Response

from services.contracts import access
from services.contracts.access import Action, Resource
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session
from services.orders.needs import application, closing, queries
from services.orders.needs.application import NewCheckIn
from services.orders.needs.wire import (
    CheckIn,
    CheckInAccepted,
    CheckInView,
    CloseIncident,
    IncidentView,
    ReportView,
)
from services.orders.register import application as register
from services.orders.register import queries as register_queries
from services.orders.register.wire import CertificateView, Purpose
from services.orders.vault import MasterKey
from services.orders.zones import queries as zones

households = make_router("/households")
incidents = make_router("/incidents")
ROUTERS: Sequence[APIRouter] = (households, incidents)


@households.post("/{household_id}/check-ins", response_model=CheckInAccepted, status_code=201)
async def check_in(  # noqa: PLR0913, PLR0917 - what the route needs, as FastAPI hands it over
    household_id: UUID,
    body: CheckIn,
    caller: Caller,
    session: Session,
    now: Now,
    once: OnceOnly,
    master: MasterKey,
) -> Response:
    """Keep that a household was asked, and what it said."""
    access.require_somewhere(caller, Action.CHECK_IN)
    household = await register_queries.get_household(session, household_id)
    path = await register_queries.get_path(session, household.building_id)
    relation = await register.find_relation(session, caller, building_id=household.building_id, now=now)
    resource = Resource(path=path, household_id=household_id)
    access.require(caller, Action.CHECK_IN, resource, relation, hidden=True)
    made = NewCheckIn(outcome=body.outcome, note=body.note, made_by=caller.subject)
    row = await application.check_in(session, household, made, master=master, now=now)
    view = CheckInAccepted(
        check_in_id=row.check_in_id,
        household_id=household_id,
        incident_id=row.incident_id,
        outcome=body.outcome,
    )
    return await once.accept(view)


@households.get("/{household_id}/check-ins")
async def list_check_ins(  # noqa: PLR0913, PLR0917 - what the route needs, as FastAPI hands it over
    household_id: UUID,
    caller: Caller,
    session: Session,
    now: Now,
    paging: PagingAsked,
    master: MasterKey,
) -> Page[CheckInView]:
    """List a household's check-ins with their notes; the read is kept like that of its contact."""
    household = await register_queries.get_household(session, household_id)
    path = await register_queries.get_path(session, household.building_id)
    relation = await register.find_relation(session, caller, building_id=household.building_id, now=now)
    resource = Resource(path=path, household_id=household_id)
    access.require(caller, Action.READ_HOUSEHOLD, resource, relation, hidden=True)
    await register_queries.note_read(session, household_id, reader=caller.subject, purpose=Purpose.CARE)
    rows = await queries.list_check_ins(session, household_id, after=paging.after, limit=paging.limit)
    notes = await application.read_notes(session, rows, master)
    return paging.page(
        rows, lambda row: CheckInView.of(row, notes[row.check_in_id]), row_id=lambda row: row.check_in_id
    )


@incidents.get("/{incident_id}")
async def get_incident(incident_id: UUID, caller: Caller, session: Session) -> IncidentView:
    """Show an incident with its zones and, once it is closed, the certificate of what was destroyed."""
    access.require(caller, Action.READ_ZONE)
    incident = await application.get_incident(session, incident_id)
    members = await zones.list_incident_zones(session, incident_id)
    certificate = await register_queries.find_certificate(session, incident_id)
    return IncidentView.of(incident, list(members), certificate)


@incidents.get("/{incident_id}/report")
async def show_report(incident_id: UUID, caller: Caller, session: Session) -> ReportView:
    """Say who was reached, what became of the orders, and what is still owed."""
    access.require(caller, Action.READ_REPORT)
    await application.get_incident(session, incident_id)
    # It names households: whoever reads it commands all that it is about.
    for zone in await zones.list_incident_zones(session, incident_id):
        access.require(caller, Action.OPEN_ZONE, Resource(path=tuple(zone.path)))
    return ReportView.of(await application.report(session, incident_id))


@incidents.post("/{incident_id}/closure", response_model=CertificateView)
async def close_incident(  # noqa: PLR0913, PLR0917 - what the route needs, as FastAPI hands it over
    incident_id: UUID,
    caller: Caller,
    session: Session,
    now: Now,
    once: OnceOnly,
    master: MasterKey,
    body: CloseIncident | None = None,
) -> Response:
    """End an incident whose zones are closed: destroy its key, and certify what was destroyed and what stays.

    While confirmed or undecided orders have not reached their doors it is refused, unless they are given
    up: `abandon_undelivered` with a reason. They stay as they are; a portion that still arrives is counted.
    """
    access.require_somewhere(caller, Action.OPEN_ZONE)
    incident = await application.get_incident(session, incident_id, lock=True)
    members = await zones.list_incident_zones(session, incident_id)
    for zone in members:
        access.require(caller, Action.OPEN_ZONE, Resource(path=tuple(zone.path)))
    certificate = await closing.close_incident(
        session, incident, members, abandon_reason=body.reason if body else None, master=master, now=now
    )
    return await once.accept(CertificateView.of(certificate), status=200)
