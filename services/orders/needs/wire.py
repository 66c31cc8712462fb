"""What the routes of needs read and show."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
    """How an incident is closed: what has not been delivered is given up for a reason, or not at all."""

    abandon_undelivered: bool = False
    reason: Annotated[str | None, Field(min_length=1, max_length=500)] = None

    @model_validator(mode="after")
    def _gives_up_for_a_reason(self) -> Self:
        if self.abandon_undelivered != (self.reason is not None):
            raise ValueError("a reason goes with abandon_undelivered, and only with it")
        return self


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


class Abandoned(BaseModel):
    """How many orders had not reached their doors when the incident was closed all the same, and why."""

    orders: int
    reason: str


class IncidentView(BaseModel):
    """An incident: its zones, what was given up and what was destroyed when it closed."""

    incident_id: UUID
    title: str
    status: str
    opened_at: datetime
    closed_at: datetime | None
    zones: list[IncidentZone]
    abandoned: Abandoned | None
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
            abandoned=_abandoned_of(row),
            certificate=CertificateView.of(certificate) if certificate else None,
        )


class OrderCounts(BaseModel):
    """Every accepted order is placed; a fulfilled one counts as confirmed too; undecided ones wait.

    Of a lost one, which was confirmed, nothing came: all was lost when a bulk load was split at the gate.
    """

    placed: int
    undecided: int
    confirmed: int
    refused: int
    cancelled: int
    fulfilled: int
    lost: int


class ReportView(BaseModel):
    """Who was reached and what became of the orders; ids only.

    `asked` are the households that answered when they were asked; whose door only stayed shut is unreached.
    """

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


def _abandoned_of(row: IncidentRow) -> Abandoned | None:
    if row.abandoned_orders is None or row.abandon_reason is None:
        return None
    return Abandoned(orders=row.abandoned_orders, reason=row.abandon_reason)
