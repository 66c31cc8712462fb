"""What the zones' routes read and show."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from services.contracts.values import MissingSupply, Pin, ZoneClass
from services.orders.zones import domain
from services.orders.zones.changes import NewSlot
from services.orders.zones.domain import Quota, Readiness
from services.orders.zones.tables import SlotRow, ZoneRow

# Within what every column and every other service can hold.
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC))
]
Title = Annotated[str, Field(min_length=1, max_length=100)]
Reason = Annotated[str, Field(min_length=1, max_length=500)]


class Body(BaseModel):
    """What is asked: nothing beside the fields named here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PrepareSlot(Body):
    """A time of delivery; orders enter before the cut-off, which lies before the start."""

    starts_at: Moment
    ends_at: Moment
    cut_off_at: Moment

    def new(self) -> NewSlot:
        """Return it as zones write it."""
        return NewSlot(self.starts_at, self.ends_at, self.cut_off_at)


class AddSlots(Body):
    """The slots of further days."""

    slots: Annotated[list[PrepareSlot], Field(min_length=1, max_length=100)]


class QuotaAsked(Body):
    """What one household may order for a day of delivery."""

    orders: Annotated[int, Field(ge=1, le=1000)] = 3
    units: Annotated[int, Field(ge=1, le=100_000)] = 60

    def rule(self) -> Quota:
        """Return it as a rule."""
        return Quota(self.orders, self.units)


class PrepareZone(Body):
    """A zone as it is prepared, long before it is opened."""

    title: Title
    zone_class: ZoneClass
    community_ids: Annotated[list[UUID], Field(min_length=1, max_length=100)]
    slots: Annotated[list[PrepareSlot], Field(min_length=1, max_length=100)]
    quota: QuotaAsked = QuotaAsked()


class PinnedOutlet(Body):
    """An outlet that the commander insists on, and why."""

    outlet_id: UUID
    reason: Reason

    def pin(self) -> Pin:
        """Return it as an event carries it."""
        return Pin(subject_id=self.outlet_id, reason=self.reason)


class PinnedVehicle(Body):
    """A vehicle that the commander insists on, and why."""

    vehicle_id: UUID
    reason: Reason

    def pin(self) -> Pin:
        """Return it as an event carries it."""
        return Pin(subject_id=self.vehicle_id, reason=self.reason)


class ActivateZone(Body):
    """The call to open: it joins an incident or, without an id, makes one."""

    incident_id: UUID | None = None
    incident_title: Title | None = None
    pinned_outlets: Annotated[list[PinnedOutlet], Field(max_length=50)] = []
    pinned_vehicles: Annotated[list[PinnedVehicle], Field(max_length=50)] = []
    bare_building_ids: Annotated[list[UUID], Field(max_length=500)] = []

    @model_validator(mode="after")
    def name_one_incident(self) -> Self:
        """Refuse a call that joins an incident and names another."""
        if self.incident_id and self.incident_title:
            raise ValueError("an incident is joined by its id or made by its title, not both")
        return self


class CloseZone(Body):
    """Why a zone takes no more orders, and the class into which its communities pass; none lifts theirs."""

    reason: Reason
    next_class: ZoneClass | None = None


class ZoneAccepted(BaseModel):
    """A zone that was prepared, activated or closed."""

    zone_id: UUID
    status: str
    incident_id: UUID | None = None
    slot_ids: list[UUID] = []


class AwaitsView(BaseModel):
    """What a zone waits for, or what it has lost since it opened: slots and buildings by their ids."""

    supply: bool
    capacity: list[UUID]
    stewards: list[UUID]

    @classmethod
    def of(cls, readiness: Readiness) -> "AwaitsView":
        """Show what was judged."""
        return cls(
            supply=readiness.awaits_supply,
            capacity=sorted(readiness.awaits_capacity),
            stewards=sorted(readiness.awaits_steward),
        )


class ZoneListed(BaseModel):
    """A zone in a list."""

    zone_id: UUID
    title: str
    zone_class: ZoneClass
    status: str
    incident_id: UUID | None
    seconds_to_assign: float | None
    seconds_to_open: float | None
    activated_at: datetime | None
    opened_at: datetime | None
    closed_at: datetime | None

    @classmethod
    def of(cls, zone: ZoneRow) -> "ZoneListed":
        """Show a row."""
        return cls(**{name: getattr(zone, name) for name in ZoneListed.model_fields})


class PinsView(BaseModel):
    """What the commander insists on."""

    outlets: list[Pin]
    vehicles: list[Pin]


class OpenWorkView(BaseModel):
    """The orders of which something is still to come: a decision, or the goods."""

    undecided: int
    undelivered: int


class ZoneView(ZoneListed):
    """A zone whole: what it waits for, what it lacks, what its households may order, what is still open."""

    close_reason: str | None
    next_class: ZoneClass | None
    open_work: OpenWorkView
    community_ids: list[UUID]
    quota: QuotaAsked
    awaits: AwaitsView
    missing: list[MissingSupply]
    bare_building_ids: list[UUID]
    pinned: PinsView


class SlotView(BaseModel):
    """A time of delivery with its room; `over_by` tells of a capacity lowered below what is taken."""

    slot_id: UUID
    starts_at: datetime
    ends_at: datetime
    cut_off_at: datetime
    capacity: int | None
    taken: int
    over_by: int
    status: str

    @classmethod
    def of(cls, slot: SlotRow, now: datetime) -> "SlotView":
        """Show a row; from its cut-off on a slot is closed, whenever the clock's own work marks it."""
        names = ("slot_id", "starts_at", "ends_at", "cut_off_at", "capacity", "taken")
        shown: dict[str, Any] = {name: getattr(slot, name) for name in names}
        return cls(
            **shown,
            over_by=domain.over_by(capacity=slot.capacity, taken=slot.taken),
            status="closed" if now >= slot.cut_off_at else slot.status,
        )


class SlotsView(BaseModel):
    """A zone's slots, the earliest cut-off first."""

    slots: list[SlotView]
