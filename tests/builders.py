"""Values that are valid by default; a test overrides only what matters to it."""

from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

from services.kit.bus.records import Record, make_headers
from services.kit.event import Event
from services.kit.ids import new_id


class LampLit(Event):
    """An event of no service, for tests of the kit."""

    topic: ClassVar[str] = "lamps"
    name: ClassVar[str] = "lamps.lamp_lit.v1"
    lamp_id: UUID
    words: str = ""

    @property
    def key(self) -> str:
        return str(self.lamp_id)


def make_lamp_lit(*, lamp_id: UUID | None = None, words: str = "") -> LampLit:
    return LampLit(lamp_id=lamp_id or new_id(), words=words)


def record_of(event: Event, *, sequence: int = 1) -> Record:
    """Return an event as its service's relay sends it."""
    headers = make_headers(
        event_id=new_id(),
        name=event.name,
        sequence=sequence,
        recorded_at=datetime.now(UTC),
        correlation_id=str(new_id()),
    )
    return Record(topic=event.topic, key=event.key, value=event.model_dump_json().encode(), headers=headers)
