"""SQL of passes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.dispatch.passes.domain import Pass
from services.dispatch.passes.tables import PassRow
from services.dispatch.rows import to_json

# Lists of passes come seldom, and each is judged against all the others: one after the other.
LOCK = text("SELECT pg_advisory_xact_lock(hashtext('dispatch.vehicle_passes'))")
FIND_VEHICLES = text("SELECT plate, vehicle_id FROM vehicles WHERE plate = ANY(CAST(:plates AS text[]))")
SAVE = text("""
    INSERT INTO vehicle_passes (pass_id, number, vehicle_id, goods_class, origin_code, destination_code,
                                valid_from, valid_to, crew)
    SELECT pass_id, number, vehicle_id, goods_class, origin_code, destination_code, valid_from, valid_to,
           ARRAY(SELECT CAST(person AS uuid) FROM jsonb_array_elements_text(crew) AS person)
    FROM jsonb_to_recordset(CAST(:passes AS jsonb)) AS row (
        pass_id uuid, number text, vehicle_id uuid, goods_class text, origin_code text, destination_code text,
        valid_from timestamptz, valid_to timestamptz, crew jsonb
    )
    ORDER BY number
    ON CONFLICT (number) DO UPDATE SET
        goods_class = excluded.goods_class, origin_code = excluded.origin_code,
        destination_code = excluded.destination_code, valid_from = excluded.valid_from,
        valid_to = excluded.valid_to, crew = excluded.crew
""")


async def lock_all(session: AsyncSession) -> None:
    """Let nobody else give passes until this transaction ends."""
    await session.execute(LOCK)


async def find_vehicles(session: AsyncSession, plates: Sequence[str]) -> dict[str, UUID]:
    """Return the ids of the vehicles that have these plates."""
    found = await session.execute(FIND_VEHICLES, {"plates": plates})
    return {row.plate: row.vehicle_id for row in found}


async def find_passes(
    session: AsyncSession, *, vehicle_ids: Iterable[UUID], numbers: Iterable[str] = ()
) -> dict[UUID, Pass]:
    """Return the passes of these vehicles, and those of these numbers, by their ids."""
    asked = select(PassRow).where(
        or_(col(PassRow.vehicle_id).in_(list(vehicle_ids)), col(PassRow.number).in_(list(numbers)))
    )
    return {row.pass_id: _pass_of(row) for row in (await session.execute(asked)).scalars()}


async def list_valid(session: AsyncSession, now: datetime) -> list[Pass]:
    """Return every pass that is not over."""
    asked = select(PassRow).where(col(PassRow.valid_to) > now).order_by(col(PassRow.pass_id))
    return [_pass_of(row) for row in (await session.execute(asked)).scalars()]


async def list_passes(session: AsyncSession, *, limit: int, after: UUID | None) -> list[PassRow]:
    """Return a page of all passes, one more than the limit."""
    asked = select(PassRow).order_by(col(PassRow.pass_id)).limit(limit + 1)
    if after:
        asked = asked.where(col(PassRow.pass_id) > after)
    return list((await session.execute(asked)).scalars())


async def save_passes(session: AsyncSession, passes: Mapping[UUID, Pass]) -> None:
    """Write passes, new or changed."""
    rows = [
        {
            "pass_id": pass_id,
            "number": each.number,
            "vehicle_id": each.vehicle_id,
            "goods_class": each.goods_class,
            "origin_code": each.origin_code,
            "destination_code": each.destination_code,
            "valid_from": each.valid_from,
            "valid_to": each.valid_to,
            "crew": sorted(each.crew),
        }
        for pass_id, each in passes.items()
    ]
    await session.execute(SAVE, {"passes": to_json(rows)})


def _pass_of(row: PassRow) -> Pass:
    return Pass(
        number=row.number,
        vehicle_id=row.vehicle_id,
        goods_class=row.goods_class,
        origin_code=row.origin_code,
        destination_code=row.destination_code,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        crew=frozenset(row.crew),
    )
