"""What the register can be asked. Callers own the transaction."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.access import Relation, Role
from services.contracts.orders import AreaLevel, AreaStated
from services.contracts.values import ZoneClass
from services.contracts.whitelist import DutyStated, PersonCleared, PersonSuspended
from services.kit import outbox, vault
from services.kit.caller import Caller
from services.kit.event import Arrived
from services.kit.ids import new_id
from services.kit.vault import Keys, Master
from services.orders.register import certificates, clearances, domain, duties, planting, queries, registration
from services.orders.register.certificates import Destruction, Kept
from services.orders.register.clearances import Word
from services.orders.register.planting import Judged, Node, Outcome, Wanted
from services.orders.register.queries import Sealed
from services.orders.register.registration import Building, Registered, Registration, Standing
from services.orders.register.tables import AreaRow, CertificateRow, HouseholdRow

Reaches = Callable[[tuple[UUID, ...]], bool]


async def import_areas(session: AsyncSession, wanted: Sequence[Wanted], *, reaches: Reaches) -> list[Judged]:
    """Plant or change areas; each item is judged by itself, and every area that changed is stated."""
    await queries.lock_tree(session)
    codes = {code for item in wanted for code in (item.code, item.parent_code) if code}
    found = await queries.find_areas(session, codes=codes)
    found += await queries.find_areas(session, ids={area_id for area in found for area_id in area.path})
    known = {area.area_id: area for area in found}
    standing = {area.code: _node_of(area, known) for area in known.values()}
    judged = planting.judge(wanted, standing, new_ids=[new_id() for _ in wanted], reaches=reaches)
    changed = {
        each.area_id: _row_of(item, each)
        for item, each in zip(wanted, judged, strict=True)
        if each.area_id and each.outcome is not Outcome.UNCHANGED
    }
    classes = {area.area_id: area.own_class for area in known.values()}
    # In key order, as everyone who locks areas: two who change the tree never wait for each other.
    rows = [changed[area_id] for area_id in sorted(changed)]
    sequences = await queries.save_areas(session, rows)
    stated = [(_stated(area, domain.class_of(area.path, classes)), sequences[area.area_id]) for area in rows]
    await outbox.add_all(session, stated)
    return judged


async def seal_areas(session: AsyncSession, area_ids: Iterable[UUID], zone_class: ZoneClass | None) -> None:
    """Set the regime of communities (None: lift it) and state them and their buildings anew, whole."""
    communities = sorted(area_ids)
    await queries.lock_tree(session)
    await queries.set_class(session, communities, zone_class)
    restated = await queries.restate_areas(session, communities)
    above = await queries.find_areas(session, ids={area_id for area in restated for area_id in area.path})
    classes = {area.area_id: area.own_class for area in (*above, *restated)}
    stated = [(_stated(area, domain.class_of(area.path, classes)), area.sequence) for area in restated]
    await outbox.add_all(session, stated)


async def import_households(
    session: AsyncSession, wanted: Sequence[Registration], *, reaches: Reaches, master: Master
) -> list[Registered]:
    """Register or change households, each judged by itself; what names them is written sealed."""
    standing = await queries.lock_households(session, [item.external_id for item in wanted])
    given = {item.building_id for item in wanted if item.building_id}
    given |= {household.building_id for household in standing.values()}
    codes = {item.building_code for item in wanted if item.building_code}
    found = await queries.find_areas(session, codes=codes, ids=given)
    places: dict[UUID | str, Building] = {}
    for area in found:
        if area.level == AreaLevel.BUILDING:
            places[area.area_id] = places[area.code] = Building(area.area_id, tuple(area.path))
    judged = [
        registration.judge(
            item, _standing_of(standing.get(item.external_id)), places, new_id=new_id(), reaches=reaches
        )
        for item in wanted
    ]
    judged = registration.refuse_repeated(wanted, judged)
    scopes = [each.household_id for each in judged if each.household_id]
    keys = await vault.make_keys(session, master, scopes)
    sealed = [
        _seal(item, each, standing.get(item.external_id), keys)
        for item, each in zip(wanted, judged, strict=True)
    ]
    await queries.save_households(session, [household for _, household in sealed if household])
    return [each for each, _ in sealed]


async def find_relation(
    session: AsyncSession, caller: Caller, *, building_id: UUID, now: datetime
) -> Relation | None:
    """Return what ties a caller to a building: a duty as its steward that holds at this moment.

    Who is suspended on the whitelist is tied to nothing, whatever the duty says.
    """
    if caller.person_id is None or Role.STEWARD not in caller.roles:
        return None
    on_duty = await duties.is_steward_on_duty(
        session, person_id=caller.person_id, building_id=building_id, now=now
    )
    return Relation.BUILDING_STEWARD if on_duty else None


async def keep_duties(
    session: AsyncSession, arrivals: Sequence[Arrived[DutyStated]], now: datetime
) -> Sequence[UUID]:
    """Keep the newest word on each duty; return the buildings whose stewards may have changed."""
    await clearances.lock_people(session, [arrived.event.person_id for arrived in arrivals])
    stated = [
        (
            arrived.event,
            arrived.sequence,
            arrived.event.building_ids if arrived.event.role is Role.STEWARD else (),
        )
        for arrived in arrivals
    ]
    return await duties.save_duties(session, stated, now=now)


async def keep_clearances(
    session: AsyncSession, arrivals: Sequence[Arrived[PersonCleared]] | Sequence[Arrived[PersonSuspended]]
) -> Sequence[UUID]:
    """Keep the newest word on each person; return the buildings whose stewards count again, or no more."""
    words = [_word_of(arrived.event, arrived.sequence) for arrived in arrivals]
    await clearances.lock_people(session, [word.person_id for word in words])
    return await clearances.save_words(session, words)


async def read_contact(
    session: AsyncSession, household: HouseholdRow, master: Master, *, reader: str, purpose: str
) -> dict[str, Any] | None:
    """Return what names a household, noting who read it; None where it was erased."""
    if household.sealed is None:
        return None
    keys = await vault.keys_of(session, master, [household.household_id])
    await queries.note_read(session, household.household_id, reader=reader, purpose=purpose)
    return keys.open(household.household_id, household.sealed)


async def erase_household(
    session: AsyncSession, household: HouseholdRow, master: Master, now: datetime
) -> CertificateRow:
    """Destroy a household's key for ever; its row stays as a pseudonym. Asked again, the same certificate."""
    if found := await queries.find_certificate(session, household.household_id):
        return found
    await queries.erase_household(session, household.household_id, now)
    await vault.destroy_key(session, household.household_id)
    done = Destruction(
        kind="household",
        scope_id=household.household_id,
        sealed_records={"contacts": 1},
        kept=(Kept("households", 1, certificates.PSEUDONYM),),
        destroyed_at=now,
    )
    return await certify(session, master, done)


async def certify(session: AsyncSession, master: Master, done: Destruction) -> CertificateRow:
    """Sign and keep what was destroyed in this transaction."""
    issued = certificates.issue(master.derive(certificates.PURPOSE), done)
    row = CertificateRow(
        certificate_id=new_id(),
        scope_id=done.scope_id,
        kind=done.kind,
        statement=issued.statement,
        signature=issued.signature,
        public_key=issued.public_key,
        issued_at=done.destroyed_at,
    )
    session.add(row)
    await session.flush()
    return row


def _word_of(said: PersonCleared | PersonSuspended, sequence: int) -> Word:
    cleared = said.clearances if isinstance(said, PersonCleared) else ()
    return Word(said.person_id, max((each.valid_until for each in cleared), default=None), sequence)


def _node_of(area: AreaRow, known: Mapping[UUID, AreaRow]) -> Node:
    parent = known[area.parent_id].code if area.parent_id else None
    wanted = Wanted(
        code=area.code,
        title=area.title,
        level=AreaLevel(area.level),
        parent_code=parent,
        gate=area.gate,
        head_count=area.head_count,
    )
    return Node(area_id=area.area_id, wanted=wanted, path=tuple(area.path))


def _row_of(wanted: Wanted, judged: Judged) -> AreaRow:
    return AreaRow(
        area_id=judged.path[-1],
        code=wanted.code,
        title=wanted.title,
        level=wanted.level,
        parent_id=judged.path[-2] if len(judged.path) > 1 else None,
        path=list(judged.path),
        gate_lat=wanted.gate.lat if wanted.gate else None,
        gate_lon=wanted.gate.lon if wanted.gate else None,
        head_count=wanted.head_count,
        zone_class=None,
        sequence=0,
    )


def _stated(area: AreaRow, zone_class: ZoneClass | None) -> AreaStated:
    return AreaStated(
        area_id=area.area_id,
        path=tuple(area.path),
        level=AreaLevel(area.level),
        title=area.title,
        gate=area.gate,
        head_count=area.head_count,
        zone_class=zone_class,
    )


def _standing_of(household: HouseholdRow | None) -> Standing | None:
    if household is None:
        return None
    return Standing(household.household_id, household.building_id, household.erased_at is not None)


def _seal(
    item: Registration, judged: Registered, standing: HouseholdRow | None, keys: Keys
) -> tuple[Registered, Sealed | None]:
    """Return the item with its row to write; what is as it was is written by nobody."""
    if judged.household_id is None or judged.building is None:
        return judged, None
    if standing and standing.sealed is not None and _is_same(item, judged, standing, keys):
        return registration.as_unchanged(judged), None
    row = Sealed(
        household_id=judged.household_id,
        external_id=item.external_id,
        building_id=judged.building.area_id,
        community_id=judged.building.path[-2],
        persons=item.persons,
        sealed=keys.seal(judged.household_id, item.personal),
    )
    return judged, row


def _is_same(item: Registration, judged: Registered, standing: HouseholdRow, keys: Keys) -> bool:
    assert judged.building is not None and standing.sealed is not None  # noqa: S101, PT018 - asked before
    same_place = (standing.building_id, standing.persons) == (judged.building.area_id, item.persons)
    return same_place and keys.open(standing.household_id, standing.sealed) == item.personal
