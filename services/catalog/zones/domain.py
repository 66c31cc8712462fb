"""What catalog knows of a zone. Pure."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.contracts.values import OutletKind, Pin, Point, Value, ZoneClass


class Gate(Value):
    """Where a community takes its goods in, and for how many."""

    position: Point
    head_count: int
    households: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A zone; one that was closed before it was heard of has no class, no path and no gate."""

    zone_id: UUID
    incident_id: UUID
    is_open: bool
    zone_class: ZoneClass | None
    path: tuple[UUID, ...]
    gates: tuple[Gate, ...]
    pins: tuple[Pin, ...]
    needed_kinds: tuple[OutletKind, ...]
    activated_at: datetime | None
