"""What whitelist tells the others: who is cleared, who is not any more, who is on duty, and that it lives."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from services.contracts.access import Role
from services.contracts.values import Clearance
from services.kit.event import Event


class PersonEvent(Event):
    """What every word about a person's clearance has; never the health data behind it."""

    topic: ClassVar[str] = "whitelist"
    person_id: UUID
    role: Role

    @property
    def key(self) -> str:
        """Return the person's id."""
        return str(self.person_id)


class PersonCleared(PersonEvent):
    """A person may touch the goods: in zones of which class, until when. Replaces what was said before."""

    name: ClassVar[str] = "whitelist.person_cleared.v1"
    clearances: tuple[Clearance, ...]


class PersonSuspended(PersonEvent):
    """A person may not touch the goods in any zone; the codes say which requirement is not met."""

    name: ClassVar[str] = "whitelist.person_suspended.v1"
    codes: tuple[str, ...]


class DutyStated(Event):
    """Who stands at which gate and for which buildings, from when until when (not included)."""

    topic: ClassVar[str] = "whitelist"
    name: ClassVar[str] = "whitelist.duty_stated.v1"
    duty_id: UUID
    person_id: UUID
    role: Role
    community_id: UUID
    building_ids: tuple[UUID, ...]
    starts_at: datetime
    ends_at: datetime

    @property
    def key(self) -> str:
        """Return the duty's id."""
        return str(self.duty_id)


class Heartbeat(Event):
    """Whitelist lives and its events flow: one for each partition, every 15 s.

    A projection is as fresh as its oldest partition. `key_of_partition` is a word that falls on it.
    """

    topic: ClassVar[str] = "whitelist"
    name: ClassVar[str] = "whitelist.heartbeat.v1"
    partition: Annotated[int, Field(ge=0, lt=12)]
    key_of_partition: str
    beat_at: datetime

    @property
    def key(self) -> str:
        """Return the word that the bus puts on this partition."""
        return self.key_of_partition
