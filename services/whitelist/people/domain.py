"""The rules of the staff list. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from services.contracts.access import Role
from services.kit.errors import Fault

# Residents and sponsors touch no goods: they are on nobody's staff list.
STAFF: Final = frozenset(Role) - {Role.RESIDENT, Role.SPONSOR}


class Purpose(StrEnum):
    """Why a sensitive field is read."""

    STAFF_LIST = "staff_list"
    STAFF_ENTRY = "staff_entry"
    CLEARANCE_REASONS = "clearance_reasons"


class Urgency(StrEnum):
    """What is worked off first: the fact about one person goes before the rule about everyone."""

    FACT = "fact"
    RULE = "rule"


class Outcome(StrEnum):
    """What became of an entry of a staff list."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """What the vault keeps of a person."""

    name: str
    phone: str
    id_number: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A person as a staff list has them; `external_id` is the client's own."""

    external_id: str
    role: Role
    personal: Personal
    outlet_id: UUID | None
    home_area_id: UUID | None
    service_area_ids: tuple[UUID, ...]


def find_faults(entries: Sequence[Entry]) -> list[tuple[Fault, ...]]:
    """Return what is wrong with each entry, all of it; of twins in one list every one is refused."""
    times = Counter(entry.external_id for entry in entries)
    return [
        tuple(_faults_of(entry, f"/people/{place}", is_twin=times[entry.external_id] > 1))
        for place, entry in enumerate(entries)
    ]


def _faults_of(entry: Entry, pointer: str, *, is_twin: bool) -> list[Fault]:
    faults = []
    if is_twin:
        faults.append(Fault(f"{pointer}/external_id", "whitelist.external_id_twice"))
    if entry.role not in STAFF:
        faults.append(Fault(f"{pointer}/role", "whitelist.role_not_staff", {"roles": sorted(STAFF)}))
    if entry.role is Role.OUTLET and entry.outlet_id is None:
        faults.append(Fault(f"{pointer}/outlet_id", "whitelist.outlet_missing"))
    return faults
