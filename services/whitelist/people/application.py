"""What the staff list can be asked. Callers own the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.access import Role
from services.kit import vault
from services.kit.errors import Fault, NotFound
from services.kit.ids import new_id
from services.kit.vault import Keys, Master
from services.whitelist.people import domain, queries
from services.whitelist.people.domain import Entry, Outcome, Personal, Purpose
from services.whitelist.people.tables import Person


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an entry."""

    external_id: str
    person_id: UUID | None
    outcome: Outcome
    faults: tuple[Fault, ...] = ()


async def import_people(
    session: AsyncSession, entries: Sequence[Entry], *, client: str, master: Master
) -> list[Imported]:
    """Create or change people by the client's own ids; who is new or changed is judged anew."""
    faults = domain.find_faults(entries)
    sound = [entry for entry, wrong in zip(entries, faults, strict=True) if not wrong]
    if not sound:
        return [
            Imported(entry.external_id, None, Outcome.REFUSED, wrong)
            for entry, wrong in zip(entries, faults, strict=True)
        ]

    await queries.lock_client(session, client)
    known = await queries.lock_entries(session, client, [entry.external_id for entry in sound])
    ids = {
        entry.external_id: known[entry.external_id].id if entry.external_id in known else new_id()
        for entry in sound
    }
    keys = await vault.make_keys(session, master, ids.values())

    outcomes = {entry.external_id: _compare(entry, known.get(entry.external_id), keys) for entry in sound}
    touched = [entry for entry in sound if outcomes[entry.external_id] is not Outcome.UNCHANGED]
    await queries.upsert(
        session,
        [_row_of(entry, ids[entry.external_id], client=client, keys=keys) for entry in touched],
        client=client,
    )
    await queries.mark_due(session, [ids[entry.external_id] for entry in touched])
    return [
        Imported(entry.external_id, None, Outcome.REFUSED, wrong)
        if wrong
        else Imported(entry.external_id, ids[entry.external_id], outcomes[entry.external_id])
        for entry, wrong in zip(entries, faults, strict=True)
    ]


async def get_person(session: AsyncSession, person_id: UUID) -> Person:
    """Return a person; raise `NotFound` where there is none."""
    person = await queries.find_person(session, person_id)
    if person is None:
        raise person_unknown()
    return person


async def list_people(
    session: AsyncSession, *, role: Role | None, after: UUID | None, limit: int
) -> Sequence[Person]:
    """Return a page of the staff list."""
    return await queries.list_people(session, role=role, after=after, limit=limit)


async def read_personal(
    session: AsyncSession, people: Sequence[Person], *, master: Master, reader: str, purpose: Purpose
) -> Mapping[UUID, Personal]:
    """Open what the vault keeps of people and write down who read it, in the same transaction."""
    keys = await vault.keys_of(session, master, [person.id for person in people])
    await queries.note_reads(session, [person.id for person in people], reader=reader, purpose=purpose)
    return {person.id: _open(person, keys) for person in people}


def person_unknown() -> NotFound:
    """Return the refusal of an id that is nobody's."""
    return NotFound("whitelist.person_unknown", "Nobody on the staff list has this id")


def _compare(entry: Entry, known: Person | None, keys: Keys) -> Outcome:
    if known is None:
        return Outcome.CREATED
    before = Entry(
        external_id=known.external_id,
        role=Role(known.role),
        personal=_open(known, keys),
        outlet_id=known.outlet_id,
        home_area_id=known.home_area_id,
        service_area_ids=tuple(known.service_area_ids),
    )
    return Outcome.UNCHANGED if entry == before else Outcome.UPDATED


def _open(person: Person, keys: Keys) -> Personal:
    content: dict[str, Any] = keys.open(person.id, person.sealed)
    return Personal(**content)


def _row_of(entry: Entry, person_id: UUID, *, client: str, keys: Keys) -> Person:
    return Person(
        id=person_id,
        client=client,
        external_id=entry.external_id,
        role=entry.role.value,
        outlet_id=entry.outlet_id,
        home_area_id=entry.home_area_id,
        service_area_ids=list(entry.service_area_ids),
        sealed=keys.seal(person_id, asdict(entry.personal)),
    )
