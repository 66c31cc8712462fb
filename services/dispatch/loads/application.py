"""What becomes of confirmed orders. Callers own the transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.orders import OrderCancelled, OrderConfirmed, OrderRefused, SlotClosed, ZoneOpened
from services.contracts.values import GivenLine
from services.dispatch.fleet import queries as fleet_queries
from services.dispatch.loads import domain, queries
from services.kit.event import Arrived
from services.kit.ids import new_id

MADE = Counter("loads_total", "Loads made from confirmed orders")


async def open_waves(session: AsyncSession, arrivals: Sequence[Arrived[ZoneOpened]]) -> None:
    """Know the slots in which the loads of a zone go out."""
    await queries.open_waves(session, arrivals)


async def close_waves(session: AsyncSession, arrivals: Sequence[Arrived[SlotClosed]]) -> None:
    """Know how many orders make a wave complete."""
    await queries.close_waves(session, arrivals)


async def make_loads(
    session: AsyncSession, arrivals: Sequence[Arrived[OrderConfirmed]], now: datetime
) -> None:
    """Make a load for each outlet of each order, with its units and the household's portion.

    An order whose end has come first makes withdrawn loads; one that is told again makes none.
    """
    news = await queries.confirm_orders(
        session, {each.event.order_id: (each.event.slot_id, each.sequence) for each in arrivals}
    )
    bag_g = (await fleet_queries.get_policy(session, now)).bag_g
    loads: list[dict[str, object]] = []
    units: list[dict[str, object]] = []
    portions: list[dict[str, object]] = []
    for arrived in (each for each in arrivals if each.event.order_id in news):
        order = arrived.event
        for outlet_id, lines in domain.split_by_outlet(order.lines).items():
            packed = _pack(order, lines, bag_g=bag_g)
            load_id = new_id()
            loads.append(
                {
                    **_load_of(order, outlet_id, packed),
                    "load_id": load_id,
                    "confirmed_at": arrived.recorded_at,
                    "withdrawn_at": now if news[order.order_id] else None,
                }
            )
            portion = _portion_of(order, load_id)
            portions.append(portion)
            units.extend({**unit, "load_id": load_id, "portion_id": portion["portion_id"]} for unit in packed)
    made = await queries.insert_loads(session, loads)
    await queries.insert_contents(
        session,
        [unit for unit in units if unit["load_id"] in made],
        [portion for portion in portions if portion["load_id"] in made],
    )
    MADE.inc(len(made))


async def end_orders(
    session: AsyncSession,
    arrivals: Sequence[Arrived[OrderCancelled] | Arrived[OrderRefused]],
    now: datetime,
) -> list[UUID]:
    """Withdraw the loads of orders that ended without goods, unless they are on their way; return them."""
    ended = await queries.end_orders(session, {each.event.order_id: each.sequence for each in arrivals})
    return await queries.withdraw(session, ended, now) if ended else []


def _pack(order: OrderConfirmed, lines: Sequence[GivenLine], *, bag_g: int) -> list[dict[str, object]]:
    return [
        {
            "load_unit_id": new_id(),
            "number": number,
            "kind": domain.unit_kind(order.form),
            "grams": bag.grams,
            "lines": [
                {
                    "line": line.line,
                    "product_id": line.product_id,
                    "name": line.name,
                    "quantity": line.quantity,
                    "grams": line.grams,
                }
                for line in bag.lines
            ],
        }
        for number, bag in enumerate(domain.pack(lines, bag_g=bag_g), start=1)
    ]


def _portion_of(order: OrderConfirmed, load_id: UUID) -> dict[str, object]:
    return {
        "portion_id": new_id(),
        "load_id": load_id,
        "order_id": order.order_id,
        "household_id": order.household_id,
        "building_id": order.building_id,
    }


def _load_of(order: OrderConfirmed, outlet_id: UUID, units: Sequence[dict[str, object]]) -> dict[str, object]:
    places = order.model_dump(
        include={
            "order_id", "incident_id", "zone_id", "slot_id", "community_id", "building_id", "household_id",
            "form",
        }
    )  # fmt: skip
    return {
        **places,
        "outlet_id": outlet_id,
        "grams": sum(line.grams * line.quantity for line in order.lines if line.outlet_id == outlet_id),
        "pieces": len(units),
    }
