"""What the ledger can be asked. Callers own the transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.market import market_day
from services.catalog.outlets import domain, queries
from services.catalog.outlets.domain import Facts, LicencePolicy
from services.catalog.outlets.queries import Outlet, Qualification
from services.kit.errors import Fault, NotFound, Rejected

log = structlog.get_logger()


class Outcome(StrEnum):
    """What became of an item of an import."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Imported:
    """One item of an import, answered; the id is None where it was refused."""

    external_id: str
    outlet_id: UUID | None
    outcome: Outcome
    faults: tuple[Fault, ...] = ()


async def import_outlets(
    session: AsyncSession, wanted: Sequence[Facts], *, client: str, now: datetime
) -> list[Imported]:
    """Write a client's outlets by their external ids; each item has its own answer, in the order given.

    A qualified outlet whose new facts no longer meet every requirement loses its qualification.
    """
    refused = _find_refused(wanted)
    sound = [facts for place, facts in enumerate(wanted) if place not in refused]
    known = await queries.lock_outlets(
        session, client=client, external_ids=[facts.external_id for facts in sound]
    )
    changed = [facts for facts in sound if _differs(known.get(facts.external_id), facts)]
    written = await queries.write_outlets(session, changed, client=client, now=now)
    await _judge_again(session, changed, known, now=now)
    return [
        Imported(facts.external_id, None, Outcome.REFUSED, refused[place])
        if place in refused
        else _answer(facts.external_id, known, written)
        for place, facts in enumerate(wanted)
    ]


async def sign_pledge(  # noqa: PLR0913 - what a signature is
    session: AsyncSession,
    outlet_id: UUID,
    *,
    text_version: str,
    signed_by: str,
    recorded_by: str,
    now: datetime,
) -> datetime:
    """Keep the outlet's pledge and return when it was signed; signed again, the first signature stays."""
    await get_locked(session, outlet_id)
    return await queries.insert_pledge(
        session, outlet_id, text_version=text_version, signed_by=signed_by, recorded_by=recorded_by, now=now
    )


async def qualify(session: AsyncSession, outlet_id: UUID, *, by: str, now: datetime) -> Qualification:
    """Qualify an outlet until its first licence ends; raise `Rejected` naming every requirement not met."""
    outlet = await get_locked(session, outlet_id)
    today = market_day(now)
    policies = await queries.list_policies(session, today=today)
    unmet = domain.find_unmet(outlet.facts, policies, has_pledge=outlet.has_pledge, today=today)
    if unmet:
        raise Rejected(
            "catalog.outlet_not_qualified", "The outlet does not meet every requirement", faults=unmet
        )
    found = Qualification(at=now, by=by, until=domain.qualified_until(outlet.facts, policies))
    before = outlet.qualification
    if before is not None and before.until == found.until:
        return before
    await queries.write_qualifications(session, {outlet_id: found}, now=now)
    return found


async def get_outlet(session: AsyncSession, outlet_id: UUID) -> Outlet:
    """Return an outlet; raise `NotFound` where there is none."""
    return _or_not_found(await queries.find_outlet(session, outlet_id))


async def get_locked(session: AsyncSession, outlet_id: UUID) -> Outlet:
    """Lock an outlet and return it; raise `NotFound` where there is none."""
    return _or_not_found(await queries.lock_outlet(session, outlet_id))


def is_qualified(outlet: Outlet, *, today: date) -> bool:
    """Say whether an outlet's qualification holds today."""
    return outlet.qualification is not None and today <= outlet.qualification.until


def _or_not_found(outlet: Outlet | None) -> Outlet:
    if outlet is None:
        raise NotFound("catalog.outlet_unknown", "There is no such outlet")
    return outlet


def _find_refused(wanted: Sequence[Facts]) -> Mapping[int, tuple[Fault, ...]]:
    times = Counter(facts.external_id for facts in wanted)
    refused: dict[int, tuple[Fault, ...]] = {}
    for place, facts in enumerate(wanted):
        faults = [
            Fault(f"/outlets/{place}/licences/{at}", "catalog.licence_repeated")
            for at in domain.find_repeated(facts.licences)
        ]
        # Which of two contradicting items holds is not ours to guess: none of them does.
        if times[facts.external_id] > 1:
            faults.append(Fault(f"/outlets/{place}/external_id", "catalog.external_id_repeated"))
        if faults:
            refused[place] = tuple(faults)
    return refused


def _differs(known: Outlet | None, facts: Facts) -> bool:
    if known is None:
        return True
    # The order of licences says nothing.
    return known.facts != replace(facts, licences=known.facts.licences) or (
        set(known.facts.licences) != set(facts.licences)
    )


async def _judge_again(
    session: AsyncSession, changed: Sequence[Facts], known: Mapping[str, Outlet], *, now: datetime
) -> None:
    qualified = [
        (known[facts.external_id], facts)
        for facts in changed
        if facts.external_id in known and known[facts.external_id].qualification is not None
    ]
    if not qualified:
        return
    today = market_day(now)
    policies = await queries.list_policies(session, today=today)
    kept: dict[UUID, Qualification] = {}
    for outlet, facts in qualified:
        found = _requalify(outlet, facts, policies, today=today)
        if found is None:
            log.info("outlet.disqualified", outlet_id=str(outlet.outlet_id))
        else:
            kept[outlet.outlet_id] = found
    await queries.write_qualifications(session, kept, now=now)


def _requalify(
    outlet: Outlet, facts: Facts, policies: Sequence[LicencePolicy], *, today: date
) -> Qualification | None:
    before = outlet.qualification
    if before is None or domain.find_unmet(facts, policies, has_pledge=outlet.has_pledge, today=today):
        return None
    return replace(before, until=domain.qualified_until(facts, policies))


def _answer(
    external_id: str, known: Mapping[str, Outlet], written: Mapping[str, tuple[UUID, bool]]
) -> Imported:
    if external_id not in written:
        return Imported(external_id, known[external_id].outlet_id, Outcome.UNCHANGED)
    outlet_id, is_new = written[external_id]
    return Imported(external_id, outlet_id, Outcome.CREATED if is_new else Outcome.UPDATED)
