"""What one service tells the others: a frozen value with a written wire name."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Event(BaseModel):
    """A fact that has happened; a change of its meaning is a new version beside the old."""

    # An unknown field is a producer newer than this reader: parked and seen, never silently dropped.
    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: ClassVar[str]
    name: ClassVar[str]

    @property
    def key(self) -> str:
        """Return the id of the producer's row this event is about; events of one key arrive in order."""
        raise NotImplementedError(f"{type(self).__name__} names no key")


E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Arrived(Generic[E]):
    """An event as a consumer gets it; `sequence` counts 1, 2, 3… within the event's topic and key."""

    event: E
    sequence: int
    event_id: UUID
    recorded_at: datetime
    correlation_id: str
