"""Values that are valid by default; a test overrides only what matters to it."""

from typing import ClassVar
from uuid import UUID

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
