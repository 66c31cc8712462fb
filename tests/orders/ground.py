"""An open zone in the rows themselves, for tests of what happens after its opening."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from services.contracts.catalog import StockRefused, StockReserved
from services.contracts.dispatch import PortionShortened
from services.contracts.values import GivenLine, LineFailure, ShortLine
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.serving import headers

CABBAGE, RICE = new_id(), new_id()
LONG_AGO = datetime(2022, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """One town with one open zone: a village, a building, households, slots."""

    town_id: UUID
    village_id: UUID
    building_id: UUID
    zone_id: UUID
    incident_id: UUID
    slot_ids: list[UUID]
    household_ids: list[UUID]

    @property
    def slot_id(self) -> UUID:
        return self.slot_ids[0]

    def resident(self, number: int = 0, **given: Any) -> dict[str, str]:
        household_id = self.household_ids[number]
        return headers("resident", subject=f"resident-{household_id}", household_id=household_id, **given)

    def body(self, *lines: dict[str, Any], **given: Any) -> dict[str, Any]:
        return {"slot_id": str(self.slot_id), "lines": list(lines or (line(),)), **given}


def line(product_id: UUID = CABBAGE, quantity: int = 2, seen_price_fen: int = 450) -> dict[str, Any]:
    return {"product_id": str(product_id), "quantity": quantity, "seen_price_fen": seen_price_fen}


async def open_ground(  # noqa: PLR0913 - what a test varies
    sessions: Sessions,
    *,
    households: int = 1,
    capacity: int | None = 100,
    slots: int = 1,
    orders: int = 5,
    units: int = 50,
    cut_off: timedelta = timedelta(hours=1),
    status: str = "open",
) -> Ground:
    """Write the rows of an open zone; slot n cuts off `cut_off` + n hours from now."""
    ground = Ground(
        **{name: new_id() for name in ("town_id", "village_id", "building_id", "zone_id", "incident_id")},
        slot_ids=[new_id() for _ in range(slots)],
        household_ids=[new_id() for _ in range(households)],
    )
    now = datetime.now(UTC)
    path = [ground.town_id, ground.village_id, ground.building_id]
    given = {"zone": ground.zone_id, "incident": ground.incident_id, "village": ground.village_id, "now": now}
    async with sessions.begin() as session:
        for depth, (area_id, level) in enumerate(zip(path, ("street", "community", "building"), strict=True)):
            await session.execute(
                text("""
                    INSERT INTO areas (area_id, code, title, level, parent_id, path, head_count, sequence)
                    VALUES (:area_id, :code, 't', :level, :parent_id, :path, 0, 1)
                """),
                {
                    "area_id": area_id,
                    "code": str(area_id),
                    "level": level,
                    "parent_id": path[depth - 1] if depth else None,
                    "path": path[: depth + 1],
                },
            )
        await session.execute(
            text("""
                INSERT INTO households (household_id, external_id, building_id, community_id, persons, sealed)
                SELECT id, CAST(id AS text), :building, :village, 3, 'x'
                FROM unnest(CAST(:ids AS uuid[])) AS row (id)
            """),
            {"ids": ground.household_ids, "building": ground.building_id, "village": ground.village_id},
        )
        await session.execute(
            text("INSERT INTO incidents VALUES (:incident, 'i', 'open', :now, NULL)"), given
        )
        await session.execute(
            text("""
                INSERT INTO zones (zone_id, title, zone_class, status, path, incident_id, created_at,
                                   activated_at, supplied_at, opened_at)
                VALUES (:zone, 'z', 'sealed', :status, ARRAY[CAST(:zone AS uuid)], :incident, :now, :now,
                        :now, :now)
            """),
            {**given, "status": status},
        )
        await session.execute(
            text("INSERT INTO zone_communities VALUES (:zone, :village, true)"),
            given,
        )
        await session.execute(
            text("INSERT INTO quota_rules VALUES (:rule, :zone, :orders, :units, :since, NULL)"),
            {"rule": new_id(), "orders": orders, "units": units, "since": LONG_AGO, **given},
        )
        for number, slot_id in enumerate(ground.slot_ids):
            cut_off_at = now + cut_off + timedelta(hours=number)
            await session.execute(
                text("""
                    INSERT INTO slots (slot_id, zone_id, incident_id, starts_at, ends_at, cut_off_at, status,
                                       capacity)
                    VALUES (:slot, :zone, :incident, :starts, :ends, :cut_off, 'open', :capacity)
                """),
                {
                    **given,
                    "slot": slot_id,
                    "starts": cut_off_at + timedelta(minutes=30),
                    "ends": cut_off_at + timedelta(minutes=90),
                    "cut_off": cut_off_at,
                    "capacity": capacity,
                },
            )
    return ground


async def place(client: httpx.AsyncClient, ground: Ground, number: int = 0, **given: Any) -> UUID:
    """Place an order of a household and return its id."""
    answer = await client.post(
        "/v1/orders", json=ground.body(**given), headers=ground.resident(number, key=str(new_id()))
    )
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["order_id"])


def give(
    product_id: UUID = CABBAGE, quantity: int = 2, *, outlet_id: UUID | None = None, number: int = 1
) -> GivenLine:
    return GivenLine(
        line=number,
        product_id=product_id,
        name="n",
        offer_id=new_id(),
        outlet_id=outlet_id or new_id(),
        quantity=quantity,
        grams=500,
        price_fen=450,
    )


def reserved(order_id: UUID, *lines: GivenLine) -> StockReserved:
    return StockReserved(reservation_id=order_id, lines=lines or (give(),))


def refused(order_id: UUID) -> StockRefused:
    failure = LineFailure(line=1, product_id=CABBAGE, code="catalog.stock_short", asked=2, available=1)
    return StockRefused(reservation_id=order_id, failures=(failure,))


def short(line: GivenLine, given: int) -> ShortLine:
    """Of a line that was given, so much is left."""
    same = {name: getattr(line, name) for name in ("line", "product_id", "offer_id")}
    return ShortLine(**same, promised=line.quantity, given=given)


def shortened(order_id: UUID, *lines: ShortLine, **given: Any) -> PortionShortened:
    wanted = {
        "portion_id": new_id(), "order_id": order_id, "incident_id": new_id(), "household_id": new_id(),
        "found_at": datetime.now(UTC), "lines": lines, "is_empty": False,
    }  # fmt: skip
    return PortionShortened(**{**wanted, **given})


async def value(sessions: Sessions, statement: str, **given: Any) -> Any:
    """Return the one value that a statement yields."""
    async with sessions() as session:
        return (await session.execute(text(statement), given)).scalar_one()


async def told(sessions: Sessions, key: UUID) -> list[tuple[str, int]]:
    """Return the names and sequences of what was said about a key, in order."""
    async with sessions() as session:
        rows = await session.execute(
            text("SELECT type, version FROM outbox_event WHERE topic = 'orders' AND key = :key ORDER BY id"),
            {"key": str(key)},
        )
        return [(row.type.split(".")[1], row.version) for row in rows]


async def words(sessions: Sessions, key: UUID) -> list[dict[str, Any]]:
    """Return the payloads of what was said about a key, in order."""
    async with sessions() as session:
        rows = await session.execute(
            text("SELECT payload FROM outbox_event WHERE topic = 'orders' AND key = :key ORDER BY id"),
            {"key": str(key)},
        )
        return list(rows.scalars())


async def taken(sessions: Sessions, ground: Ground) -> tuple[int, int, int]:
    """Return what is taken of the first slot, and the orders and units of all quotas."""
    slot = await value(sessions, "SELECT taken FROM slots WHERE slot_id = :slot", slot=ground.slot_id)
    orders = await value(sessions, "SELECT coalesce(sum(orders), 0) FROM household_quotas")
    units = await value(sessions, "SELECT coalesce(sum(units), 0) FROM household_quotas")
    return slot, orders, units
