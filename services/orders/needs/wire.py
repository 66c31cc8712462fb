"""What the routes of needs read and show."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.orders.needs.application import Report
from services.orders.needs.domain import CheckInOutcome
from services.orders.needs.tables import CheckInRow
from services.orders.register.tables import CertificateRow
from services.orders.register.wire import CertificateView
from services.orders.zones.tables import IncidentRow, ZoneRow


class Body(BaseModel):
    """What is asked: nothing beside the fields named here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CheckIn(Body):
    """What was found at a household; the note is kept sealed until the incident closes."""

    outcome: CheckInOutcome
    note: Annotated[str | None, Field(min_length=1, max_length=1000)] = None


class CloseIncident(Body):
    """Nothing is to be said when an incident is closed."""


class CheckInAccepted(BaseModel):
    """A check-in that is kept."""

    check_in_id: UUID
    household_id: UUID
    incident_id: UUID
    outcome: CheckInOutcome


class CheckInView(CheckInAccepted):
    """A check-in with its note, which is None once its incident is closed."""

    note: str | None
    made_at: datetime

    @classmethod
    def of(cls, row: CheckInRow, note: str | None) -> "CheckInView":
        """Show a row."""
        return cls(
            check_in_id=row.check_in_id,
            household_id=row.household_id,
            incident_id=row.incident_id,
            outcome=CheckInOutcome(row.outcome),
            note=note,
            made_at=row.made_at,
        )


class IncidentZone(BaseModel):
    """A zone of an incident."""

    zone_id: UUID
    title: str
    status: str


class IncidentView(BaseModel):
    """An incident: its zones, and what was destroyed when it closed."""

    incident_id: UUID
    title: str
    status: str
    opened_at: datetime
    closed_at: datetime | None
    zones: list[IncidentZone]
    certificate: CertificateView | None

    @classmethod
    def of(cls, row: IncidentRow, zones: list[ZoneRow], certificate: CertificateRow | None) -> "IncidentView":
        """Show a row with its zones."""
        return cls(
            incident_id=row.incident_id,
            title=row.title,
            status=row.status,
            opened_at=row.opened_at,
            closed_at=row.closed_at,
            zones=[
                IncidentZone(zone_id=zone.zone_id, title=zone.title, status=zone.status) for zone in zones
            ],
            certificate=CertificateView.of(certificate) if certificate else None,
        )


class OrderCounts(BaseModel):
    """Every accepted order is placed; a fulfilled one counts as confirmed too; undecided ones wait."""

    placed: int
    undecided: int
    confirmed: int
    refused: int
    cancelled: int
    fulfilled: int


class ReportView(BaseModel):
    """Who was reached and what became of the orders; ids only."""

    households: int
    served: int
    asked: int
    unreached_household_ids: list[UUID]
    needs_help_household_ids: list[UUID]
    orders: OrderCounts
    group_orders: int
    refusals: dict[str, int]
    undelivered: list[UUID]

    @classmethod
    def of(cls, report: Report) -> "ReportView":
        """Show a report."""
        return cls(
            households=report.reach.households,
            served=report.reach.served,
            asked=report.reach.asked,
            unreached_household_ids=list(report.reach.unreached),
            needs_help_household_ids=list(report.needy),
            orders=OrderCounts(**report.orders),
            group_orders=report.group_orders,
            refusals=dict(report.refusals),
            undelivered=list(report.undelivered),
        )
