"""What is told of hand-overs, custody and breaches."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from services.contracts.values import Point
from services.dispatch.bodies import fault_view
from services.dispatch.loads.views import LoadUnitView, LoadView
from services.dispatch.relay.application import Outcome
from services.dispatch.relay.parties import Cause
from services.kit.http.problems import FaultView


class RecordedView(BaseModel):
    """What became of one item of a device's log."""

    index: int
    hand_over_id: UUID
    outcome: Literal["recorded", "repeated", "refused"]
    is_breach: bool
    breach_id: UUID | None
    errors: list[FaultView]

    @classmethod
    def of(cls, index: int, hand_over_id: UUID, outcome: Outcome) -> "RecordedView":
        """Return an outcome as it is answered."""
        return cls(
            index=index,
            hand_over_id=hand_over_id,
            outcome=outcome.outcome,
            is_breach=outcome.is_breach,
            breach_id=outcome.breach_id,
            errors=[fault_view(fault) for fault in outcome.faults],
        )


class RecordedItemsView(BaseModel):
    """What became of a device's log, item by item."""

    items: list[RecordedView]


class HandOverView(BaseModel):
    """One link of the chain of custody.

    `occurred_at` is what the device's clock said, `reckoned_at` the moment that counts; the clock is doubtful
    where it is earlier than the goods can have left: then the moment of recording counts. With a `rescue_id`
    the goods were taken over from who may not carry them on.
    """

    hand_over_id: UUID
    load_unit_id: UUID
    leg: int
    giver_id: UUID
    taker_id: UUID
    place: Point | None
    occurred_at: datetime
    reckoned_at: datetime
    clock_doubtful: bool
    recorded_at: datetime
    proof: str
    photo_sha256: str | None
    rescue_id: UUID | None
    is_breach: bool
    is_degraded: bool

    @classmethod
    def of(cls, row: Any) -> "HandOverView":
        """Return a link as it is told."""
        place = Point(lat=row.lat, lon=row.lon) if row.lat is not None else None
        shown = {name: getattr(row, name) for name in cls.model_fields if name != "place"}
        return cls(place=place, **shown)


class HeldUnitView(LoadUnitView):
    """A load unit and who has it; nobody: it is still at the outlet, or was split and is empty."""

    holder_id: UUID | None


class HeldLoadView(LoadView):
    """A load, its units and who has each."""

    units: list[HeldUnitView]  # type: ignore[assignment]


class ReasonView(BaseModel):
    """What one person was not: cleared, of the right role, assigned, on duty; or fair in a split."""

    person_id: UUID
    code: Cause


class BreachView(BaseModel):
    """A hand-over, or the split of a bulk load, that was not as it should be.

    It is open until a person closes it with a reason. A split has no unit, no leg and nobody who took over.
    """

    breach_id: UUID
    hand_over_id: UUID | None
    split_id: UUID | None
    incident_id: UUID
    zone_id: UUID
    load_id: UUID
    load_unit_id: UUID | None
    leg: int | None
    giver_id: UUID | None
    taker_id: UUID | None
    person_ids: list[UUID]
    reasons: list[ReasonView]
    occurred_at: datetime
    opened_at: datetime
    closed_at: datetime | None
    reason: str | None

    @classmethod
    def of(cls, row: Any) -> "BreachView":
        """Return a breach as it is told."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class ClosedView(BaseModel):
    """A breach that is closed now."""

    breach_id: UUID
    closed_at: datetime
