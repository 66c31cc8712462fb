"""What is told of rescues."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from services.contracts.access import Role
from services.contracts.values import Point, ZoneClass
from services.dispatch.rescues import domain
from services.dispatch.rescues.candidates import Candidate, WhyNobody
from services.dispatch.rescues.domain import Cause, RescueStatus


class TakerView(BaseModel):
    """Who comes for the goods: a driver on the trip that was planned for them, or the steward named."""

    person_id: UUID
    vehicle_id: UUID | None = None
    trip_id: UUID | None = None


class NeedsView(BaseModel):
    """What was needed when somebody was called: who, for which zones, to carry how much from where."""

    role: Role
    zone_class: ZoneClass
    grams: int
    pieces: int
    place: Point | None
    codes: list[WhyNobody]


class RescueView(BaseModel):
    """Goods in hands that may not carry them on, and where they were seen last.

    `load_ids`, `grams` and `pieces` are of what still waits in those hands. With a `community_id` it stands
    at that community's gate or work site, without one on the road.
    """

    rescue_id: UUID
    status: RescueStatus
    cause: Cause
    holder_id: UUID
    incident_id: UUID
    zone_id: UUID
    community_id: UUID | None
    vehicle_id: UUID | None
    place: Point | None
    load_ids: list[UUID]
    grams: int
    pieces: int
    takers: list[TakerView]
    opened_at: datetime
    escalated_at: datetime | None
    needs: NeedsView | None
    settled_at: datetime | None
    closed_by: str | None
    closed_because: str | None

    @classmethod
    def of(cls, row: Any) -> "RescueView":
        """Return a rescue as it is told."""
        return cls(**_shown(row))


class CandidateView(BaseModel):
    """Somebody who can take over now; a driver with a vehicle, so many metres of road away."""

    person_id: UUID
    vehicle_id: UUID | None
    metres: int | None
    is_near: bool


class JudgedRescueView(RescueView):
    """A rescue with everybody who can take over, the nearest first, and what stands against it."""

    candidates: list[CandidateView]
    codes: list[WhyNobody]

    @classmethod
    def judged(
        cls, row: Any, candidates: tuple[Candidate, ...], codes: tuple[WhyNobody, ...]
    ) -> "JudgedRescueView":
        """Return a rescue as it is told to who has to decide."""
        return cls(
            **_shown(row),
            candidates=[
                CandidateView(
                    person_id=each.person_id,
                    vehicle_id=each.vehicle_id,
                    metres=each.metres,
                    is_near=each.is_near,
                )
                for each in candidates
            ],
            codes=list(codes),
        )


class AssignedView(BaseModel):
    """Who is to take over."""

    rescue_id: UUID
    taker_id: UUID


class ClosedView(BaseModel):
    """A rescue that a person has closed, and with whom its goods are."""

    rescue_id: UUID
    holder_id: UUID
    closed_at: datetime
    closed_by: str


class LostView(BaseModel):
    """A vehicle that is out of service, and what of it is to be rescued."""

    vehicle_id: UUID
    lost_at: datetime
    rescue_ids: list[UUID]


def _shown(row: Any) -> dict[str, Any]:
    named = [TakerView(person_id=row.taker_id)] if row.taker_id else []
    composed = {"status", "place", "takers"}
    return {
        **{name: getattr(row, name) for name in RescueView.model_fields if name not in composed},
        "status": domain.status_of(escalated_at=row.escalated_at, settled_at=row.settled_at),
        "place": Point(lat=row.lat, lon=row.lon) if row.lat is not None else None,
        "takers": named or [TakerView.model_validate(each) for each in row.coming],
    }
