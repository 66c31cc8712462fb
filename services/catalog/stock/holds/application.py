"""What can be asked of promises: reserve, grant, decide what waited, ask about what is overdue."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import orjson
from prometheus_client import Counter as Metric
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.market import market_day
from services.catalog.prices import queries as rules
from services.catalog.stock.holds import desk, moves, queries, shelves, shortfalls
from services.catalog.stock.holds.domain import (
    Decision,
    Granted,
    GroupRequest,
    Market,
    OrderRequest,
    Place,
    Refused,
    Request,
    Reserved,
)
from services.catalog.stock.holds.queries import NewReservation
from services.catalog.stock.offers import application as offers
from services.catalog.supply import queries as supply
from services.catalog.supply import shortages
from services.catalog.supply.queries import SupplyingOutlet
from services.catalog.supply.shortages import Shortage
from services.catalog.zones import queries as zones
from services.contracts.catalog import GroupGranted, HoldOverdue, StockRefused, StockReserved
from services.contracts.orders import GroupLocked, OrderPlaced
from services.contracts.values import TallyLine, WantedLine
from services.kit import outbox
from services.kit.event import Event

DECISIONS: Final = Metric("stock_reservations_total", "Reservations decided", ["outcome"])
AT_ONCE: Final = 200

Supplies = Mapping[UUID, tuple[SupplyingOutlet, ...]]


async def reserve(session: AsyncSession, orders: Sequence[OrderPlaced], now: datetime) -> None:
    """Hold every line of an order, or none of it; orders are decided in the order they came."""
    days = await zones.find_days(session, {order.slot_id for order in orders})
    requests = [
        OrderRequest(
            reservation_id=order.order_id,
            zone_id=order.zone_id,
            slot_id=order.slot_id,
            asked_by=order.household_id,
            day=days.get(order.slot_id),
            lines=order.lines,
        )
        for order in orders
    ]
    incidents = {order.order_id: order.incident_id for order in orders}
    await _take_in(session, requests, incidents, now)


async def grant(session: AsyncSession, groups: Sequence[GroupLocked], now: datetime) -> None:
    """Hold what there is of each product that a group wants, as one reservation."""
    days = await zones.find_days(session, {group.slot_id for group in groups})
    requests = [
        GroupRequest(
            reservation_id=group.group_id,
            zone_id=group.zone_id,
            slot_id=group.slot_id,
            asked_by=group.group_id,
            day=days.get(group.slot_id),
            households=group.households,
            tally=group.tally,
        )
        for group in groups
    ]
    incidents = {group.group_id: group.incident_id for group in groups}
    await _take_in(session, requests, incidents, now)


async def decide_waiting(session: AsyncSession, now: datetime) -> int:
    """Decide what waited for its zone's supply or slot, or refuse it past its deadline; return how many."""
    rows = await queries.claim_waiting(session, now=now, limit=AT_ONCE)
    days = await zones.find_days(session, {row["slot_id"] for row in rows})
    requests = [_read_waiting(row, days.get(row["slot_id"])) for row in rows]
    supplies = await supply.outlets_of_zone(session, {request.zone_id for request in requests})
    await _decide(session, requests, supplies, now=now)
    return len(rows)


async def ask_about_overdue(session: AsyncSession, now: datetime) -> int:
    """Ask orders about holds past their limit; a hold never ends by catalog's own clock."""
    policy = await queries.get_policy(session, now)
    overdue = await queries.ask_again(session, now=now, next_limit_at=now + policy.hold, limit=AT_ONCE)
    await outbox.add_all(
        session, [(HoldOverdue(reservation_id=reservation_id), number) for reservation_id, number in overdue]
    )
    return len(overdue)


async def _take_in(
    session: AsyncSession, requests: Sequence[Request], incidents: Mapping[UUID, UUID], now: datetime
) -> None:
    policy = await queries.get_policy(session, now)
    supplies = await supply.outlets_of_zone(session, {request.zone_id for request in requests})
    fresh = await queries.insert(
        session,
        [
            NewReservation(
                reservation_id=request.reservation_id,
                zone_id=request.zone_id,
                incident_id=incidents[request.reservation_id],
                households=request.households if isinstance(request, GroupRequest) else 1,
                slot_id=request.slot_id,
                asked_by=request.asked_by,
                wanted=None if _is_ready(request, supplies) else _write_waiting(request),
            )
            for request in requests
        ],
        is_group=any(isinstance(request, GroupRequest) for request in requests),
        deadline_at=now + policy.waiting,
    )
    ready = [one for one in requests if one.reservation_id in fresh and _is_ready(one, supplies)]
    await _decide(session, ready, supplies, now=now)


def _is_ready(request: Request, supplies: Supplies) -> bool:
    return request.day is not None and bool(supplies[request.zone_id])


async def _decide(
    session: AsyncSession, requests: Sequence[Request], supplies: Supplies, *, now: datetime
) -> None:
    ready = [request for request in requests if _is_ready(request, supplies)]
    decisions: list[Decision] = [
        desk.refuse_unsupplied(request) for request in requests if not _is_ready(request, supplies)
    ]
    short: list[Shortage] = []
    if ready:
        markets = await _find_markets(session, ready, supplies, now)
        picking = await _lock_picking(session, ready, supplies)
        sellable = {
            shelf.offer_id
            for market in markets.values()
            for found in market.shelves.values()
            for shelf in found
        }
        free = await shelves.lock_free(session, sellable)
        decided = desk.decide(ready, markets=markets, free=free, picking=picking)
        short = shortfalls.find_shortages(decided, markets=markets, supplies=supplies)
        decisions += decided
    await _write(session, decisions, now=now)
    # The last of all locks: whoever else is short of the same waits for nothing that waits for him.
    await shortages.note(session, short)


async def _find_markets(
    session: AsyncSession, requests: Sequence[Request], supplies: Supplies, now: datetime
) -> dict[UUID, Market]:
    zones = {request.zone_id for request in requests}
    asked: dict[str, Any] = {
        "product_ids": {product for request in requests for product in _products_of(request)},
        "outlet_ids": {outlet.outlet_id for zone in zones for outlet in supplies[zone]},
        "epoch": await rules.get_epoch(session),
        "day": market_day(now),
    }
    found = await shelves.find_offers(session, **asked)
    stale = _find_stale(found, {zone: supplies[zone] for zone in zones})
    if stale:
        # A price is never promised on what bound yesterday: what the timer has not reached is judged here.
        await offers.rejudge(session, stale, now)
        found = await shelves.find_offers(session, **asked)
    sellable = shelves.shelves_by_outlet(found)
    return {
        zone: Market(outlets=tuple(outlet.outlet_id for outlet in supplies[zone]), shelves=sellable)
        for zone in zones
    }


def _find_stale(found: Sequence[RowMapping], supplies: Supplies) -> list[UUID]:
    zones_of: dict[UUID, set[UUID]] = {}
    for zone, outlets in supplies.items():
        for outlet in outlets:
            zones_of.setdefault(outlet.outlet_id, set()).add(zone)
    return sorted(
        row["offer_id"]
        for row in found
        if row["is_stale"] or not zones_of[row["outlet_id"]].issubset(row["judged_zones"])
    )


async def _lock_picking(
    session: AsyncSession, requests: Sequence[Request], supplies: Supplies
) -> dict[Place, int]:
    capacity = {
        (zone, outlet.outlet_id, day): outlet.capacity_orders
        for zone, day in {(request.zone_id, request.day) for request in requests}
        if day is not None
        for outlet in supplies[zone]
    }
    taken = await shelves.lock_picking(session, capacity)
    return {place: orders - taken[place] for place, orders in capacity.items()}


async def _write(session: AsyncSession, decisions: Sequence[Decision], *, now: datetime) -> None:
    policy = await queries.get_policy(session, now)
    held: dict[UUID, list[tuple[UUID, UUID, int]]] = {}
    charged: list[tuple[UUID, UUID, int]] = []
    promised: Counter[UUID] = Counter()
    picking: Counter[Place] = Counter()
    for decision in decisions:
        DECISIONS.labels(_outcome_of(decision)).inc()
        request = decision.request
        if isinstance(decision, Refused) or not decision.lines or request.day is None:
            continue
        outlet_of = {line.offer_id: line.outlet_id for line in decision.lines}
        units = moves.units_of(decision.lines)
        promised.update(units)
        held[request.reservation_id] = [(offer, outlet_of[offer], units[offer]) for offer in units]
        for outlet, orders in _picking_of(decision).items():
            picking[request.zone_id, outlet, request.day] += orders
            if isinstance(decision, Granted):
                charged.append((request.reservation_id, outlet, orders))

    days = {decision.request.reservation_id: decision.request.day for decision in decisions}
    await queries.hold(session, held, days=days, limit_at=now + policy.hold)
    await queries.charge_groups(session, charged)
    await outbox.add_all(session, [(_event_of(decision), 1) for decision in decisions])
    await shelves.change_picking(session, picking)
    await shelves.promise(session, promised)


def _picking_of(decision: Reserved | Granted) -> Mapping[UUID, int]:
    if isinstance(decision, Granted):
        return decision.picking
    return dict.fromkeys((line.outlet_id for line in decision.lines), 1)


def _products_of(request: Request) -> set[UUID]:
    if isinstance(request, GroupRequest):
        return {line.product_id for line in request.tally}
    return {product for line in request.lines for product in (line.product_id, *line.substitutes)}


def _event_of(decision: Decision) -> Event:
    reservation_id = decision.request.reservation_id
    match decision:
        case Reserved():
            return StockReserved(reservation_id=reservation_id, lines=decision.lines)
        case Refused():
            return StockRefused(reservation_id=reservation_id, failures=decision.failures)
        case Granted():
            return GroupGranted(reservation_id=reservation_id, grants=decision.grants)


def _outcome_of(decision: Decision) -> str:
    return type(decision).__name__.lower()


def _write_waiting(request: Request) -> str:
    lines = request.tally if isinstance(request, GroupRequest) else request.lines
    return orjson.dumps([line.model_dump(mode="json") for line in lines]).decode()


def _read_waiting(row: RowMapping, day: date | None) -> Request:
    if row["is_group"]:
        return GroupRequest(
            reservation_id=row["reservation_id"],
            zone_id=row["zone_id"],
            slot_id=row["slot_id"],
            asked_by=row["asked_by"],
            day=day,
            households=row["households"],
            tally=tuple(TallyLine.model_validate(line) for line in row["wanted"]),
        )
    return OrderRequest(
        reservation_id=row["reservation_id"],
        zone_id=row["zone_id"],
        slot_id=row["slot_id"],
        asked_by=row["asked_by"],
        day=day,
        lines=tuple(WantedLine.model_validate(line) for line in row["wanted"]),
    )
