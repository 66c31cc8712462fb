"""Who is cleared, and how fresh that knowledge is. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.contracts.access import Role
from services.contracts.values import ZoneClass

PARTITIONS: Final = 12
# Older than this, the copy of the whitelist may lack a suspension (promises.md P11).
FRESH_FOR: Final = timedelta(seconds=60)
DRIVING: Final = frozenset({Role.DRIVER, Role.RUNNER})


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewClearance:
    """What whitelist last said of a person: until when, for which class; nothing of a suspended one."""

    person_id: UUID
    role: Role
    valid_until: Mapping[ZoneClass, datetime] = field(default_factory=dict)
    is_suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of whitelist on a person: it stands from `said_from` until a later sequence's does."""

    clearance: CrewClearance
    sequence: int
    said_from: datetime
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """A person's turn at the doors of some buildings, from `starts_at` until before `ends_at`."""

    person_id: UUID
    role: Role
    community_id: UUID
    building_ids: frozenset[UUID]
    starts_at: datetime
    ends_at: datetime


def is_cleared(clearance: CrewClearance | None, zone_class: ZoneClass, at: datetime) -> bool:
    """Say whether a person may touch the goods for a zone of a class at a moment; an unknown one may not."""
    if clearance is None or clearance.is_suspended:
        return False
    valid_until = clearance.valid_until.get(zone_class)
    return valid_until is not None and at < valid_until


def is_degraded(beats: Mapping[int, datetime], now: datetime) -> bool:
    """Say whether the copy of the whitelist, as fresh as its oldest partition, is older than a minute."""
    return len(beats) < PARTITIONS or now - min(beats.values()) > FRESH_FOR


def cleared_drivers(clearances: Iterable[CrewClearance], now: datetime) -> dict[ZoneClass, frozenset[UUID]]:
    """Return who may drive now, for each class of zone."""
    drivers = [clearance for clearance in clearances if clearance.role is Role.DRIVER]
    return {
        zone_class: frozenset(driver.person_id for driver in drivers if is_cleared(driver, zone_class, now))
        for zone_class in ZoneClass
    }


def is_steward_of(
    duties: Iterable[Duty], *, community_id: UUID, building_id: UUID | None, at: datetime
) -> bool:
    """Say whether one of a person's duties is for this door at a moment; no door given is the gate.

    A duty that names no building is for all of the community's.
    """
    return any(
        duty.starts_at <= at < duty.ends_at
        and duty.community_id == community_id
        and (building_id is None or not duty.building_ids or building_id in duty.building_ids)
        for duty in duties
    )
